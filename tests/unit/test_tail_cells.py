"""The cell that `tail` prints for each form of label event."""

import pytest

from stream.commands.tail_cells import MISSING, EnrichedEvents, dead_cells, label_cells, prediction_cell
from stream.routes import Route
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
        ({}, "(not a label event)"),
        ({"text": "hi", "mood": {"label": "a"}}, "(not a label event)"),
    ],
)
def test_the_prediction_is_one_cell(event: dict[str, object], cell: str) -> None:
    assert prediction_cell(event) == cell


@pytest.mark.parametrize("timestamp", [253_402_300_800_000, 1_763_632_800_000_000, 2**63 - 1, -(2**63)])
def test_a_timestamp_that_no_calendar_has_is_a_dash(timestamp: int) -> None:
    record = FakeRecord(b"{}", timestamp=timestamp)
    assert label_cells(3, record)[0] == MISSING
    assert dead_cells(3, record)[0] == MISSING


@pytest.mark.parametrize(
    ("value", "enriched", "cells"),
    [
        (b'{"label":"a","score":1,"event":{"text":"hi"}}', {}, ("a", "1.0000", "hi")),
        (b'{"label":"a","score":1,"event":{"text":7}}', {}, ("a", "1.0000", "-")),
        (b'{"specversion":"1.0","id":"c","data":{"label":"a"}}', {}, ("a", "-", "-")),
        (b'{"text":"hi","labelstream":{"label":"a"}}', {"label_field": "labelstream"}, ("a", "-", "hi")),
        (b'{"m":{"t":"hi"},"x":{"label":"a"}}', {"label_field": "x", "text_field": "m.t"}, ("a", "-", "hi")),
        (b'{"m":{},"x":1}', {"label_field": "x", "text_field": "m.t"}, ("(not a label event)", "-", "-")),
    ],
)
def test_the_label_and_the_text_of_other_outputs_are_shown(
    value: bytes, enriched: dict[str, str], cells: tuple[str, ...]
) -> None:
    route = Route(name="r", input_topic="i", output_topic="o", bundle="b", output="enrich", **enriched)
    shown = label_cells(3, FakeRecord(value), EnrichedEvents(route) if enriched else None)
    assert (shown[2], shown[3], shown[6]) == cells
