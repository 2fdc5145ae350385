"""The task that a model learns, as training, evaluation and export need it: labels, scales and encoders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stream.bundle import HeadKind, MetadataColumn, SpanRules, TargetScale
from trainer.config import TrainingConfig
from trainer.data.examples import Data, Example, fit_metadata
from trainer.data.labels import ordinal_values
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.export.bundle_source import InferenceConfig
from trainer.model.encoding import Collator, Preprocessing, WindowDataset
from trainer.model.inference import ModelOutput, Progress, torch_logits, torch_token_logits
from trainer.model.targets import TaggedExamples, fit_target_scale, row_dataset, token_dataset


@dataclass(frozen=True, slots=True)
class LearningTask:
    """A task on given data, with everything that was fitted on the training rows.

    Attributes:
        inference: the manifest fields that are known before training; all but the decision rule.
        seed: the seed of the bootstrap.
    """

    inference: InferenceConfig
    seed: int

    @property
    def labels(self) -> list[str]:
        """The label names in the order of the logits."""
        return self.inference.labels

    @property
    def metadata(self) -> Sequence[MetadataColumn]:
        """The metadata columns that the model reads, with the state of their encoders."""
        return self.inference.metadata or ()

    @property
    def head(self) -> HeadKind:
        """The task, with a pair counted as single-label."""
        return "single-label" if self.inference.task == "pair" else self.inference.task

    @property
    def preprocessing(self) -> Preprocessing:
        """The settings that turn rows into model inputs."""
        return self.inference.preprocessing

    def dataset(self, tokenizer: Any, examples: Sequence[Example]) -> WindowDataset:
        """Return the examples as a training dataset."""
        spans, target = self.inference.spans, self.inference.target
        if spans is not None:
            return token_dataset(tokenizer, examples, self.labels, spans, self.preprocessing)
        return row_dataset(tokenizer, examples, self.labels, self.head, self.preprocessing, target)

    def collator(self, tokenizer: Any) -> Collator:
        """Return the function that pads items of the dataset to a batch."""
        return Collator(tokenizer, token=self.head == "token")

    def logits(
        self,
        model: Any,
        tokenizer: Any,
        examples: Sequence[Example],
        progress: Progress = lambda _: None,
    ) -> ModelOutput:
        """Return the logits of a PyTorch model for examples; `progress` receives the rows of each batch."""
        rows = [example.input for example in examples]
        infer = torch_token_logits if self.head == "token" else torch_logits
        return infer(model, tokenizer, rows, self.preprocessing, progress)

    def evaluator(self, tokenizer: Any, examples: Sequence[Example]) -> Evaluator:
        """Return an evaluator of model outputs for these examples."""
        tagged, spans = None, self.inference.spans
        if spans is not None:
            tagged = TaggedExamples(tokenizer, examples, self.labels, spans, self.preprocessing)
        return Evaluator(
            self.head,
            self.labels,
            examples,
            values=self.inference.values,
            target=self.inference.target or TargetScale(),
            tagged=tagged,
            seed=self.seed,
        )

    def inference_config(self, rule: DecisionRule) -> InferenceConfig:
        """Return the manifest fields with the decision rule."""
        return replace(
            self.inference,
            thresholds=rule.thresholds,
            abstain_below=rule.abstain_below,
            temperature=rule.temperature,
        )


def define_task(data: Data, train: Sequence[Example], config: TrainingConfig) -> LearningTask:
    """Return the task that the data and the configuration define.

    Args:
        data: all data.
        train: the training split, on which target scale and metadata encoders are fitted.
        config: the configuration, with a maximum length that the model can read.
    """
    inference = InferenceConfig(
        task=data.task,
        labels=data.labels,
        max_length=config.recipe.max_length,
        text_pair=data.columns.text_pair is not None,
        values=ordinal_values(data.labels) if config.data.ordinal else None,
        target=fit_target_scale(train) if data.task == "regression" else None,
        metadata=fit_metadata(train, data.columns.metadata) if data.columns.metadata else None,
        windows=config.manifest_windows,
        spans=SpanRules(scheme="bio" if data.marks_spans else "word", subwords=config.subwords)
        if data.task == "token"
        else None,
    )
    return LearningTask(inference, config.recipe.seed)
