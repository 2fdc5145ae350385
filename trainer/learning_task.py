"""The task that a model learns, as training, evaluation and export need it: labels, scales and encoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle import HeadKind, MetadataColumn, SpanRules, TargetScale, Task, Windows
from trainer.config import TrainingConfig
from trainer.data.examples import Data, Example
from trainer.data.labels import ordinal_values, tag_scheme
from trainer.data.metadata import fit_metadata
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.export.bundle_source import InferenceConfig
from trainer.model.batches import Collator, WindowDataset, row_dataset
from trainer.model.encoding import Preprocessing
from trainer.model.inference import ModelOutput, Progress, torch_logits, torch_token_logits
from trainer.model.tags import TaggedExamples, token_dataset
from trainer.model.targets import fit_target_scale


@dataclass(frozen=True, slots=True)
class LearningTask:
    """A task on given data, with everything that was fitted on the training rows.

    Attributes:
        task: the kind of target.
        labels: the label names in the order of the logits.
        max_length: the tokens after which a row is truncated, or the length of its windows.
        text_pair: whether a row has a second text.
        values: the number that each ordinal label stands for.
        target: the scale of a regression's logit.
        metadata: the metadata columns, with the state of their encoders.
        windows: the windows of longer texts; None truncates them.
        spans: the rules that join tags to spans.
        seed: the seed of the bootstrap.
    """

    task: Task
    labels: list[str]
    max_length: int
    text_pair: bool = False
    values: list[float] | None = None
    target: TargetScale | None = None
    metadata: list[MetadataColumn] | None = None
    windows: Windows | None = None
    spans: SpanRules | None = None
    seed: int = 0

    @property
    def head(self) -> HeadKind:
        """The task, with a pair counted as single-label."""
        return "single-label" if self.task == "pair" else self.task

    @property
    def preprocessing(self) -> Preprocessing:
        """The settings that turn rows into model inputs."""
        return Preprocessing(self.max_length, self.windows, self.metadata)

    def dataset(self, tokenizer: Any, examples: Sequence[Example]) -> WindowDataset:
        """Return the examples as a training dataset."""
        if self.spans is not None:
            return token_dataset(tokenizer, examples, self.labels, self.spans, self.preprocessing)
        return row_dataset(tokenizer, examples, self.labels, self.head, self.preprocessing, self.target)

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
        tagged = None
        if self.spans is not None:
            tagged = TaggedExamples(tokenizer, examples, self.labels, self.spans, self.preprocessing)
        return Evaluator(
            self.head,
            self.labels,
            examples,
            values=self.values,
            target=self.target or TargetScale(),
            tagged=tagged,
            seed=self.seed,
        )

    def inference_config(self, rule: DecisionRule) -> InferenceConfig:
        """Return the task as the bundle's manifest describes it."""
        return InferenceConfig(
            task=self.task,
            labels=self.labels,
            max_length=self.max_length,
            text_pair=self.text_pair,
            values=self.values,
            thresholds=rule.thresholds,
            abstain_below=rule.abstain_below,
            temperature=rule.temperature,
            target=self.target,
            metadata=self.metadata,
            windows=self.windows,
            spans=self.spans,
        )


def define_task(data: Data, train: Sequence[Example], config: TrainingConfig) -> LearningTask:
    """Return the task that the data and the configuration define.

    Args:
        data: all data.
        train: the training split, on which target scale and metadata encoders are fitted.
        config: the configuration, with a maximum length that the model can read.
    """
    return LearningTask(
        task=data.task,
        labels=data.labels,
        max_length=config.recipe.max_length,
        text_pair=data.columns.text_pair is not None,
        values=ordinal_values(data.labels) if config.data.ordinal else None,
        target=fit_target_scale(train) if data.task == "regression" else None,
        metadata=fit_metadata(train, data.columns.metadata) if data.columns.metadata else None,
        windows=config.manifest_windows,
        spans=SpanRules(scheme=tag_scheme(data.labels), subwords=config.subwords)
        if data.task == "token"
        else None,
        seed=config.recipe.seed,
    )
