"""Windows' logits to rows' logits, by the worker's own rules."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from stream.bundle import Windows
from stream.classify import RowTokens, TextTokens, merge_tokens, pool_logits
from stream.runtime import Logits
from trainer.model.encoding import Encoded


def pool_windows(logits: Logits, owners: Sequence[int], rows: int, windows: Windows | None) -> Logits:
    """Pool the logits of each row's windows.

    Args:
        logits: float32 [windows, labels].
        owners: the row of each window, ascending; every row has one at least.
        rows: how many rows there are.
        windows: says how; None for one window a row.

    Returns:
        float32 [rows, labels].
    """
    if windows is None or not rows:
        return logits
    return np.stack([pool_logits(logits[a:b], windows.pooling) for a, b in pairwise(_starts(owners, rows))])


def join_windows(found: Sequence[Logits], owners: Sequence[int], rows: int) -> list[Logits]:
    """The token logits of each row's windows, one behind the other, special tokens included."""
    return [np.concatenate(found[a:b]) for a, b in pairwise(_starts(owners, rows))]


def tokens_of_rows(
    encoded: Encoded, texts: Sequence[str], windows: Windows | None
) -> list[tuple[TextTokens, list[int]]]:
    """Each row's tokens, and where in the row of `join_windows` the logits of each of them stand.

    A row in windows has its text's own tokens, each from the window where it stands farthest from a cut.
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
        places = [np.arange(*span, dtype=np.float32)[:, None] for span in pairwise(ends)]
        chosen, merged = merge_tokens(places, tokens[a:b], windows.stride)
        found.append((merged, chosen[:, 0].astype(int).tolist()))
    return found


def _starts(owners: Sequence[int], rows: int) -> list[int]:
    """Where each row's windows begin, and where the last row's end."""
    starts: list[int] = np.searchsorted(np.asarray(owners), np.arange(rows + 1)).tolist()
    return starts
