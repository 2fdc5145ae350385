"""Windows' logits to rows' logits, by the worker's own rules."""

from collections.abc import Sequence

import numpy as np

from stream.bundle.manifest import Windows
from stream.classify.tokenise import RowTokens, TextTokens
from stream.classify.windows import merge_tokens, pool
from stream.runtime.base import Logits
from trainer.data import Example
from trainer.encoding import Encoded


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
    if windows is None:
        return logits
    starts = np.searchsorted(np.asarray(owners), np.arange(1, rows))
    return np.stack([pool(part, windows.pooling) for part in np.split(logits, starts)])


def join_windows(
    found: Sequence[Logits], encoded: Encoded, rows: int, windows: Windows | None
) -> list[Logits]:
    """Put the token logits of each row's windows together, each token from where it stands best.

    Args:
        found: float32 [tokens, labels] of each window, special tokens included.
        encoded: the windows.
        rows: how many rows there are.
        windows: says how many tokens neighbours share; None for one window a row.

    Returns:
        For each row float32 [tokens, labels]: all of its tokens, or with `windows` its text's own tokens only.
    """
    if windows is None:
        return list(found)
    return [
        merge_tokens(
            [found[at] for at in of_row],
            [RowTokens(encoded.encodings[at], "", None) for at in of_row],
            windows.stride,
        )[0]
        for of_row in _windows_of_rows(encoded.owners, rows)
    ]


def own_tokens(encoded: Encoded, examples: Sequence[Example], windows: Windows | None) -> list[TextTokens]:
    """The tokens of rows that stand behind each row of `join_windows`' logits."""
    if windows is None:
        return [
            RowTokens(encoding, example.text, None)
            for example, encoding in zip(examples, encoded.encodings, strict=True)
        ]
    merged: list[TextTokens] = []
    for example, of_row in zip(examples, _windows_of_rows(encoded.owners, len(examples)), strict=True):
        tokens = [RowTokens(encoded.encodings[at], example.text, None) for at in of_row]
        nothing = [np.zeros((len(window), 1), np.float32) for window in tokens]
        merged.append(merge_tokens(nothing, tokens, windows.stride)[1])
    return merged


def _windows_of_rows(owners: Sequence[int], rows: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(rows)]
    for at, owner in enumerate(owners):
        found[owner].append(at)
    return found
