"""One batch of rows from the shortest to the longest: where masks and batch-wide scales would show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream.classify import RowTokens, TextInput, Tokeniser, Tokens
from stream.runtime import Logits, Runtime

MIXED_ROWS = 8


def mixed_batch(
    runtime: Runtime, tokeniser: Tokeniser, rows: Sequence[TextInput], lengths: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Logits]:
    """Infer rows from the shortest to the longest in one batch.

    Args:
        runtime: computes.
        tokeniser: the bundle's.
        rows: the reference.
        lengths: rows of logits of each of them.

    Returns:
        Where their logits stand in the reference, and what was found for them, float32 [places, labels].
    """
    encoded = tokeniser.encode(rows)
    # A row of several windows has no logits of its own to compare.
    whole = [at for at, tokens in enumerate(encoded) if not _in_windows(tokeniser, tokens)]
    whole.sort(key=lambda at: len(encoded[at]))
    picked = sorted({whole[round(share)] for share in np.linspace(0, len(whole) - 1, MIXED_ROWS)})
    logits = runtime.infer(tokeniser.pad([encoded[at] for at in picked]))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    places = np.concatenate([np.arange(starts[at], starts[at] + lengths[at]) for at in picked])
    if tokeniser.tags_tokens:
        logits = np.concatenate([logits[n, : lengths[at]] for n, at in enumerate(picked)])
    return places.astype(np.int64), logits


def _in_windows(tokeniser: Tokeniser, tokens: Tokens) -> bool:
    return tokeniser.windows is not None and isinstance(tokens, RowTokens) and len(tokens.windows(2)) > 1
