"""What is learnt: everything that training, evaluation and bundle have to agree on about a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle.manifest import Head, MetadataColumn, SpanRules, TargetScale, Task, Windows
from trainer.data.bio import scheme_of
from trainer.data.metadata import fit_metadata
from trainer.data.read import Data, Example, ordinal_values
from trainer.evaluation.judge import Answers, Judge, Output
from trainer.export.bundle_source import InferenceConfig
from trainer.model.batches import Collator, WindowDataset, row_dataset
from trainer.model.encoding import Preprocessing
from trainer.model.inference import torch_logits, torch_token_logits
from trainer.model.tags import TaggedExamples, token_dataset
from trainer.model.targets import fit_target_scale
from trainer.request import Request


@dataclass(frozen=True, slots=True)
class Problem:
    """A task on some data, read in one way.

    Attributes:
        task: as the bundle calls it.
        labels: in the order of the logits.
        max_length: tokens after which a row is cut, or the length of its windows.
        text_pair: whether rows have a second text.
        values: of ordinal labels, what each stands for.
        target: what a regression's logit means.
        metadata: columns that are read beside the text, with their encoders' state.
        windows: how longer texts are read.
        spans: how tags become spans.
        seed: of the bootstrap.
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
    def head(self) -> Head:
        """The task without regard to how many texts it reads."""
        return "single-label" if self.task == "pair" else self.task

    @property
    def preprocessing(self) -> Preprocessing:
        """The settings that turn rows into model inputs."""
        return Preprocessing(self.max_length, self.windows, self.metadata)

    def dataset(self, tokenizer: Any, examples: Sequence[Example]) -> WindowDataset:
        """Return a training dataset."""
        if self.spans is not None:
            return token_dataset(tokenizer, examples, self.labels, self.spans, self.preprocessing)
        return row_dataset(tokenizer, examples, self.labels, self.head, self.preprocessing, self.target)

    def collator(self, tokenizer: Any) -> Collator:
        """Training rows to padded batches."""
        return Collator(tokenizer, token=self.head == "token")

    def logits(
        self,
        model: Any,
        tokenizer: Any,
        examples: Sequence[Example],
        progress: Callable[[int], None] = lambda _: None,
    ) -> Output:
        """What a model says of rows, see `trainer.model.inference.torch_logits`."""
        rows = [example.input for example in examples]
        if self.head == "token":
            return torch_token_logits(model, tokenizer, rows, self.preprocessing, progress)
        return torch_logits(model, tokenizer, rows, self.preprocessing, progress)

    def judge(self, tokenizer: Any, examples: Sequence[Example]) -> Judge:
        """Holds what a model says of rows against what is true of them."""
        tagged = None
        if self.spans is not None:
            tagged = TaggedExamples(tokenizer, examples, self.labels, self.spans, self.preprocessing)
        return Judge(
            self.head,
            self.labels,
            examples,
            values=self.values,
            target=self.target or TargetScale(),
            tagged=tagged,
            seed=self.seed,
        )

    def inference_config(self, answers: Answers) -> InferenceConfig:
        """Return how a worker prepares inputs and interprets logits."""
        return InferenceConfig(
            task=self.task,
            labels=self.labels,
            max_length=self.max_length,
            text_pair=self.text_pair,
            values=self.values,
            thresholds=answers.thresholds,
            abstain_below=answers.abstain_below,
            temperature=answers.temperature,
            target=self.target,
            metadata=self.metadata,
            windows=self.windows,
            spans=self.spans,
        )


def problem_of(data: Data, train: Sequence[Example], request: Request) -> Problem:
    """The problem that some data and a request make.

    Args:
        data: all of the data.
        train: the training part, on which scales and metadata encoders are fitted.
        request: what was asked for; its maximum length is within what the model takes.
    """
    return Problem(
        task=data.task,
        labels=data.labels,
        max_length=request.recipe.max_length,
        text_pair=data.columns.text_pair is not None,
        values=ordinal_values(data.labels) if request.ordinal else None,
        target=fit_target_scale(train) if data.task == "regression" else None,
        metadata=fit_metadata(train, data.columns.metadata) if data.columns.metadata else None,
        windows=request.windows,
        spans=SpanRules(scheme=scheme_of(data.labels), subwords=request.subwords)
        if data.task == "token"
        else None,
        seed=request.recipe.seed,
    )
