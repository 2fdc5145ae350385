"""Evaluate model outputs on labelled examples, for every task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle import HeadKind, TargetScale
from stream.runtime import Logits
from trainer.data.examples import Example
from trainer.evaluation.calibration import (
    Calibration,
    calibrate,
    expected_calibration_error,
    tune_thresholds,
)
from trainer.evaluation.metrics import evaluate_multi, evaluate_regression, evaluate_single, evaluate_spans
from trainer.evaluation.statistics import RESAMPLES
from trainer.model.inference import ModelOutput, probabilities
from trainer.model.targets import TaggedExamples, row_targets


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """The rule that turns logits into labels, as the bundle stores it.

    Attributes:
        temperature: the divisor of the logits.
        thresholds: for multi-label, the lowest probability at which each label is given.
        abstain_below: the probability of the best label below which no label is given.
    """

    temperature: float = 1.0
    thresholds: dict[str, float] | None = None
    abstain_below: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluator:
    """Evaluates model outputs on the labelled examples of one split.

    Attributes:
        head: the head of the model.
        labels: the labels in the order of the logits.
        examples: the examples.
        values: the numeric values of ordinal labels.
        target: the scale of a regression's logit.
        tagged: the tokens of the examples, for token classification.
        seed: the seed of the bootstrap.
    """

    head: HeadKind
    labels: Sequence[str]
    examples: Sequence[Example]
    values: Sequence[float] | None = None
    target: TargetScale = field(default_factory=TargetScale)
    tagged: TaggedExamples | None = None
    seed: int = 0

    def evaluate(
        self, output: ModelOutput, rule: DecisionRule | None = None, resamples: int = RESAMPLES
    ) -> dict[str, Any]:
        """Return the metrics of the task as a JSON-ready dictionary.

        Args:
            output: the model output for the examples.
            rule: the decision rule; for multi-label without thresholds they are tuned on these examples.
            resamples: the number of bootstrap resamples; 0 for no intervals.
        """
        rule = rule or DecisionRule()
        if self.head == "token":
            tagged = self._tagged_examples()
            spans = tagged.predicted_spans(list(output), rule.temperature, rule.abstain_below or 0.0)
            words = tagged.word_hits(list(output))
            return evaluate_spans(
                spans, tagged.true_spans(), words=words, seed=self.seed, resamples=resamples
            )
        logits = np.asarray(output)
        if self.head == "regression":
            predicted = logits[:, 0].astype(np.float64) * self.target.std + self.target.mean
            return evaluate_regression(predicted, self._targets(), seed=self.seed, resamples=resamples)
        probs = probabilities(logits, self.head, rule.temperature)
        if self.head == "multi-label":
            thresholds = rule.thresholds or tune_thresholds(probs, self._targets(), self.labels)
            return evaluate_multi(
                probs,
                self._targets(),
                self.labels,
                thresholds,
                abstain_below=rule.abstain_below,
                seed=self.seed,
                resamples=resamples,
            )
        return evaluate_single(
            probs,
            self._targets(),
            self.labels,
            values=self.values,
            abstain_below=rule.abstain_below,
            seed=self.seed,
            resamples=resamples,
        )

    def calibrate(self, output: ModelOutput) -> Calibration | None:
        """Fit the temperature on the examples; return None for a regression."""
        if self.head == "regression":
            return None
        return calibrate(*self._calibration_inputs(output), self.head)

    def calibration_error(self, output: ModelOutput, temperature: float) -> float:
        """Return the expected calibration error on the examples at a temperature; not for a regression."""
        logits, label_numbers = self._calibration_inputs(output)
        probs = probabilities(logits, self.head, temperature)
        return expected_calibration_error(probs, label_numbers, self.head)

    def thresholds(self, output: ModelOutput, temperature: float) -> dict[str, float] | None:
        """Tune the thresholds on the examples; return None for any head but multi-label."""
        if self.head != "multi-label":
            return None
        probs = probabilities(np.asarray(output), self.head, temperature)
        return tune_thresholds(probs, self._targets(), self.labels)

    def _targets(self) -> npt.NDArray[Any]:
        """Return label numbers int64 [rows]; 0 and 1, int64 [rows, labels]; or numbers, float64 [rows]."""
        return row_targets(self.examples, self.labels, self.head)

    def _calibration_inputs(self, output: ModelOutput) -> tuple[Logits, npt.NDArray[Any]]:
        if self.head == "token":
            return self._tagged_examples().piece_logits(list(output))
        return np.asarray(output), self._targets()

    def _tagged_examples(self) -> TaggedExamples:
        if self.tagged is None:
            raise ValueError("token classification is evaluated on the tokens of the examples")
        return self.tagged
