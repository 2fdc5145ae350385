"""The cells that `labelstream tail` prints for a label event or a dead letter."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.text import Text

from stream.records import Decoder, Event, Record, Source
from stream.routes import Route
from stream.short_names import printable

LABEL_COLUMNS = (
    ("time", 12),
    ("id", 24),
    ("label", 28),
    ("score", 8),
    ("cached", 6),
    ("partition@offset", 16),
    ("text", 40),
)
MAX_TEXT_CHARS = 200
# The members that hold the label event in an output of another form.
WRAPPED = ("specversion", "data")
DEAD_COLUMNS = (("time", 12), ("id", 24), ("reason", 10), ("from", 28), ("message", 48))
MISSING = "-"
NOT_A_LABEL = "(not a label event)"

Columns = Sequence[tuple[str, int]]


class EnrichedEvents:
    """Reads the outputs of a route with `output = enrich`: the member with the label event, and the text."""

    def __init__(self, route: Route) -> None:
        self.label_field = route.label_field
        self._source = Source(route.output_topic, 0)
        self._decoder = Decoder(route, max_event_bytes=sys.maxsize, max_text_chars=sys.maxsize)

    def text(self, record: Record) -> str | None:
        """Return the text of an output, None if it cannot be read as an event of the route."""
        (found,) = self._decoder.decode_all(self._source, [record])
        return found.text if isinstance(found, Event) else None


def label_cells(partition: int, record: Record, enriched: EnrichedEvents | None = None) -> list[str]:
    """Return the cells of a label event by `LABEL_COLUMNS`, with a dash for each missing member.

    Args:
        partition: the partition of the record.
        record: a record with a label event, which may be the data of a CloudEvent.
        enriched: reads the outputs of a route with `output = enrich`; None for label events.
    """
    event = _label_event(record, enriched.label_field if enriched else "")
    text = enriched.text(record) if enriched else _copied_text(event)
    score, cached, source = event.get("score"), event.get("cached"), event.get("source")
    origin = source if isinstance(source, dict) else {"partition": partition, "offset": record.offset}
    return [
        _time(record),
        str(event.get("id") or _header(record, "labelstream-id")),
        prediction_cell(event),
        f"{score:.4f}" if isinstance(score, float | int) else MISSING,
        {True: "yes", False: "no"}.get(cached, MISSING) if isinstance(cached, bool) else MISSING,
        f"{origin.get('partition', MISSING)}@{origin.get('offset', MISSING)}",
        MISSING if text is None else text[:MAX_TEXT_CHARS],
    ]


def prediction_cell(event: dict[str, Any]) -> str:
    """Return the prediction of a label event: its label, labels or value, or its spans' types and texts."""
    if event.get("abstained"):
        return "(abstained)"
    spans = event.get("spans")
    if isinstance(spans, list):
        named = (f"{s.get('type')}: {s.get('text')}" for s in spans if isinstance(s, dict))
        return "; ".join(named) or "(no spans)"
    labels = event.get("labels")
    if isinstance(labels, list):
        return ", ".join(map(str, labels)) or "(no label)"
    return str(event.get("label", event.get("value", NOT_A_LABEL)))


def dead_cells(_partition: int, record: Record) -> list[str]:
    """Return the cells of a dead letter by `DEAD_COLUMNS`, from its headers."""
    topic, partition, offset = (
        _header(record, f"labelstream-error-{name}") for name in ("topic", "partition", "offset")
    )
    return [
        _time(record),
        _header(record, "labelstream-id"),
        _header(record, "labelstream-error-reason"),
        f"{topic} {partition}@{offset}",
        _header(record, "labelstream-error-message"),
    ]


def header_line(columns: Columns) -> Text:
    """Return the line of the column names."""
    return row_line(columns, [name for name, _ in columns], "bold")


def row_line(columns: Columns, cells: Sequence[str], style: str = "") -> Text:
    """Return a line of cells, padded to the widths of the columns."""
    padded = (cell.ljust(width) for (_, width), cell in zip(columns, map(printable, cells), strict=True))
    return Text("  ".join(padded).rstrip(), style=style)


def _label_event(record: Record, label_field: str) -> dict[str, Any]:
    if record.value is None:
        return {"label": "(tombstone)"}
    try:
        event = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return {"label": "(not JSON)"}
    if isinstance(event, dict) and all(name in event for name in WRAPPED):
        event = event["data"]
    if isinstance(event, dict) and label_field:
        event = event.get(label_field)
    return event if isinstance(event, dict) else {"label": NOT_A_LABEL}


def _copied_text(event: dict[str, Any]) -> str | None:
    """Return the text that `include` has copied into a label event."""
    copied = event.get("event")
    text = copied.get("text") if isinstance(copied, dict) else None
    return text if isinstance(text, str) else None


def _header(record: Record, name: str) -> str:
    value: bytes | None = dict(record.headers).get(name)
    return MISSING if value is None else value.decode(errors="replace")


def _time(record: Record) -> str:
    try:
        moment = datetime.fromtimestamp(record.timestamp / 1000).astimezone()
    except (ValueError, OverflowError, OSError):
        # Producers may write any timestamp, such as microseconds, which are beyond the year 9999.
        return MISSING
    return moment.strftime("%H:%M:%S.%f")[:12]
