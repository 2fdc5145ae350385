"""Out-of-fold predictions: the answer for each row of a model that was not trained on the row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.bundle import HeadKind, SpanRules
from stream.classify import Span
from trainer.data.examples import Data, Example
from trainer.evaluation.evaluated_rows import EvaluatedRows
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.fit import PreparedTask
from trainer.model.inference import ModelOutput, probabilities

WordScores = list[tuple[int, list[float]]]
"""The number of each word that has a prediction, from 0, with its probability of each tag."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The rows of one fold with the output of the model of that fold.

    Attributes:
        number: the number of the fold, from 1.
        examples: the rows that the model was not trained on.
        prepared: the task and the tokenizer of the model.
        output: the model output for the rows.
        rule: the decision rule, fitted on the validation rows of the fold.
        metrics: the metrics of the rows, without intervals.
    """

    number: int
    examples: Sequence[Example]
    prepared: PreparedTask
    output: ModelOutput
    rule: DecisionRule
    metrics: Mapping[str, Any]

    @property
    def evaluator(self) -> Evaluator:
        """The evaluator of the rows."""
        return self.prepared.evaluator(self.examples)

    def scaled(self) -> ModelOutput:
        """Return the calibrated logits; for a regression the predicted numbers, [rows, 1]."""
        if self.prepared.task.head == "regression":
            target = self.evaluator.target
            return (np.asarray(self.output) * target.std + target.mean).astype(np.float32)
        if isinstance(self.output, list):
            return [(row / self.rule.temperature).astype(np.float32) for row in self.output]
        return (self.output / self.rule.temperature).astype(np.float32)

    def word_scores(self) -> list[WordScores]:
        """Return the tag probabilities of the words of each row, for token classification."""
        tagged = self.evaluator.tagged
        assert tagged is not None, "only token classification has tagged examples"
        return [
            [
                (word, probabilities(logits, "token", self.rule.temperature).tolist())
                for word, logits in enumerate(row)
                if logits is not None
            ]
            for row in tagged.word_logits(list(self.output))
        ]

    def answers(self) -> list[dict[str, Any]]:
        """Return the members of the label event of each row; labels with scores are those of all labels."""
        task, output = self.prepared.task, self.scaled()
        if task.head == "token":
            tagged = self.evaluator.tagged
            assert tagged is not None, "only token classification has tagged examples"
            rows = tagged.predicted_spans(list(output))
            return [
                {"spans": [_span_member(span, example) for span in spans]}
                for example, spans in zip(self.examples, rows, strict=True)
            ]
        if task.head == "regression":
            return [{"value": float(row[0])} for row in output]
        scores = probabilities(np.asarray(output), task.head)
        return [_label_members(row, task.labels, task.head, self.rule) for row in scores.tolist()]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """The folds of a cross-validation.

    Attributes:
        data: the labelled examples.
        folds: the folds in their order; each row of the data but the extra ones is in one of them.
    """

    data: Data
    folds: Sequence[Fold]

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the logits."""
        return self.folds[0].prepared.task.labels

    @property
    def head(self) -> HeadKind:
        """The head of the models."""
        return self.folds[0].prepared.task.head

    def evaluated_rows(self, without: Collection[int] = ()) -> EvaluatedRows:
        """Return the rows, in the order of the data, as an error analysis reads them.

        The logits are calibrated: their softmax or sigmoid is the out-of-fold probability. For a regression
        they are the predicted numbers. The thresholds are the means over the folds.

        Args:
            without: the row numbers to leave out.
        """
        found = sorted(
            (
                (example, logits, answer)
                for fold in self.folds
                for example, logits, answer in zip(fold.examples, fold.scaled(), fold.answers(), strict=True)
                if example.row not in without
            ),
            key=lambda row: row[0].row,
        )
        rows = [row[1] for row in found]
        logits: ModelOutput = rows if self.head == "token" else np.stack(rows)
        scores = None
        if self.head in ("single-label", "multi-label"):
            scores = probabilities(np.asarray(logits), self.head)
        task = self.folds[0].prepared.task
        return EvaluatedRows(
            head=self.head,
            labels=self.labels,
            values=task.inference.values,
            examples=[row[0] for row in found],
            logits=logits,
            probabilities=scores,
            predictions=[row[2] for row in found],
            thresholds=self._thresholds(),
            abstain_below=None,
            columns={},
            spans=task.inference.spans or SpanRules(),
        )

    def _thresholds(self) -> dict[str, float] | None:
        rules = [fold.rule.thresholds for fold in self.folds]
        found = [thresholds for thresholds in rules if thresholds is not None]
        if not found:
            return None
        return {label: float(np.mean([rule[label] for rule in found])) for label in self.labels}


def _label_members(
    scores: list[float], labels: Sequence[str], head: HeadKind, rule: DecisionRule
) -> dict[str, Any]:
    named = dict(sorted(zip(labels, scores, strict=True), key=lambda item: -item[1]))
    if head == "multi-label":
        thresholds = rule.thresholds or {}
        return {
            "labels": [label for label, score in named.items() if score >= thresholds.get(label, 0.5)],
            "scores": named,
        }
    best = next(iter(named))
    return {"label": best, "score": named[best], "scores": named}


def _span_member(span: Span, example: Example) -> dict[str, Any]:
    return {
        "type": span.type,
        "start": span.start,
        "end": span.end,
        "text": example.text[span.start : span.end],
        "score": span.score,
    }
