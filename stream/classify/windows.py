"""Texts longer than the model reads: cut into overlapping windows, put together again behind the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest, Windows
from stream.classify.inputs import Prediction
from stream.classify.tokenise import RowTokens, TextTokens, Tokens
from stream.errors import Poison, Reason
from stream.runtime.base import Logits

T = TypeVar("T")

Outcome = Prediction | Poison | None
"""A result, or None for a window while others of its text are not inferred yet."""

Judge = Callable[[Any, Sequence[Tokens]], Sequence[Prediction | Poison]]
"""Logits of texts and their tokens to predictions, as a head does it."""


class Window:
    """A window of a text, as the planner and the model see it."""

    __slots__ = ("at", "text", "tokens")

    def __init__(self, tokens: RowTokens, text: "CutText", at: int) -> None:
        self.tokens = tokens
        self.text = text
        self.at = at

    @property
    def ids(self) -> list[int]:
        """As those of its tokens."""
        return self.tokens.ids

    @property
    def type_ids(self) -> list[int]:
        """As those of its tokens."""
        return self.tokens.type_ids

    @property
    def metadata(self) -> npt.NDArray[np.float32] | None:
        """The row's."""
        return self.tokens.metadata

    def __len__(self) -> int:
        return len(self.tokens)


class CutText:
    """A text in windows, and what is known of each of them."""

    __slots__ = ("found", "left", "windows")

    def __init__(self, windows: Sequence[RowTokens]) -> None:
        self.windows = [Window(tokens, self, at) for at, tokens in enumerate(windows)]
        self.found: list[Logits | Poison | None] = [None] * len(windows)
        self.left = len(windows)

    def receive(self, at: int, found: Logits | Poison) -> bool:
        """Note what was found for a window; True when it was the last one missing."""
        self.found[at] = found
        self.left -= 1
        return not self.left


@dataclass(frozen=True, slots=True)
class MergedTokens:
    """A text's own tokens out of all its windows, each once."""

    text: str
    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]
    special_tokens_mask: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class WindowPool:
    """Cuts the texts of one bundle, and pools what the model says of their windows."""

    def __init__(self, windows: Windows, manifest: Manifest, judge: Judge) -> None:
        """
        Args:
            windows: how to cut and pool.
            manifest: the bundle's.
            judge: the head's `predictions`.
        """
        self._windows = windows
        self._of_tokens = manifest.head == "token"
        self._judge = judge

    def cut(self, tokens: Tokens) -> Sequence[Window]:
        """The windows of a text, at least one, at most as many as the bundle allows."""
        assert isinstance(tokens, RowTokens)
        return CutText(tokens.windows(self._windows.most)).windows

    def first(self, tokens: Tokens) -> Window:
        """A text's first window, as if it were all."""
        assert isinstance(tokens, RowTokens)
        return CutText([tokens]).windows[0]

    def outcomes(self, logits: Logits, windows: Sequence[Tokens]) -> list[Outcome]:
        """Note the logits of windows, [rows, labels] or [rows, tokens, labels].

        Returns:
            For each window the result of its text if it was the last one missing, else None.
        """
        outcomes: list[Outcome] = [None] * len(windows)
        whole: list[tuple[int, CutText]] = []
        for at, (window, row) in enumerate(zip(windows, logits, strict=True)):
            assert isinstance(window, Window)
            if window.text.receive(window.at, row[: len(window)] if self._of_tokens else row):
                whole.append((at, window.text))
        sound: list[tuple[int, Logits, Tokens]] = []
        for at, text in whole:
            if (poison := _poison(text)) is not None:
                outcomes[at] = poison
            else:
                sound.append((at, *self._pooled(text)))
        if sound:
            rows = [row for _, row, _ in sound]
            tokens = [tokens for _, _, tokens in sound]
            for (at, _, _), result in zip(sound, self._judged(rows, tokens), strict=True):
                outcomes[at] = result
        return outcomes

    def _judged(self, rows: list[Logits], tokens: list[Tokens]) -> Sequence[Prediction | Poison]:
        """What the head says of texts; one that it fails on is poison.

        It must not raise: the batch would be halved and inferred again, and its windows counted twice.
        """
        try:
            return self._judge(rows if self._of_tokens else np.stack(rows), tokens)
        except Exception as exc:  # noqa: BLE001 - heads share no error class
            if len(rows) == 1:
                return [
                    Poison(Reason.MODEL, f"the logits of this text were not understood: {type(exc).__name__}")
                ]
            alone = (self._judged([row], [of]) for row, of in zip(rows, tokens, strict=True))
            return [result for results in alone for result in results]

    def mark_failed(self, window: Tokens, poison: Poison) -> Outcome:
        """Note that a window cannot be inferred; its text becomes poison when all its windows are known."""
        assert isinstance(window, Window)
        if window.text.receive(window.at, poison):
            return _poison(window.text)
        return None

    def _pooled(self, text: CutText) -> tuple[Logits, Tokens]:
        rows = [row for row in text.found if isinstance(row, np.ndarray)]
        tokens = [window.tokens for window in text.windows]
        if self._of_tokens:
            return merge_tokens(rows, tokens, self._windows.stride)
        return pool(np.stack(rows), self._windows.pooling), tokens[0]


def _poison(text: CutText) -> Poison | None:
    return next((found for found in text.found if isinstance(found, Poison)), None)


def pool(logits: Logits, pooling: str) -> Logits:
    """Logits of a text's windows, float32 [windows, labels], to those of the text, float32 [labels].

    A window whose logits are not finite makes all of them not a number, whatever the pooling.
    """
    if not np.isfinite(logits).all():
        return np.full(logits.shape[1], np.nan, dtype=np.float32)
    pooled: Logits = logits.max(axis=0) if pooling == "max" else logits.mean(axis=0, dtype=np.float32)
    return pooled


def merge_tokens(
    logits: Sequence[Logits], windows: Sequence[TextTokens], stride: int
) -> tuple[Logits, MergedTokens]:
    """A text's own tokens, each from the window where it stands farthest from a cut.

    Args:
        logits: for each window, float32 [tokens, labels], special tokens included.
        windows: its tokens.
        stride: tokens that neighbours share.

    Returns:
        Logits float32 [tokens, labels] of the text's own tokens, and these.
    """
    own = [[at for at, special in enumerate(w.special_tokens_mask) if not special] for w in windows]
    places = [(window, own[window][at]) for window, at in best_places([*map(len, own)], stride)]
    merged = MergedTokens(
        windows[0].text,
        _gather([w.ids for w in windows], places),
        _gather([w.type_ids for w in windows], places),
        _gather([w.offsets for w in windows], places),
        _gather([w.word_ids for w in windows], places),
        [0] * len(places),
    )
    kept = [logits[window][at] for window, at in places]
    return np.array(kept, dtype=np.float32).reshape(len(kept), logits[0].shape[1]), merged


def _gather(columns: Sequence[Sequence[T]], places: Sequence[tuple[int, int]]) -> list[T]:
    return [columns[window][at] for window, at in places]


def best_places(lengths: Sequence[int], stride: int) -> list[tuple[int, int]]:
    """For every token of a text that was cut into windows, the window where it stands farthest from a cut.

    Args:
        lengths: the text's own tokens of each window.
        stride: tokens that neighbours share.

    Returns:
        (window, place among the window's own tokens) for each token of the text, in order; of two windows
        that are as good the earlier one.
    """
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length - stride)
    found: dict[int, tuple[int, int, int]] = {}
    for window, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        for place in range(length):
            # The text's own ends are no cuts.
            left = place if window else length
            right = length - 1 - place if window < len(lengths) - 1 else length
            margin = min(left, right)
            best = found.get(start + place)
            if best is None or margin > best[0]:
                found[start + place] = (margin, window, place)
    return [(window, place) for _, (_, window, place) in sorted(found.items())]
