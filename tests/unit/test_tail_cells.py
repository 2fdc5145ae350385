"""The cell that `tail` prints for each form of label event."""

import pytest

from stream.commands.tail_cells import prediction_cell


@pytest.mark.parametrize(
    ("event", "cell"),
    [
        ({"label": "billing", "score": 1}, "billing"),
        ({"label": "4", "value": 4.1}, "4"),
        ({"label": None, "abstained": True}, "(abstained)"),
        ({"labels": [], "abstained": True}, "(abstained)"),
        ({"labels": ["a", "b"]}, "a, b"),
        ({"labels": []}, "(no label)"),
        ({"value": 0.5}, "0.5"),
        ({"spans": [{"type": "A", "text": "x"}, {"type": "B", "text": "y"}]}, "A: x; B: y"),
        ({"spans": []}, "(no spans)"),
        ({}, "-"),
    ],
)
def test_the_prediction_is_one_cell(event: dict[str, object], cell: str) -> None:
    assert prediction_cell(event) == cell
