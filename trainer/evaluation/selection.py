"""The metric that selects epochs and recipes, as a statistic of weighted rows."""

from collections.abc import Sequence

import numpy as np

from stream.classify import Span
from trainer.evaluation.calibration import tune_thresholds
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.evaluation.label_counts import LabelCounts, single_label_counts
from trainer.evaluation.regression import pearson
from trainer.evaluation.statistics import Statistic
from trainer.model.inference import ModelOutput, probabilities
from trainer.model.targets import row_targets


def selection_statistic(evaluator: Evaluator, output: ModelOutput, rule: DecisionRule) -> Statistic:
    """Return the metric of `SELECTION_METRIC` as a function of the weights of the rows.

    Args:
        evaluator: the evaluator of the rows.
        output: the model output for the rows.
        rule: the decision rule of the model.
    """
    if evaluator.head == "token":
        assert evaluator.tagged is not None, "token classification is evaluated on the tokens of the examples"
        predicted = evaluator.tagged.predicted_spans(list(output), rule.temperature)
        return _span_counts(predicted, evaluator.tagged.true_spans()).micro_f1
    logits = np.asarray(output)
    targets = row_targets(evaluator.examples, evaluator.labels, evaluator.head)
    if evaluator.head == "regression":
        numbers = logits[:, 0].astype(np.float64) * evaluator.target.std + evaluator.target.mean
        return lambda weights: pearson(weights, numbers, targets)
    probs = probabilities(logits, evaluator.head, rule.temperature)
    if evaluator.head == "multi-label":
        thresholds = rule.thresholds or tune_thresholds(probs, targets, evaluator.labels)
        given = probs >= np.array([thresholds[label] for label in evaluator.labels])
        return LabelCounts(given * targets, given, targets).macro_f1
    return single_label_counts(probs.argmax(axis=1), targets, len(evaluator.labels)).macro_f1


def _span_counts(predicted: Sequence[Sequence[Span]], actual: Sequence[Sequence[Span]]) -> LabelCounts:
    """Return the number of correct, predicted and actual spans of each row, all types together."""
    rows = [
        ({span[:3] for span in found}, {span[:3] for span in true})
        for found, true in zip(predicted, actual, strict=True)
    ]
    counts = np.array([[len(found & true), len(found), len(true)] for found, true in rows]).reshape(-1, 3)
    return LabelCounts(counts[:, :1], counts[:, 1:2], counts[:, 2:])
