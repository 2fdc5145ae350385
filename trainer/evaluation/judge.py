"""What a model's logits come to on labelled rows, whatever the task: one way for training and for the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.bundle.manifest import Head, SpanRules, TargetScale
from stream.runtime.base import Logits
from trainer.data.read import Example
from trainer.evaluation.bootstrap import RESAMPLES
from trainer.evaluation.calibrate import Calibration, calibrate, expected_calibration_error
from trainer.evaluation.evaluate import evaluate_multi, evaluate_regression, evaluate_single, evaluate_spans
from trainer.evaluation.thresholds import tune_thresholds
from trainer.model.inference import probabilities
from trainer.model.tags import TaggedExamples
from trainer.model.targets import row_targets

Output = Logits | list[Logits]
"""float32 [rows, labels], or for token classification float32 [tokens, labels] of each row."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is decided from logits, as the bundle will say it.

    Attributes:
        temperature: logits are divided by it.
        thresholds: for multi-label.
        abstain_below: a best probability under it gives no label.
    """

    temperature: float = 1.0
    thresholds: dict[str, float] | None = None
    abstain_below: float | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Labelled rows of one part and what is needed to hold logits against them.

    Attributes:
        head: the task without regard to how many texts it reads.
        labels: in the order of the logits.
        examples: the rows.
        values: of ordinal labels.
        target: of a regression, what its logit means.
        rules: of token classification.
        tagged: the rows' tokens, for token classification.
        seed: of the bootstrap.
    """

    head: Head
    labels: Sequence[str]
    examples: Sequence[Example]
    values: Sequence[float] | None = None
    target: TargetScale = field(default_factory=TargetScale)
    rules: SpanRules = field(default_factory=SpanRules)
    tagged: TaggedExamples | None = None
    seed: int = 0

    def truth(self) -> npt.NDArray[Any]:
        """Label numbers int64 [rows]; 0 and 1, int64 [rows, labels]; or numbers, float64 [rows]."""
        return row_targets(self.examples, self.labels, self.head)

    def score(
        self, output: Output, answers: Answers | None = None, resamples: int = RESAMPLES
    ) -> dict[str, Any]:
        """The task's figures, JSON-ready.

        Args:
            output: the model's, of these rows.
            answers: what is decided from it; for multi-label without thresholds they are tuned on these very
                rows.
            resamples: of the bootstrap; 0 leaves the intervals out.
        """
        said = answers or Answers()
        if self.head == "token":
            tagged = self._tagged()
            spans = tagged.predicted_spans(list(output), said.temperature, said.abstain_below or 0.0)
            return {
                **evaluate_spans(spans, tagged.true_spans(), seed=self.seed, resamples=resamples),
                "word_accuracy": tagged.word_accuracy(list(output)),
            }
        logits = np.asarray(output)
        if self.head == "regression":
            found = logits[:, 0].astype(np.float64) * self.target.std + self.target.mean
            return evaluate_regression(found, self.truth(), seed=self.seed, resamples=resamples)
        chances = probabilities(logits, self.head, said.temperature)
        if self.head == "multi-label":
            thresholds = said.thresholds or tune_thresholds(chances, self.truth(), self.labels)
            return evaluate_multi(
                chances, self.truth(), self.labels, thresholds, seed=self.seed, resamples=resamples
            )
        return evaluate_single(
            chances,
            self.truth(),
            self.labels,
            values=self.values,
            abstain_below=said.abstain_below,
            seed=self.seed,
            resamples=resamples,
        )

    def calibrate(self, output: Output) -> Calibration | None:
        """The temperature that suits these rows; None for a regression."""
        if self.head == "regression":
            return None
        return calibrate(*self._calibrated_on(output), self.head)

    def calibration_error(self, output: Output, temperature: float) -> float:
        """Expected calibration error on these rows at a temperature; not for a regression."""
        logits, truth = self._calibrated_on(output)
        return expected_calibration_error(probabilities(logits, self.head, temperature), truth, self.head)

    def thresholds(self, output: Output, temperature: float) -> dict[str, float] | None:
        """Thresholds tuned on these rows; None but for multi-label."""
        if self.head != "multi-label":
            return None
        chances = probabilities(np.asarray(output), self.head, temperature)
        return tune_thresholds(chances, self.truth(), self.labels)

    def _calibrated_on(self, output: Output) -> tuple[Logits, npt.NDArray[Any]]:
        if self.head == "token":
            return self._tagged().piece_logits(list(output))
        return np.asarray(output), self.truth()

    def _tagged(self) -> TaggedExamples:
        if self.tagged is None:
            raise ValueError("token classification is judged by the rows' tokens")
        return self.tagged
