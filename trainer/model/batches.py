"""Training data for the Hugging Face Trainer: a dataset of windows, and the collator that pads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stream.bundle import HeadKind, TargetScale
from trainer.data.examples import Example
from trainer.model.encoding import EncodedWindows, Preprocessing, encode
from trainer.model.losses import IGNORED
from trainer.model.targets import row_targets

Item = dict[str, Any]


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


def row_dataset(
    tokenizer: Any,
    examples: Sequence[Example],
    labels: Sequence[str],
    head: HeadKind,
    preprocessing: Preprocessing,
    target: TargetScale | None = None,
) -> WindowDataset:
    """Return a training dataset for any head except token classification (see `trainer.model.tags`).

    Each window has the target of its row.

    Args:
        tokenizer: the fast tokenizer of the model.
        examples: the training rows.
        labels: the labels in the order of the logits.
        head: the head, which determines the form of the targets.
        preprocessing: maximum length, windows and metadata.
        target: the scale of regression targets.
    """
    inputs = [example.input for example in examples]
    encoded = encode(tokenizer, inputs, preprocessing)
    targets = row_targets(examples, labels, head)
    if target is not None:
        targets = (targets - target.mean) / target.std
    if head != "single-label":
        targets = targets.astype(np.float32)
    of_windows = [targets[owner] for owner in encoded.owners]
    return WindowDataset(encoded, of_windows, preprocessing.encode_metadata(inputs))


class Collator:
    """A collator that pads the windows of a batch on the right, to the longest window."""

    def __init__(self, tokenizer: Any, *, token: bool = False) -> None:
        """
        Args:
            tokenizer: the fast tokenizer of the model.
            token: whether each token has a target; the targets are then padded too.
        """
        self._tokenizer = tokenizer
        self._token = token

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Return tensors: the model inputs, int64 [windows, tokens], `labels` and, if present, `metadata`."""
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
