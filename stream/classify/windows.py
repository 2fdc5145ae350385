"""Long texts: they are split into overlapping windows, and the windows' logits are pooled after inference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads import Head
from stream.classify.heads.base import ROW_DIMENSIONS, TAG_DIMENSIONS
from stream.classify.inputs import RowResult
from stream.classify.tokenise import RowTokens, TextTokens, Tokens
from stream.errors import Poison, Reason
from stream.isolation import isolate
from stream.runtime import Logits

T = TypeVar("T")

WindowResult = RowResult | None
"""The result of a row, or None for a window while other windows of its text are missing."""


class Window:
    """A window of a text, with the attributes that the queue and the model read."""

    __slots__ = ("index", "text", "tokens")

    def __init__(self, tokens: RowTokens, text: "WindowedText", index: int) -> None:
        self.tokens = tokens
        self.text = text
        self.index = index

    @property
    def ids(self) -> list[int]:
        """The token ids of the window."""
        return self.tokens.ids

    @property
    def type_ids(self) -> list[int]:
        """The token type ids of the window."""
        return self.tokens.type_ids

    @property
    def metadata(self) -> npt.NDArray[np.float32] | None:
        """The metadata of the row, float32 [columns]."""
        return self.tokens.metadata

    def __len__(self) -> int:
        return len(self.tokens)


class WindowedText:
    """The windows of a text, and the logits of each window that was inferred."""

    __slots__ = ("logits", "remaining", "windows")

    def __init__(self, windows: Sequence[RowTokens]) -> None:
        self.windows = [Window(tokens, self, index) for index, tokens in enumerate(windows)]
        self.logits: list[Logits | Poison | None] = [None] * len(windows)
        self.remaining = len(windows)

    def receive(self, index: int, logits: Logits | Poison) -> bool:
        """Store the logits of a window; return True if it was the last one missing."""
        self.logits[index] = logits
        self.remaining -= 1
        return not self.remaining


@dataclass(frozen=True, slots=True)
class MergedTokens:
    """The text's own tokens from all of its windows, each once."""

    text: str
    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    special_tokens_mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class WindowPool:
    """Splits the texts of one bundle into windows, and pools the windows' logits."""

    def __init__(self, manifest: Manifest, head: Head) -> None:
        """
        Args:
            manifest: the manifest of a bundle with windows.
            head: predicts from the pooled logits.
        """
        assert manifest.windows is not None
        self._windows = manifest.windows
        self._tags_tokens = manifest.head == "token"
        self._labels = len(manifest.labels)
        self._head = head

    def split(self, tokens: Tokens) -> Sequence[Window]:
        """Split a text into windows: at least one, at most the bundle's maximum."""
        assert isinstance(tokens, RowTokens)
        return WindowedText(tokens.windows(self._windows.most)).windows

    def first_window(self, tokens: Tokens) -> Window:
        """Return the first window of a text as its only one."""
        assert isinstance(tokens, RowTokens)
        return WindowedText([tokens]).windows[0]

    def collect(self, logits: Logits, windows: Sequence[Tokens]) -> list[WindowResult]:
        """Store the logits of windows, [windows, labels] or [windows, tokens, labels].

        Returns:
            The result of a text for the window that completes it, None for every other window.

        Raises:
            ValueError: the logits have another shape; then none is stored.
        """
        self._check_shape(logits, windows)
        results: list[WindowResult] = [None] * len(windows)
        complete: list[tuple[int, WindowedText]] = []
        for at, (window, row) in enumerate(zip(windows, logits, strict=True)):
            assert isinstance(window, Window)
            if window.text.receive(window.index, row[: len(window)] if self._tags_tokens else row):
                complete.append((at, window.text))
        # This isolates faulty texts itself: after an error the batch would be halved and inferred again, and
        # its windows received twice.
        predicted = isolate(self._predict, [text for _, text in complete], _uninterpretable)
        for (at, _), result in zip(complete, predicted, strict=True):
            results[at] = result
        return results

    def _check_shape(self, logits: Logits, windows: Sequence[Tokens]) -> None:
        longest = max(map(len, windows))
        dimensions = TAG_DIMENSIONS if self._tags_tokens else ROW_DIMENSIONS
        if (
            logits.ndim != dimensions
            or (logits.shape[0], logits.shape[-1]) != (len(windows), self._labels)
            or (self._tags_tokens and logits.shape[1] < longest)
        ):
            raise ValueError(
                f"the model returned logits of the shape {logits.shape} for {len(windows)} windows of up to"
                f" {longest} tokens and {self._labels} labels"
            )

    def _predict(self, texts: Sequence[WindowedText]) -> Sequence[RowResult]:
        """Predict from the pooled logits of texts; the result of a text with a failed window is `Poison`."""
        results: list[RowResult | None] = [_first_poison(text) for text in texts]
        good = [at for at, result in enumerate(results) if result is None]
        if good:
            pooled = [self._pool(texts[at]) for at in good]
            rows = [row for row, _ in pooled]
            # Token heads take a sequence of [tokens, labels]; other heads take one array.
            logits = rows if self._tags_tokens else np.stack(rows)
            predicted = self._head.predict(logits, [tokens for _, tokens in pooled])  # type: ignore[arg-type]
            for at, result in zip(good, predicted, strict=True):
                results[at] = result
        return [result for result in results if result is not None]

    def mark_failed(self, window: Tokens, poison: Poison) -> WindowResult:
        """Mark a window that cannot be inferred; return `poison` if the window completes its text."""
        assert isinstance(window, Window)
        if window.text.receive(window.index, poison):
            return _first_poison(window.text)
        return None

    def _pool(self, text: WindowedText) -> tuple[Logits, Tokens]:
        rows = [row for row in text.logits if isinstance(row, np.ndarray)]
        tokens = [window.tokens for window in text.windows]
        if self._tags_tokens:
            return merge_tokens(rows, tokens, self._windows.stride)
        return pool_logits(np.stack(rows), self._windows.pooling), tokens[0]


def _uninterpretable(_text: WindowedText, _error: BaseException) -> Poison:
    return Poison(Reason.MODEL, "the logits of this text cannot be interpreted")


def _first_poison(text: WindowedText) -> Poison | None:
    return next((logits for logits in text.logits if isinstance(logits, Poison)), None)


def pool_logits(logits: Logits, pooling: str) -> Logits:
    """Pool the logits of a text's windows, float32 [windows, labels], to float32 [labels].

    If any logit is not finite, all pooled logits are NaN, regardless of the pooling.
    """
    if not np.isfinite(logits).all():
        return np.full(logits.shape[1], np.nan, dtype=np.float32)
    pooled: Logits = logits.max(axis=0) if pooling == "max" else logits.mean(axis=0, dtype=np.float32)
    return pooled


def merge_tokens(
    logits: Sequence[Logits], windows: Sequence[TextTokens], stride: int
) -> tuple[Logits, MergedTokens]:
    """Merge the windows of a text: take each token from the window where it has the most context.

    Args:
        logits: float32 [tokens, labels] of each window, special tokens included.
        windows: the tokens of each window.
        stride: the number of tokens that adjacent windows share.

    Returns:
        The logits of the text's own tokens, float32 [tokens, labels], and these tokens.
    """
    own = [[at for at, special in enumerate(w.special_tokens_mask) if not special] for w in windows]
    positions = [
        (window, own[window][index]) for window, index in central_positions([*map(len, own)], stride)
    ]
    merged = MergedTokens(
        windows[0].text,
        _gather([w.ids for w in windows], positions),
        _gather([w.type_ids for w in windows], positions),
        _gather([w.offsets for w in windows], positions),
        _gather([w.word_ids for w in windows], positions),
        [0] * len(positions),
    )
    rows = [logits[window][at] for window, at in positions]
    return np.array(rows, dtype=np.float32).reshape(len(rows), logits[0].shape[1]), merged


def _gather(columns: Sequence[Sequence[T]], positions: Sequence[tuple[int, int]]) -> list[T]:
    return [columns[window][at] for window, at in positions]


def central_positions(lengths: Sequence[int], stride: int) -> list[tuple[int, int]]:
    """Find the position of each token of a text in the window where it is farthest from a window border.

    Args:
        lengths: the number of the text's own tokens in each window.
        stride: the number of tokens that adjacent windows share.

    Returns:
        (window, index among the window's own tokens) of each token of the text, in order; of two equally good
        windows the earlier one.
    """
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length - stride)
    best: dict[int, tuple[int, int, int]] = {}
    for window, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        for index in range(length):
            # The beginning and the end of the text are not window borders.
            left = index if window else length
            right = length - 1 - index if window < len(lengths) - 1 else length
            margin = min(left, right)
            known = best.get(start + index)
            if known is None or margin > known[0]:
                best[start + index] = (margin, window, index)
    return [(window, index) for _, (_, window, index) in sorted(best.items())]
