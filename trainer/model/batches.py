"""Training rows as the Hugging Face Trainer takes them: windows of tokens, targets, metadata; not padded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stream.bundle.manifest import Head, MetadataColumn, TargetScale
from stream.classify.metadata import MetadataEncoder
from trainer.data.examples import Example
from trainer.model.encoding import Encoded
from trainer.model.losses import IGNORED
from trainer.model.truth import targets

Item = dict[str, Any]


class Rows:
    """Windows of rows with their targets; each window has the target of its row."""

    def __init__(
        self,
        encoded: Encoded,
        labels: Sequence[Any],
        metadata: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """
        Args:
            encoded: the windows.
            labels: of each window: a label's number, 0 and 1 for each label, a standardised number, or a
                number for each token.
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
        """Tokens of each window."""
        return self._encoded.lengths

    @property
    def owners(self) -> list[int]:
        """The row of each window."""
        return self._encoded.owners


def labelled_rows(
    encoded: Encoded,
    examples: Sequence[Example],
    labels: Sequence[str],
    head: Head,
    *,
    target: TargetScale | None = None,
    metadata: Sequence[MetadataColumn] | None = None,
) -> Rows:
    """Rows for every head over one vector a row; for token classification see `tagged_rows`.

    Args:
        encoded: the examples' windows.
        examples: the rows.
        labels: in the order of the logits.
        head: says what targets are.
        target: what a regression's logits mean.
        metadata: the columns that the model reads.
    """
    truth = targets(examples, labels, head)
    if target is not None:
        truth = (truth - target.mean) / target.std
    if head != "single-label":
        truth = truth.astype(np.float32)
    of_windows = [truth[owner] for owner in encoded.owners]
    return Rows(encoded, of_windows, encoded_metadata(examples, metadata))


def encoded_metadata(
    examples: Sequence[Example], columns: Sequence[MetadataColumn] | None
) -> npt.NDArray[np.float32] | None:
    """float32 [rows, graph columns], or None where a model reads no metadata."""
    return MetadataEncoder(columns).encode([e.metadata for e in examples]) if columns else None


class Collator:
    """Pads windows to the longest of a batch, on the right."""

    def __init__(self, tokenizer: Any, *, token: bool = False) -> None:
        self._tokenizer = tokenizer
        self._token = token

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Tensors of a batch: int64 [windows, tokens] for the model's inputs, `labels`, `metadata`."""
        names = [name for name in items[0] if name not in ("labels", "metadata")]
        batch = dict(
            self._tokenizer.pad(
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
