"""Offline inference: the logits of many rows in a given order."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from stream.classify import RowTokens, TextInput, Tokeniser, Tokens, plan_batches, pool_logits
from stream.runtime import Logits, Runtime

# The batches of a worker on a CPU: the int8 rounding of a text depends on the other texts in its batch.
BATCH_ROWS = 64
BATCH_TOKENS = 512


def infer_all(
    runtime: Runtime,
    tokeniser: Tokeniser,
    rows: Sequence[TextInput],
    progress: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Compute the logits of many rows in batches of similar length, and return them in the rows' order.

    Texts are split into windows if the bundle does so, and the logits of their windows are pooled.

    Args:
        runtime: the inference session.
        tokeniser: the bundle's tokenizer.
        rows: the rows.
        progress: is called after each batch with the number of rows whose first window it contained.

    Returns:
        float32 [rows, labels]; for a bundle that tags tokens float32 [tokens, labels], the tokens of all rows
        in sequence with special tokens, and those of all windows of a text in sequence.
    """
    windows: list[Tokens] = []
    owners: list[int] = []
    for row, tokens in enumerate(tokeniser.encode(rows)):
        of_row = _split(tokeniser, tokens)
        windows += of_row
        owners += [row] * len(of_row)
    found: list[Logits] = [np.empty(0, dtype=np.float32)] * len(windows)
    lengths = [*map(len, windows)]
    for batch in plan_batches(lengths, max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
        logits = runtime.infer(tokeniser.pad([windows[index] for index in batch]))
        for index, window_logits in zip(batch, logits, strict=True):
            found[index] = window_logits[: lengths[index]] if tokeniser.tags_tokens else window_logits
        progress(sum(index == 0 or owners[index] != owners[index - 1] for index in batch))
    if tokeniser.tags_tokens:
        return np.concatenate(found)
    if tokeniser.windows is None:
        return np.stack(found)
    first = np.searchsorted(owners, np.arange(len(rows) + 1))
    pooling = tokeniser.windows.pooling
    return np.stack([pool_logits(np.stack(found[a:b]), pooling) for a, b in pairwise(first)])


def _split(tokeniser: Tokeniser, tokens: Tokens) -> Sequence[Tokens]:
    if tokeniser.windows is None:
        return [tokens]
    assert isinstance(tokens, RowTokens)
    return tokens.windows(tokeniser.windows.most)
