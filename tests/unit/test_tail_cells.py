"""What `tail` shows of each form of label event."""

import pytest

from stream.commands.tail import said


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
def test_a_label_event_in_a_cell(event: dict[str, object], cell: str) -> None:
    assert said(event) == cell
