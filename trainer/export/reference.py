"""The rows that every graph is held against: real ones, and those that exports and tokenizers trip over."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.bundle.manifest import CategoricalColumn, MetadataColumn
from stream.classify.inputs import TextInput
from stream.runtime.base import Logits
from stream.verify.parity import REFERENCE_LOGITS, REFERENCE_TEXTS

MOST_ROWS = 1000

AWKWARD = (
    "a",
    ".",
    "   ?   ",
    "😀",
    "👩‍👩‍👧‍👦 🏳️‍🌈 paid twice ❗❗",
    "تم خصم المبلغ مرتين من بطاقتي",
    "החבילה שלי עדיין לא הגיעה",
    "包裹还没有到",
    "my card\x00was charged\x01 twice\x7f\x1b[0m",
    "line one\r\nline two\tand a tab\u2028and a separator",
    "ﬁne ① Ａ e\u0301 \u200bzero\u200dwidth \ufeff",
    "[CLS] [SEP] [MASK] [PAD] <s> </s> <pad>",
)


def spread(rows: int, most: int = MOST_ROWS) -> list[int]:
    """At most so many row numbers below `rows`, evenly spread."""
    return list(range(0, rows, max(1, -(-rows // most))))


def awkward_rows(
    tokenizer: Any,
    max_length: int,
    *,
    pair: bool = False,
    metadata: Sequence[MetadataColumn] = (),
) -> list[TextInput]:
    """One token, scripts and characters of every kind, every power of two of tokens, one token less than the
    maximum length, exactly it, and far over it.

    Args:
        tokenizer: a Hugging Face tokenizer, to know what a special token costs.
        max_length: tokens after which a row is cut.
        pair: whether rows have two texts; then each side is awkward in turn, and each empty once.
        metadata: columns that the model reads; missing, unseen and senseless values are dealt out.
    """
    special = tokenizer.num_special_tokens_to_add(pair)
    room = max(1, max_length - special)
    counts = sorted({2**power for power in range(room.bit_length())} | {max(1, room - 1), room, 2 * room + 7})
    texts = [*AWKWARD, *(" ".join("a." * count)[: 2 * count - 1] for count in counts)]
    # A tokenizer without special tokens makes nothing of no text, and no model reads nothing.
    empty = [""] if special else []
    rows = [*_pairs(texts)] if pair else [TextInput(text) for text in [*empty, *texts]]
    if not metadata:
        return rows
    values = cycle(_awkward_metadata(metadata))
    return [TextInput(row.text, row.text_pair, next(values)) for row in rows]


def _pairs(texts: Sequence[str]) -> Iterator[TextInput]:
    plain = "where is my order"
    yield from (TextInput(plain, ""), TextInput("", plain), TextInput("", ""))
    for text in texts:
        yield TextInput(text, plain)
        yield TextInput(plain, text)
    yield from (TextInput(text, text) for text in texts)


def _awkward_metadata(columns: Sequence[MetadataColumn]) -> list[dict[str, Any] | None]:
    known = {
        column.name: column.values[0] if isinstance(column, CategoricalColumn) and column.values else 1
        for column in columns
    }
    unseen = {column.name: "never seen before" for column in columns}
    return [None, {}, known, unseen, {column.name: -1e9 for column in columns}]


def write_reference(folder: Path, rows: Sequence[TextInput], logits: Logits | Sequence[Logits]) -> None:
    """Store reference rows and PyTorch's logits for them.

    Args:
        folder: the bundle's.
        rows: the inputs; `reference.jsonl` has `text`, `text_pair` and `metadata` of each, as far as given.
        logits: float32 [rows, labels]; for token classification a list of float32 [tokens, labels], which is
            stored as one array behind the other, with `lengths` int64 [rows].
    """
    lines = [orjson.dumps(_members(row), default=str, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]
    (folder / REFERENCE_TEXTS).write_bytes(b"".join(line + b"\n" for line in lines))
    if isinstance(logits, np.ndarray):
        np.savez_compressed(folder / REFERENCE_LOGITS, logits=logits.astype(np.float32))
        return
    lengths = np.array([len(row) for row in logits], dtype=np.int64)
    joined = np.concatenate(logits).astype(np.float32)
    np.savez_compressed(folder / REFERENCE_LOGITS, logits=joined, lengths=lengths)


def _members(row: TextInput) -> dict[str, Any]:
    members = {"text": row.text, "text_pair": row.text_pair}
    if row.metadata is not None:
        members["metadata"] = dict(row.metadata)  # type: ignore[assignment]
    return {name: value for name, value in members.items() if value is not None}
