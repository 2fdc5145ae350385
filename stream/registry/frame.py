"""Confluent's wire format: a magic byte, the id of the schema in four bytes, then the payload."""

from collections.abc import Iterable

from stream.codec import Headers
from stream.errors import Poison, Reason

MAGIC = 0
PREFIX_BYTES = 5
SCHEMA_ID_HEADER = "__value_schema_id"
# A registry's ids are positive 32-bit integers; registries answer to others with an error.
MAX_SCHEMA_ID = 2**31 - 1
# A path of indices is as long as the nesting of a message type.
MAX_INDEXES = 64
_VARINT_BYTES = 10


def read_frame(value: bytes) -> tuple[int, bytes]:
    """Return the schema id and the payload of a framed value.

    Raises:
        Poison: the value has no frame, or no registry can have its schema.
    """
    if len(value) < PREFIX_BYTES:
        raise Poison(
            Reason.DECODE,
            f"the value has {len(value)} bytes, too few for a frame with a schema id, {PREFIX_BYTES} bytes",
        )
    if value[0] != MAGIC:
        raise Poison(
            Reason.DECODE,
            f"the value begins with the byte {value[0]}, not with the magic byte 0 and a schema id",
        )
    schema_id = int.from_bytes(value[1:PREFIX_BYTES], "big")
    if schema_id > MAX_SCHEMA_ID:
        raise Poison(Reason.SCHEMA, f"the schema id {schema_id} is too large, {MAX_SCHEMA_ID} is the largest")
    return schema_id, value[PREFIX_BYTES:]


def write_frame(schema_id: int, payload: bytes) -> bytes:
    """Return a payload with its frame."""
    return b"%c%b%b" % (MAGIC, schema_id.to_bytes(4, "big"), payload)


def framed_ids(values: Iterable[bytes | None]) -> set[int]:
    """Return the schema ids of the values that `read_frame` reads."""
    framed = (value for value in values if value and len(value) >= PREFIX_BYTES and value[0] == MAGIC)
    ids = {int.from_bytes(value[1:PREFIX_BYTES], "big") for value in framed}
    return {schema_id for schema_id in ids if schema_id <= MAX_SCHEMA_ID}


def check_no_header_id(headers: Headers) -> None:
    """Check that the schema id is not in a header, where newer clients may write it.

    Raises:
        Poison: it is.
    """
    if any(name == SCHEMA_ID_HEADER for name, _ in headers):
        raise Poison(
            Reason.SCHEMA,
            f"the schema id is in the header {SCHEMA_ID_HEADER}; only ids in the value are supported",
        )


def read_message_indexes(payload: bytes) -> tuple[tuple[int, ...], bytes]:
    """Return the indices that lead to a Protobuf message type in its file, and the message.

    The indices are zigzag varints after their count; the count 0 stands for the first message type.

    Raises:
        Poison: the indices are cut off or invalid.
    """
    count, at = _varint(payload, 0)
    if not 0 <= count <= MAX_INDEXES:
        raise Poison(Reason.DECODE, f"the frame has {count} message indices, 0 to {MAX_INDEXES} are valid")
    indexes = []
    for _ in range(count):
        index, at = _varint(payload, at)
        indexes.append(index)
    return tuple(indexes) or (0,), payload[at:]


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    """Return the zigzag varint at a position, and the position after it."""
    number = 0
    for shift, byte in enumerate(payload[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + shift + 1
    raise Poison(Reason.DECODE, "the frame's message indices are cut off or invalid")
