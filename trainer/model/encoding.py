"""The tokens of texts, truncated or in overlapping windows, and their batches.

`encode` splits rows into windows, and `Collator` pads windows to a batch. `pool_windows` and `join_windows`
combine the logits of the windows of a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stream.bundle import MetadataColumn, Windows
from stream.classify import MetadataEncoder, RowTokens, TextInput, TextTokens, merge_tokens, pool_logits
from stream.runtime import Logits

NOT_INPUTS = ("overflow_to_sample_mapping",)

IGNORED = -100
"""The target of tokens that do not count in the loss: the default `ignore_index` of PyTorch."""

Item = dict[str, Any]
"""The model inputs of one window, with its target in `labels` and its row's `metadata`."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The settings that turn rows into model inputs.

    Attributes:
        max_length: the number of tokens after which a row is truncated, or the length of its windows.
        windows: the overlap and the pooling of the windows of longer rows; None truncates them.
        metadata: the metadata columns that the model reads, with the state of their encoders.
    """

    max_length: int
    windows: Windows | None = None
    metadata: Sequence[MetadataColumn] | None = None

    @property
    def metadata_width(self) -> int:
        """The number of graph columns that encode the metadata of a row; 0 for a model without metadata."""
        return sum(column.width for column in self.metadata or ())

    def encode_metadata(self, rows: Sequence[TextInput]) -> npt.NDArray[np.float32] | None:
        """Return float32 [rows, graph columns], or None for a model without metadata."""
        return (
            MetadataEncoder(self.metadata).encode([row.metadata for row in rows]) if self.metadata else None
        )


@dataclass(frozen=True, slots=True)
class EncodedWindows:
    """The tokens of all windows of some rows; a row that is not split is one window.

    Attributes:
        columns: the token inputs of the model by name, a list of numbers per window, without padding.
        owners: the row number of each window, ascending.
        encodings: the encoding of each window from the Rust tokenizer, with offsets and word ids.
    """

    columns: dict[str, list[list[int]]]
    owners: list[int]
    encodings: list[Any]

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each window."""
        return [len(ids) for ids in self.columns["input_ids"]]

    def window(self, at: int) -> dict[str, list[int]]:
        """Return the model inputs of one window."""
        return {name: values[at] for name, values in self.columns.items()}


class WindowDataset:
    """A dataset whose items are windows of rows, without padding, with targets and metadata."""

    def __init__(
        self,
        encoded: EncodedWindows,
        labels: Sequence[Any],
        metadata: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """
        Args:
            encoded: the windows.
            labels: the target of each window: a label number, 0 and 1 for each label, a standardised number,
                or a number for each token.
            metadata: float32 [rows, graph columns].
        """
        self._encoded = encoded
        self._labels = labels
        self._metadata = metadata

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, at: int) -> Item:
        item: Item = {**self._encoded.window(at), "labels": self._labels[at]}
        if self._metadata is not None:
            item["metadata"] = self._metadata[self._encoded.owners[at]]
        return item

    @property
    def lengths(self) -> list[int]:
        """The number of tokens of each window."""
        return self._encoded.lengths


class Collator:
    """A collator that pads the windows of a batch on the right, to the longest window."""

    def __init__(self, tokenizer: Any, *, token: bool = False) -> None:
        """
        Args:
            tokenizer: the fast tokenizer of the model.
            token: whether each token has a target; the targets are then padded too.
        """
        # The Trainer saves the tokenizer of this name into its checkpoints.
        self.tokenizer = tokenizer
        self._token = token

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Return tensors: the model inputs, int64 [windows, tokens], `labels` and, if present, `metadata`."""
        names = [name for name in items[0] if name not in ("labels", "metadata")]
        batch = dict(
            self.tokenizer.pad(
                {name: [item[name] for item in items] for name in names},
                padding="longest",
                return_tensors="pt",
            )
        )
        labels = [item["labels"] for item in items]
        if self._token:
            width = batch["input_ids"].shape[1]
            labels = [[*row, *[IGNORED] * (width - len(row))] for row in labels]
        batch["labels"] = torch.from_numpy(np.array(labels))
        if "metadata" in items[0]:
            batch["metadata"] = torch.from_numpy(np.stack([item["metadata"] for item in items]))
        return batch


def encode(tokenizer: Any, rows: Sequence[TextInput], preprocessing: Preprocessing) -> EncodedWindows:
    """Tokenise rows with a fast tokenizer of transformers.

    A row with a second text is encoded as a pair. Truncation removes tokens from the longer text of a pair
    first.
    """
    if not rows:
        return EncodedWindows({"input_ids": []}, [], [])
    windows = preprocessing.windows
    encoded = tokenizer(
        _texts(rows),
        truncation="longest_first",
        max_length=preprocessing.max_length,
        stride=windows.stride if windows else 0,
        return_overflowing_tokens=windows is not None,
    )
    owners = encoded["overflow_to_sample_mapping"] if windows else list(range(len(rows)))
    kept = _first_windows(owners, windows.most) if windows else range(len(owners))
    return EncodedWindows(
        columns={
            name: [values[at] for at in kept] for name, values in encoded.items() if name not in NOT_INPUTS
        },
        owners=[owners[at] for at in kept],
        encodings=[encoded.encodings[at] for at in kept],
    )


def token_counts(tokenizer: Any, rows: Sequence[TextInput]) -> list[int]:
    """Return the number of tokens of each row without truncation."""
    return [len(ids) for ids in tokenizer(_texts(rows), truncation=False)["input_ids"]]


def pool_windows(logits: Logits, owners: Sequence[int], rows: int, windows: Windows | None) -> Logits:
    """Pool the logits of the windows of each row.

    Args:
        logits: float32 [windows, labels].
        owners: the row number of each window, ascending; every row has at least one window.
        rows: the number of rows.
        windows: the pooling; None if every row has exactly one window.

    Returns:
        float32 [rows, labels].
    """
    if windows is None or not rows:
        return logits
    return np.stack([pool_logits(logits[a:b], windows.pooling) for a, b in pairwise(_starts(owners, rows))])


def join_windows(logits: Sequence[Logits], owners: Sequence[int], rows: int) -> list[Logits]:
    """Concatenate the token logits of the windows of each row, special tokens included."""
    return [np.concatenate(logits[a:b]) for a, b in pairwise(_starts(owners, rows))]


def tokens_of_rows(
    encoded: EncodedWindows, texts: Sequence[str], windows: Windows | None
) -> list[tuple[TextTokens, list[int]]]:
    """Return the tokens of each row, and the index of their logits in the output of `join_windows`.

    For a row in several windows, each token comes from the window in which it is farthest from the window's
    ends.
    """
    tokens = [
        RowTokens(encoding, texts[owner], None)
        for encoding, owner in zip(encoded.encodings, encoded.owners, strict=True)
    ]
    if windows is None:
        return [(row, list(range(len(row)))) for row in tokens]
    found: list[tuple[TextTokens, list[int]]] = []
    for a, b in pairwise(_starts(encoded.owners, len(texts))):
        ends = [0, *accumulate(len(window) for window in tokens[a:b])]
        positions = [np.arange(*span, dtype=np.float32)[:, None] for span in pairwise(ends)]
        chosen, merged = merge_tokens(positions, tokens[a:b], windows.stride)
        found.append((merged, chosen[:, 0].astype(int).tolist()))
    return found


def _texts(rows: Sequence[TextInput]) -> list[str | tuple[str, str]]:
    return [row.text if row.text_pair is None else (row.text, row.text_pair) for row in rows]


def _first_windows(owners: Sequence[int], limit: int) -> list[int]:
    """Return the numbers of the first `limit` windows of each row."""
    seen: dict[int, int] = {}
    kept = []
    for at, owner in enumerate(owners):
        seen[owner] = seen.get(owner, 0) + 1
        if seen[owner] <= limit:
            kept.append(at)
    return kept


def _starts(owners: Sequence[int], rows: int) -> list[int]:
    """Return the number of the first window of each row, and the number of windows as the last element."""
    starts: list[int] = np.searchsorted(np.asarray(owners), np.arange(rows + 1)).tolist()
    return starts
