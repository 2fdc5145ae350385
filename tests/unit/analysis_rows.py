"""Synthetic evaluated rows, and a model of words that answers an error analysis without PyTorch."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from stream.bundle import HeadKind, SpanRules
from stream.classify import TextInput, sigmoid, softmax
from trainer.data.examples import Example
from trainer.evaluation.evaluated_rows import EvaluatedRows

LABELS = ("ham", "spam")


class WordModel:
    """A model whose score of a label is the sum of the weights of the words of a row.

    The vector of a row counts its words. The columns are those of `weights`, in order.
    """

    def __init__(self, weights: dict[str, Sequence[float]], head: HeadKind = "single-label") -> None:
        self.weights = weights
        self.head = head
        self.words: dict[str, int] = {}
        self.inputs: list[TextInput] = []

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        columns = len(next(iter(self.weights.values())))
        zeros = np.zeros(columns)
        return np.array(
            [sum((np.array(self.weights.get(w, zeros)) for w in text.split()), zeros) for text in texts]
        ).reshape(-1, columns)

    def probabilities(self, inputs: Sequence[TextInput]) -> np.ndarray:
        self.inputs += inputs
        logits = self.logits([row.text for row in inputs])
        if self.head == "regression":
            return logits
        return sigmoid(logits) if self.head == "multi-label" else softmax(logits)

    def word_probabilities(self, inputs: Sequence[TextInput], words: Sequence[Any]) -> list[np.ndarray]:
        # The word before a word counts half as much as the word itself.
        found = []
        for row, of_row in zip(inputs, words, strict=True):
            own = self.logits([row.text[start:end] for start, end in of_row])
            before = np.concatenate([np.zeros((1, own.shape[1])), own])[: len(own)]
            found.append(softmax(own + before / 2))
        return found

    def vectors(self, inputs: Sequence[TextInput]) -> np.ndarray:
        counts = np.zeros((len(inputs), 512), np.float32)
        for row, given in enumerate(inputs):
            for word in given.text.split():
                counts[row, self.words.setdefault(word, len(self.words))] += 1
        norms = np.linalg.norm(counts, axis=1, keepdims=True)
        return np.divide(counts, norms, out=counts, where=norms > 0)

    def token_counts(self, inputs: Sequence[TextInput]) -> list[int]:
        return [len(row.text.split()) + 2 for row in inputs]


def examples_of(texts: Sequence[str], targets: Sequence[Any], **fields: Any) -> list[Example]:
    """Return rows numbered from 1."""
    return [
        Example(row, text, target, **fields)
        for row, (text, target) in enumerate(zip(texts, targets, strict=True), 1)
    ]


def labelled_rows(
    examples: Sequence[Example],
    probabilities: np.ndarray,
    labels: Sequence[str] = LABELS,
    columns: dict[str, list[str]] | None = None,
) -> EvaluatedRows:
    """Return single-label rows whose answers are the most probable labels."""
    best = probabilities.argmax(axis=1)
    predictions = [
        {"label": labels[at], "score": float(row[at])} for at, row in zip(best, probabilities, strict=True)
    ]
    return EvaluatedRows(
        "single-label",
        labels,
        None,
        examples,
        np.log(np.maximum(probabilities, 1e-9)).astype(np.float32),
        probabilities,
        predictions,
        None,
        None,
        columns or {},
    )


def multi_label_rows(
    examples: Sequence[Example], probabilities: np.ndarray, labels: Sequence[str], threshold: float = 0.5
) -> EvaluatedRows:
    """Return multi-label rows with one threshold for all labels."""
    predictions = [
        {"labels": [label for label, p in zip(labels, row, strict=True) if p >= threshold]}
        for row in probabilities
    ]
    return EvaluatedRows(
        "multi-label",
        labels,
        None,
        examples,
        probabilities.astype(np.float32),
        probabilities,
        predictions,
        dict.fromkeys(labels, threshold),
        None,
        {},
    )


def number_rows(
    examples: Sequence[Example], values: Iterable[float], columns: dict[str, list[str]] | None = None
) -> EvaluatedRows:
    """Return the rows of a regression."""
    numbers = [float(value) for value in values]
    logits = np.array(numbers, np.float32)[:, None]
    predictions = [{"value": value} for value in numbers]
    return EvaluatedRows(
        "regression", ["stars"], None, examples, logits, None, predictions, None, None, columns or {}
    )


def tagged_rows(
    examples: Sequence[Example],
    spans: Sequence[list[tuple[str, int, int, float]]],
    tags: Sequence[str],
    rules: SpanRules = SpanRules(),
) -> EvaluatedRows:
    """Return the rows of a token classification with predicted spans of type, start, end and score."""
    predictions = [
        {
            "spans": [
                {"type": kind, "start": start, "end": end, "text": example.text[start:end], "score": score}
                for kind, start, end, score in of_row
            ]
        }
        for example, of_row in zip(examples, spans, strict=True)
    ]
    return EvaluatedRows("token", tags, None, examples, [], None, predictions, None, None, {}, rules)


def tagged_example(row: int, tagged: str, **fields: Any) -> Example:
    """Return a row from `word/TAG` pairs separated by spaces; a word without a tag has O."""
    pairs = [part.partition("/")[::2] for part in tagged.split()]
    text = " ".join(word for word, _ in pairs)
    starts = np.cumsum([0, *(len(word) + 1 for word, _ in pairs)]).tolist()
    spans = tuple((start, start + len(word)) for start, (word, _) in zip(starts, pairs, strict=False))
    return Example(row, text, tuple(tag or "O" for _, tag in pairs), word_spans=spans, **fields)
