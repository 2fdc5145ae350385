"""The rows of /v1/classify in JSON: from the body to events, and from results to the response."""

from collections.abc import Sequence

import msgspec
import orjson

from stream.classify import Prediction
from stream.serve.body import parse, unexpected_body
from stream.worker.route_model import OpenModel
from stream.worker.row_classifier import ClassifiedRow

EXPECTED = '{"text": "…"}, or {"rows": ["…", {"id": "a", "text": "…"}]}'
QUOTE = b'"'
ROWS, TEXT = "rows", "text"


# Values stay bytes, because the decoder of the stream reads the rows.
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def events_of(body: bytes) -> list[bytes]:
    """Return the events of a body with one row, or of an object with the member `rows` alone.

    Raises:
        RequestError: the body is neither.
    """
    members = parse(_decode_members, body, EXPECTED)
    if ROWS not in members:
        if TEXT not in members:
            raise unexpected_body(f"it has neither the member {TEXT} nor {ROWS}", EXPECTED)
        return [body]
    if len(members) > 1:
        raise unexpected_body(f"it has other members than {ROWS}", EXPECTED)
    return [as_event(bytes(row)) for row in parse(_decode_rows, bytes(members[ROWS]), EXPECTED)]


def as_event(row: bytes) -> bytes:
    """Return a row as an event: a JSON string is its text. Anything else is left to the decoder."""
    if not row.startswith(QUOTE):
        return row
    try:
        _decode_text(row)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return row
    return b'{"text":%b}' % row


def row_json(row: ClassifiedRow, place: str = "") -> bytes:
    """Return a row of the response: its id if it has one, and its prediction or its error.

    Args:
        row: the row.
        place: the place of the row in the request, which its error names; empty if there is no need.
    """
    members = row.result.members if isinstance(row.result, Prediction) else _error_member(row, place)
    if (own := row.own_id) is None:
        return b"{%b}" % members
    return b'{"id":%b,%b}' % (orjson.dumps(own), members)


def rows_json(rows: Sequence[ClassifiedRow]) -> list[bytes]:
    """Return the rows of a response. The error of a row names its place if the request has several rows."""
    if len(rows) == 1:
        return [row_json(rows[0])]
    return [row_json(row, f"rows[{at}]") for at, row in enumerate(rows)]


def response_json(opened: OpenModel, rows: Sequence[ClassifiedRow]) -> bytes:
    """Return the body of the response."""
    manifest = opened.bundle.manifest
    model = orjson.dumps(
        {
            "name": manifest.name,
            "version": manifest.version,
            "digest": opened.bundle.digest,
            "variant": opened.choice.variant,
        }
    )
    return b'{"model":%b,"results":[%b]}' % (model, b",".join(rows_json(rows)))


def _error_member(row: ClassifiedRow, place: str) -> bytes:
    assert not isinstance(row.result, Prediction)
    message = f"{place}: {row.result.message}" if place else row.result.message
    error = {"reason": row.result.reason.value, "message": message}
    return b'"error":' + orjson.dumps(error)
