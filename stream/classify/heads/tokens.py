"""The head that tags tokens: their logits to spans of the text."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import numpy as np
import orjson

from stream.bundle import Manifest, SpanRules
from stream.classify.heads.single_label import softmax
from stream.classify.heads.spans import Piece, Span, each_piece, join_tags, pieces
from stream.classify.inputs import ModelInput, Prediction, texts_of
from stream.classify.tokenise import TextTokens, Tokens
from stream.codec import MILLIONTHS
from stream.errors import Poison, Reason
from stream.runtime.base import Logits

Join = Callable[[Iterable[tuple[Piece, str, float]]], list[Span]]
JOIN: dict[str, Join] = {"bio": join_tags, "word": each_piece}

Stored = tuple[str, int, int, int]
"""Type, start, end, score in millionths."""


class TokenHead:
    """Spans by the bundle's rules; those below its abstain threshold are left out.

    A span's score is the mean over its pieces of the probability of each piece's tag.
    """

    def __init__(self, manifest: Manifest) -> None:
        rules = manifest.spans or SpanRules()
        self._tags = manifest.labels
        self._temperature = manifest.temperature
        self._subwords = rules.subwords
        self._join = JOIN[rules.scheme]
        self._least = round((manifest.abstain_below or 0.0) * MILLIONTHS)

    def predictions(
        self, logits: Sequence[Logits] | Logits, tokens: Sequence[Tokens]
    ) -> list[Prediction | Poison]:
        """A prediction, or poison where a logit is not finite, for each row.

        Args:
            logits: for each row float32 [tokens, labels]; what stands behind its own tokens is padding.
            tokens: each row's tokens, with their text.
        """
        return [
            self._prediction(row[: len(of_row)], cast(TextTokens, of_row))
            for row, of_row in zip(logits, tokens, strict=True)
        ]

    def _prediction(self, logits: Logits, tokens: TextTokens) -> Prediction | Poison:
        if not np.isfinite(logits).all():
            return Poison(Reason.MODEL, "the model's logits for this text are not finite")
        found = pieces(
            tokens.text, tokens.offsets, tokens.word_ids, tokens.special_tokens_mask, self._subwords
        )
        spans: list[Span] = []
        if found:
            scores = softmax(logits[[piece.at for piece in found]] / self._temperature)
            best = scores.argmax(axis=1)
            highest = scores[np.arange(len(found)), best].tolist()
            spans = self._join(zip(found, [self._tags[at] for at in best.tolist()], highest, strict=True))
        stored = [(span.type, span.start, span.end, round(span.score * MILLIONTHS)) for span in spans]
        return encoded(tokens.text, [span for span in stored if span[3] >= self._least], cached=False)

    def fits(self, stored: bytes) -> bool:
        """Whether a stored form is a list of spans, in order and none over another."""
        try:
            found = orjson.loads(stored)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(found, list) or not all(_is_span(span) for span in found):
            return False
        ends = [0, *(span[2] for span in found)]
        return all(end <= span[1] for end, span in zip(ends, found, strict=False))

    def restored(self, stored: Sequence[bytes], rows: Sequence[ModelInput]) -> list[Prediction]:
        """Predictions from `Prediction.scores`, all of which fit, for the texts that they were stored for."""
        return [
            encoded(_first_text(row), orjson.loads(spans), cached=True)
            for spans, row in zip(stored, rows, strict=True)
        ]


def encoded(text: str, spans: Sequence[Stored], *, cached: bool) -> Prediction:
    """The prediction that says these spans of a text."""
    said = [
        {"type": kind, "start": start, "end": end, "text": text[start:end], "score": score / MILLIONTHS}
        for kind, start, end, score in spans
    ]
    return Prediction(orjson.dumps({"spans": said})[1:-1], orjson.dumps(spans), cached)


def _first_text(row: ModelInput) -> str:
    texts = texts_of(row)
    return texts if isinstance(texts, str) else texts[0]


def _is_span(found: object) -> bool:
    match found:
        case [str(), int(start), int(end), int(score)]:
            return 0 <= start < end and 0 <= score <= MILLIONTHS
    return False
