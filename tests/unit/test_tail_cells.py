"""The cell that `tail` prints for each form of label event."""

import pytest

from stream.commands.tail_cells import MISSING, dead_cells, label_cells, prediction_cell
from tests.unit.records import FakeRecord


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


@pytest.mark.parametrize("timestamp", [253_402_300_800_000, 1_763_632_800_000_000, 2**63 - 1, -(2**63)])
def test_a_timestamp_that_no_calendar_has_is_a_dash(timestamp: int) -> None:
    record = FakeRecord(b"{}", timestamp=timestamp)
    assert label_cells(3, record)[0] == MISSING
    assert dead_cells(3, record)[0] == MISSING
