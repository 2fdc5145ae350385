"""The reference rows of the parity checks: real texts, edge cases, and one batch of mixed lengths."""

import csv
from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import CategoricalColumn, MetadataColumn
from stream.classify import RowTokens, TextInput, Tokeniser, Tokens
from stream.errors import UsageError
from stream.runtime import Logits, Runtime
from stream.sample import sample_path
from stream.verify import REFERENCE_LOGITS, REFERENCE_TEXTS
from trainer.export.texts import FORMATS, read_rows, unreadable

MIXED_ROWS = 8
SAMPLE_TEXTS = 200

EDGE_CASE_TEXTS = (
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


def evenly_spaced(rows: int, limit: int) -> list[int]:
    """Return at most `limit` evenly spaced numbers below `rows`."""
    return list(range(0, rows, max(1, -(-rows // limit))))


def further_rows(candidates: Sequence[TextInput], rows: Sequence[TextInput], limit: int) -> list[TextInput]:
    """Return at most `limit` evenly spaced candidates with distinct texts that `rows` do not contain.

    A repeated text would count as evidence more than once.
    """
    known = {(row.text, row.text_pair) for row in rows}
    distinct = {(row.text, row.text_pair): row for row in candidates}
    new = [row for texts, row in distinct.items() if texts not in known]
    return [new[at] for at in evenly_spaced(len(new), limit)] if limit > 0 else []


def edge_case_rows(
    tokenizer: Any,
    max_length: int,
    *,
    pair: bool = False,
    metadata: Sequence[MetadataColumn] = (),
) -> list[TextInput]:
    """Return rows that often reveal errors of exports and tokenizers.

    The rows are short texts, texts of many scripts and control characters, and texts of every power of two of
    tokens, of one token less than the maximum length, of exactly that length, and of twice that length.

    Args:
        tokenizer: a Hugging Face tokenizer, which determines the number of special tokens.
        max_length: the number of tokens after which a row is truncated.
        pair: whether rows have two texts; each side is then an edge case in turn, and empty once.
        metadata: the columns that the model reads; the rows have missing, unseen and extreme values.
    """
    special = tokenizer.num_special_tokens_to_add(pair)
    room = max(1, max_length - special)
    counts = sorted({2**power for power in range(room.bit_length())} | {max(1, room - 1), room, 2 * room + 7})
    texts = [*EDGE_CASE_TEXTS, *(" ".join("a." * count)[: 2 * count - 1] for count in counts)]
    # Without special tokens an empty text has no tokens, and no model accepts an empty input.
    empty = [""] if special else []
    rows = [*_pairs(texts)] if pair else [TextInput(text) for text in [*empty, *texts]]
    if not metadata:
        return rows
    values = cycle(_edge_case_metadata(metadata))
    return [TextInput(row.text, row.text_pair, next(values)) for row in rows]


def sample_texts(*, pair: bool) -> list[TextInput]:
    """Return some texts of the bundled sample data; for pairs, each text with the next one."""
    with sample_path().open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    rows = [TextInput(a, b if pair else None) for a, b in pairwise(texts)]
    return [rows[at] for at in evenly_spaced(len(rows), SAMPLE_TEXTS)]


def read_texts(file: Path, *, pair: bool) -> list[TextInput]:
    """Return the texts of a .txt, .jsonl or .csv file; rows without text are ignored.

    Raises:
        UsageError: the file cannot be read, has no texts, or lacks the second texts of pairs; the error names
            the row.
    """
    found = []
    for row, members in read_rows(file):
        text = _text(file, row, members, "text")
        if text is None or not text.strip():
            continue
        other = _text(file, row, members, "text_pair") if pair else None
        if pair and other is None:
            raise UsageError(
                f"--texts {file} has no second texts",
                cause=f"the model reads pairs, and row {row} has no text_pair",
                fix="pass a .jsonl or .csv file whose rows all have text_pair",
            )
        found.append(TextInput(text, other))
    if not found:
        raise UsageError(f"--texts {file} has no texts", cause="every row is empty", fix=f"pass {FORMATS}")
    return found


def _text(file: Path, row: int, members: dict[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None or isinstance(value, str):
        return value
    raise unreadable(file, f"{name} of row {row} is {value!a:.40}, not a string", f"write {name} in quotes")


def write_reference(folder: Path, rows: Sequence[TextInput], logits: Logits | Sequence[Logits]) -> None:
    """Store reference rows and their PyTorch logits.

    Args:
        folder: the folder of the bundle.
        rows: the inputs; `reference.jsonl` has `text`, and `text_pair` and `metadata` if present.
        logits: float32 [rows, labels]; for token classification a list of float32 [tokens, labels], stored as
            one concatenated array together with `lengths`, int64 [rows].
    """
    lines = [orjson.dumps(_to_json(row), default=str, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]
    (folder / REFERENCE_TEXTS).write_bytes(b"".join(line + b"\n" for line in lines))
    if isinstance(logits, np.ndarray):
        np.savez_compressed(folder / REFERENCE_LOGITS, logits=logits.astype(np.float32))
        return
    lengths = np.array([len(row) for row in logits], dtype=np.int64)
    joined = np.concatenate(logits).astype(np.float32)
    np.savez_compressed(folder / REFERENCE_LOGITS, logits=joined, lengths=lengths)


def infer_mixed_batch(
    runtime: Runtime, tokeniser: Tokeniser, rows: Sequence[TextInput], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Logits]:
    """Infer rows from the shortest to the longest in one batch, to check masks and batch-wide int8 scales.

    Args:
        runtime: the runtime of the variant.
        tokeniser: the tokenizer of the bundle.
        rows: the reference rows.
        lengths: int64 [rows], the number of logit vectors of each row.

    Returns:
        The indices of the logits in the reference, int64 [vectors], and the logits, float32 [vectors,
        labels].
    """
    encoded = tokeniser.encode(rows)
    # The logits of a row in several windows are pooled, so they cannot be compared within one batch.
    whole = [at for at, tokens in enumerate(encoded) if not _has_windows(tokeniser, tokens)]
    whole.sort(key=lambda at: len(encoded[at]))
    picked = sorted({whole[round(share)] for share in np.linspace(0, len(whole) - 1, MIXED_ROWS)})
    logits = runtime.infer(tokeniser.pad([encoded[at] for at in picked]))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    indices = np.concatenate([np.arange(starts[at], starts[at] + lengths[at]) for at in picked])
    if tokeniser.tags_tokens:
        logits = np.concatenate([logits[n, : lengths[at]] for n, at in enumerate(picked)])
    return indices.astype(np.int64), logits


def _has_windows(tokeniser: Tokeniser, tokens: Tokens) -> bool:
    return tokeniser.windows is not None and isinstance(tokens, RowTokens) and len(tokens.windows(2)) > 1


def _pairs(texts: Sequence[str]) -> Iterator[TextInput]:
    plain = "where is my order"
    yield from (TextInput(plain, ""), TextInput("", plain), TextInput("", ""))
    for text in texts:
        yield TextInput(text, plain)
        yield TextInput(plain, text)
    yield from (TextInput(text, text) for text in texts)


def _edge_case_metadata(columns: Sequence[MetadataColumn]) -> list[dict[str, Any] | None]:
    known = {
        column.name: column.values[0] if isinstance(column, CategoricalColumn) and column.values else 1
        for column in columns
    }
    unseen = {column.name: "never seen before" for column in columns}
    return [None, {}, known, unseen, {column.name: -1e9 for column in columns}]


def _to_json(row: TextInput) -> dict[str, Any]:
    members = {"text": row.text, "text_pair": row.text_pair}
    if row.metadata is not None:
        members["metadata"] = dict(row.metadata)  # type: ignore[assignment]
    return {name: value for name, value in members.items() if value is not None}
