"""The token head: the logits of tokens become spans of the text."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import numpy as np
import orjson

from stream.bundle import Manifest, SpanRules
from stream.classify.heads.base import non_finite_logits, softmax
from stream.classify.heads.spans import (
    Piece,
    Span,
    bio_spans,
    bioes_spans,
    split_pieces,
    split_tag,
    word_spans,
)
from stream.classify.inputs import ModelInput, Prediction, RowResult, texts_of
from stream.classify.tokenise import TextTokens, Tokens
from stream.codec import MILLIONTHS
from stream.runtime import Logits

MakeSpans = Callable[[Iterable[tuple[Piece, str, float]]], list[Span]]
SCHEMES: dict[str, MakeSpans] = {"bio": bio_spans, "bioes": bioes_spans, "word": word_spans}

StoredSpan = tuple[str, int, int, int]
"""The type, start, end and score in millionths of a span."""


class TokenHead:
    """Predicts spans by the bundle's rules, without those below its abstain threshold.

    The score of a span is the mean probability of the tags of its pieces.
    """

    def __init__(self, manifest: Manifest) -> None:
        rules = manifest.spans or SpanRules()
        self._tags = rules.tags or manifest.labels
        self._temperature = manifest.temperature
        self._subwords = rules.subwords
        self._make_spans = SCHEMES[rules.scheme]
        self._types = _span_types(rules, self._tags)
        self._min_score = round((manifest.abstain_below or 0.0) * MILLIONTHS)

    def predict(self, logits: Sequence[Logits] | Logits, tokens: Sequence[Tokens]) -> list[RowResult]:
        """Return a prediction for each row, `Poison` for a row with a logit that is not finite.

        Args:
            logits: float32 [tokens, labels] for each row; logits beyond the row's tokens are padding.
            tokens: the tokens of each row, with their text.

        Raises:
            ValueError: the logits have another shape.
        """
        return [
            self._predict_row(row[: len(of_row)], cast(TextTokens, of_row))
            for row, of_row in zip(logits, tokens, strict=True)
        ]

    def _predict_row(self, logits: Logits, tokens: TextTokens) -> RowResult:
        if logits.shape != (len(tokens), len(self._tags)):
            raise ValueError(
                f"the model returned logits of the shape {logits.shape}"
                f" for {len(tokens)} tokens and {len(self._tags)} tags"
            )
        with np.errstate(over="ignore"):
            scaled = logits / self._temperature
        if not np.isfinite(scaled).all():
            return non_finite_logits()
        pieces = split_pieces(
            tokens.text, tokens.offsets, tokens.word_ids, tokens.special_tokens_mask, self._subwords
        )
        spans: list[Span] = []
        if pieces:
            scores = softmax(scaled[[piece.at for piece in pieces]])
            best = scores.argmax(axis=1)
            highest = scores[np.arange(len(pieces)), best].tolist()
            tags = [self._tags[index] for index in best.tolist()]
            spans = self._make_spans(zip(pieces, tags, highest, strict=True))
        stored = [(span.type, span.start, span.end, round(span.score * MILLIONTHS)) for span in spans]
        return _encode(tokens.text, [span for span in stored if span[3] >= self._min_score], cached=False)

    def accepts(self, stored: bytes) -> bool:
        """Return True if a stored form is a list of spans in order, without overlaps."""
        try:
            spans = orjson.loads(stored)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(spans, list) or not all(_is_span(span) for span in spans):
            return False
        ends = [0, *(span[2] for span in spans)]
        return all(end <= span[1] for end, span in zip(ends, spans, strict=False))

    def possible(self, stored: Sequence[bytes], inputs: Sequence[ModelInput]) -> list[bool]:
        """Return for each stored form whether its spans can be spans of the input."""
        return [
            all(self._is_possible(span, _first_text(given)) for span in orjson.loads(spans))
            for spans, given in zip(stored, inputs, strict=True)
        ]

    def _is_possible(self, span: StoredSpan, text: str) -> bool:
        kind, start, end, score = span
        return (
            kind in self._types
            and end <= len(text)
            and not (text[start].isspace() or text[end - 1].isspace())
            and self._min_score <= score
            # The mean of the best of n probabilities is at least 1 / n.
            and score >= MILLIONTHS // len(self._tags) - 1
        )

    def restore(self, stored: Sequence[bytes], inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Restore predictions from stored forms and the texts of their inputs."""
        return [
            _encode(_first_text(given), orjson.loads(spans), cached=True)
            for spans, given in zip(stored, inputs, strict=True)
        ]


def _span_types(rules: SpanRules, tags: Sequence[str]) -> set[str | None]:
    """Return the types that a span can have; with None for the tag O, which no span has."""
    match rules.scheme:
        case "bio":
            return {split_tag(tag)[1] for tag in tags}
        case "bioes":
            return {tag[2:] or None for tag in tags}
        case "word":
            return set(tags)


def _encode(text: str, spans: Sequence[StoredSpan], *, cached: bool) -> Prediction:
    members = [
        {"type": kind, "start": start, "end": end, "text": text[start:end], "score": score / MILLIONTHS}
        for kind, start, end, score in spans
    ]
    return Prediction(orjson.dumps({"spans": members})[1:-1], orjson.dumps(spans), cached)


def _first_text(given: ModelInput) -> str:
    texts = texts_of(given)
    return texts if isinstance(texts, str) else texts[0]


def _is_span(value: object) -> bool:
    match value:
        case [str(), int(start), int(end), int(score)] if bool not in (type(start), type(end), type(score)):
            return 0 <= start < end and 0 <= score <= MILLIONTHS
    return False
