"""PyTorch's own answer: the logits that every export is held against."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import torch

from stream.bundle.manifest import MetadataColumn, Windows
from stream.classify.inputs import TextInput
from stream.classify.metadata import MetadataEncoder
from stream.classify.queue import plan
from stream.runtime.base import Logits
from trainer.model.encoding import Encoded, encode
from trainer.model.windows import join_windows, pool_windows

BATCH_ROWS = 32
BATCH_TOKENS = 4096


@overload
def torch_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    *,
    max_length: int,
    metadata: Sequence[MetadataColumn] | None = None,
    windows: Windows | None = None,
    token: Literal[False] = False,
    progress: Callable[[int], None] = ...,
) -> Logits: ...


@overload
def torch_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    *,
    max_length: int,
    metadata: Sequence[MetadataColumn] | None = None,
    windows: Windows | None = None,
    token: Literal[True],
    progress: Callable[[int], None] = ...,
) -> list[Logits]: ...


@overload
def torch_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    *,
    max_length: int,
    metadata: Sequence[MetadataColumn] | None = None,
    windows: Windows | None = None,
    token: bool,
    progress: Callable[[int], None] = ...,
) -> Logits | list[Logits]: ...


def torch_logits(
    model: Any,
    tokenizer: Any,
    rows: Sequence[TextInput],
    *,
    max_length: int,
    metadata: Sequence[MetadataColumn] | None = None,
    windows: Windows | None = None,
    token: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Logits | list[Logits]:
    """Logits of many rows, in their order.

    Tokens come from the Hugging Face tokenizer, so a comparison with the worker's covers the tokens too.

    Args:
        model: a classifier; it is put into eval mode. Its arithmetic is that of its weights.
        tokenizer: its fast tokenizer.
        rows: any number of rows.
        max_length: tokens after which a row is cut, or the length of its windows.
        metadata: columns that the model reads, with their encoders' state.
        windows: how rows longer than `max_length` are read; their windows' logits are pooled.
        token: whether each token has logits of its own.
        progress: told how many rows were done.

    Returns:
        float32 [rows, labels]; with `token` a list of float32 [tokens of the row, labels], special tokens
        included, and those of a row's windows one behind the other.
    """
    model.eval()
    encoded = encode(tokenizer, rows, max_length, windows)
    read = MetadataEncoder(metadata).encode([row.metadata for row in rows]) if metadata else None
    found: list[npt.NDArray[np.float32]] = [np.empty(0, np.float32)] * len(encoded.owners)
    for batch in plan(encoded.lengths, max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
        logits = _batch(model, tokenizer, encoded, batch, read)
        for at, window in zip(batch, logits, strict=True):
            found[at] = window[: encoded.lengths[at]] if token else window
        progress(_finished(encoded, batch))
    if token:
        return join_windows(found, encoded.owners, len(rows))
    stacked = np.stack(found) if found else np.zeros((0, model.config.num_labels), np.float32)
    return pool_windows(stacked, encoded.owners, len(rows), windows)


def _batch(
    model: Any,
    tokenizer: Any,
    encoded: Encoded,
    batch: Sequence[int],
    metadata: npt.NDArray[np.float32] | None,
) -> Logits:
    """Logits of some windows, float32 [windows, labels] or [windows, padded tokens, labels]."""
    columns = {name: [values[at] for at in batch] for name, values in encoded.columns.items()}
    padded = dict(tokenizer.pad(columns, padding="longest", return_tensors="pt").to(model.device))
    if metadata is not None:
        owners = [encoded.owners[at] for at in batch]
        padded["metadata"] = torch.from_numpy(metadata[owners]).to(model.device)
    with torch.inference_mode():
        logits: Logits = model(**padded).logits.float().cpu().numpy()
    return logits


def _finished(encoded: Encoded, batch: Sequence[int]) -> int:
    """Rows whose first window is in a batch, so that each row is counted once."""
    return sum(at == 0 or encoded.owners[at - 1] != encoded.owners[at] for at in batch)
