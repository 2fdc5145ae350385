"""The effect of each word on the score of an answer, measured by leaving the word out (occlusion)."""

import re
from collections.abc import Sequence

import numpy as np

from stream.classify import TextInput
from trainer.evaluation.analysis.options import AnalysisModel, Probabilities, Word
from trainer.evaluation.findings import WordEffect

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""The characters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def split_words(text: str) -> list[Word]:
    """Return the words of a text: what white space separates, and each character of an unspaced script."""
    return [match.span() for match in WORD.finditer(text)]


def leave_out(text: str, word: Word) -> str:
    """Return a text without one of its words, and without the second of two gaps that this joins."""
    before, after = text[: word[0]], text[word[1] :]
    if not before:
        return after.lstrip()
    joins_gaps = before[-1].isspace() and (not after or after[0].isspace())
    return before.rstrip() + after if joins_gaps else before + after


def word_effects(model: AnalysisModel, row: TextInput, column: int, max_words: int) -> list[WordEffect]:
    """Return the effect of the words of a row on the score of one label, or on the number of a regression.

    The second text of a pair and the metadata stay as they are.

    Args:
        model: the model.
        row: the row.
        column: the column of the score.
        max_words: the number of words that are left out, from the start of the text.
    """
    words = split_words(row.text)[:max_words]
    variants = [TextInput(leave_out(row.text, word), row.text_pair, row.metadata) for word in words]
    scores = model.probabilities([row, *variants])[:, column]
    return [
        WordEffect(start, end, float(scores[0] - score))
        for (start, end), score in zip(words, scores[1:], strict=True)
    ]


def tagged_word_effects(
    model: AnalysisModel, row: TextInput, words: Sequence[Word], span: Sequence[int], max_words: int
) -> list[WordEffect]:
    """Return the effect of the words of a row on the score of the model's tags for the words of a span.

    Without a word of the span itself, the score is that of the remaining words; the only word of a span has
    no effect that can be measured.

    Args:
        model: a model that classifies tokens.
        row: the row.
        words: the words of the row.
        span: the numbers of the words that the span covers.
        max_words: the number of words that are left out, those nearest to the span.
    """
    base = model.word_probabilities([row], [words])[0]
    tags = {at: int(base[at].argmax()) for at in span if not np.isnan(base[at]).any()}
    if not tags:
        return []
    middle = sum(span) / len(span)
    nearest = sorted(range(len(words)), key=lambda at: abs(at - middle))[:max_words]
    removable = sorted(at for at in nearest if set(tags) != {at})
    variants = [_without(row, words, at) for at in removable]
    scores = model.word_probabilities([of_row for of_row, _ in variants], [kept for _, kept in variants])
    effects = []
    for removed, found in zip(removable, scores, strict=True):
        kept = {at: tag for at, tag in tags.items() if at != removed}
        moved = {at - (at > removed): tag for at, tag in kept.items()}
        effects.append(WordEffect(*words[removed], _mean_score(base, kept) - _mean_score(found, moved)))
    return effects


def _without(row: TextInput, words: Sequence[Word], removed: int) -> tuple[TextInput, list[Word]]:
    """Return a row without one word, and the positions of its other words."""
    text = leave_out(row.text, words[removed])
    shorter = len(row.text) - len(text)
    # The removed characters are the word and white space beside it, so later words move by their number.
    kept = [
        (start, end) if at < removed else (start - shorter, end - shorter)
        for at, (start, end) in enumerate(words)
        if at != removed
    ]
    return TextInput(text, row.text_pair, row.metadata), kept


def _mean_score(probabilities: Probabilities, tags: dict[int, int]) -> float:
    scores = [float(np.nan_to_num(probabilities[at, tag])) for at, tag in tags.items()]
    return sum(scores) / len(scores)
