"""Inference with PyTorch: the reference logits for every export, and their probabilities."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stream.bundle import HeadKind
from stream.classify import TextInput, plan_batches, sigmoid, softmax
from stream.runtime import Logits
from trainer.model.encoding import EncodedWindows, Preprocessing, encode, join_windows, pool_windows

BATCH_ROWS = 32
BATCH_TOKENS = 4096

ModelOutput = Logits | list[Logits]
"""float32 [rows, labels], or for token classification float32 [tokens, labels] of each row."""

Progress = Callable[[int], None]
"""A callback that receives the number of rows that have been processed since its last call."""


def torch_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    preprocessing: Preprocessing,
    progress: Progress = lambda _: None,
) -> Logits:
    """Return the logits of rows, in the order of the rows.

    The Hugging Face tokenizer makes the tokens, so a comparison with the worker's logits also covers the
    worker's tokenisation.

    Args:
        model: a classifier with one vector of logits per row; it is switched to eval mode and computes in the
            precision of its weights.
        tokenizer: the fast tokenizer of the model.
        rows: any number of rows.
        preprocessing: maximum length, windows and metadata. The logits of the windows of a row are pooled.
        progress: receives the number of processed rows after each batch.

    Returns:
        float32 [rows, labels].
    """
    encoded, found = _window_logits(model, tokenizer, rows, preprocessing, progress)
    stacked = np.stack(found) if found else np.zeros((0, model.config.num_labels), np.float32)
    return pool_windows(stacked, encoded.owners, len(rows), preprocessing.windows)


def torch_token_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    preprocessing: Preprocessing,
    progress: Progress = lambda _: None,
) -> list[Logits]:
    """Return the token logits of rows; the arguments are those of `torch_logits`.

    Returns:
        float32 [tokens, labels] of each row, special tokens included. The logits of the windows of a row are
        concatenated.
    """
    encoded, found = _window_logits(model, tokenizer, rows, preprocessing, progress)
    trimmed = [logits[:length] for logits, length in zip(found, encoded.lengths, strict=True)]
    return join_windows(trimmed, encoded.owners, len(rows))


def probabilities(logits: Logits, head: HeadKind, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the softmax over the last axis of logits / temperature, or the sigmoid for multi-label.

    The functions are the worker's own.

    Raises:
        ValueError: the head is a regression, which has no probabilities.
    """
    if head == "regression":
        raise ValueError("a regression has no probabilities")
    scaled = logits / temperature
    return sigmoid(scaled) if head == "multi-label" else softmax(scaled)


def _window_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    preprocessing: Preprocessing,
    progress: Progress,
) -> tuple[EncodedWindows, list[Logits]]:
    """Return the windows of rows and the logits of each: [labels], or [padded tokens, labels] for tokens."""
    model.eval()
    encoded = encode(tokenizer, rows, preprocessing)
    metadata = preprocessing.encode_metadata(rows)
    found: list[Logits] = [np.empty(0, np.float32)] * len(encoded.owners)
    for batch in plan_batches(encoded.lengths, max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
        for at, logits in zip(batch, _batch_logits(model, tokenizer, encoded, batch, metadata), strict=True):
            found[at] = logits
        progress(_count_rows(encoded, batch))
    return encoded, found


def batch_inputs(
    model: Any,
    tokenizer: Any,
    encoded: EncodedWindows,
    batch: Sequence[int],
    metadata: npt.NDArray[np.float32] | None,
) -> dict[str, Any]:
    """Return the inputs of a model for some windows, padded on the right, on the model's device."""
    columns = {name: [values[at] for at in batch] for name, values in encoded.columns.items()}
    padded = dict(tokenizer.pad(columns, padding="longest", return_tensors="pt").to(model.device))
    if metadata is not None:
        owners = [encoded.owners[at] for at in batch]
        padded["metadata"] = torch.from_numpy(metadata[owners]).to(model.device)
    return padded


def _batch_logits(
    model: Any,
    tokenizer: Any,
    encoded: EncodedWindows,
    batch: Sequence[int],
    metadata: npt.NDArray[np.float32] | None,
) -> Logits:
    """Return the logits of some windows, float32 [windows, labels] or [windows, padded tokens, labels]."""
    padded = batch_inputs(model, tokenizer, encoded, batch, metadata)
    with torch.inference_mode():
        logits: Logits = model(**padded).logits.float().cpu().numpy()
    return logits


def _count_rows(encoded: EncodedWindows, batch: Sequence[int]) -> int:
    """Count the rows whose first window is in a batch, so that each row counts once."""
    return sum(at == 0 or encoded.owners[at - 1] != encoded.owners[at] for at in batch)
