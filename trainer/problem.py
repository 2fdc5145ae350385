"""What is learnt: everything that training, evaluation and bundle have to agree on about a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream.bundle.manifest import Head, MetadataColumn, SpanRules, TargetScale, Task, Windows
from trainer.data.examples import Data, Example
from trainer.data.labels import ordinal_values, tag_scheme
from trainer.data.metadata import fit_metadata
from trainer.evaluation.evaluator import DecisionRule, Evaluator, ModelOutput
from trainer.export.package import Served
from trainer.model.batches import Collator, Rows, labelled_rows
from trainer.model.encoding import encode
from trainer.model.inference import torch_logits
from trainer.model.tagged import TaggedRows, tagged_rows
from trainer.model.truth import fit_target
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

    def rows(self, tokenizer: Any, examples: Sequence[Example]) -> Rows:
        """Training rows."""
        if self.spans is not None:
            return tagged_rows(
                tokenizer,
                examples,
                self.labels,
                self.spans,
                self.max_length,
                self.windows,
                self.metadata,
            )
        encoded = encode(tokenizer, [example.input for example in examples], self.max_length, self.windows)
        return labelled_rows(
            encoded, examples, self.labels, self.head, target=self.target, metadata=self.metadata
        )

    def collator(self, tokenizer: Any) -> Collator:
        """Training rows to padded batches."""
        return Collator(tokenizer, token=self.head == "token")

    def logits(
        self,
        model: Any,
        tokenizer: Any,
        examples: Sequence[Example],
        progress: Callable[[int], None] = lambda _: None,
    ) -> ModelOutput:
        """What a model says of rows, see `trainer.model.inference.torch_logits`."""
        return torch_logits(
            model,
            tokenizer,
            [example.input for example in examples],
            max_length=self.max_length,
            metadata=self.metadata,
            windows=self.windows,
            token=self.head == "token",
            progress=progress,
        )

    def judge(self, tokenizer: Any, examples: Sequence[Example]) -> Evaluator:
        """Holds what a model says of rows against what is true of them."""
        tagged = None
        if self.spans is not None:
            tagged = TaggedRows(tokenizer, examples, self.labels, self.spans, self.max_length, self.windows)
        return Evaluator(
            self.head,
            self.labels,
            examples,
            values=self.values,
            target=self.target or TargetScale(),
            tagged=tagged,
            seed=self.seed,
        )

    def served(self, answers: DecisionRule) -> Served:
        """What the bundle's manifest says of the task."""
        return Served(
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
        target=fit_target(train) if data.task == "regression" else None,
        metadata=fit_metadata(train, data.columns.metadata) if data.columns.metadata else None,
        windows=request.windows,
        spans=SpanRules(scheme=tag_scheme(data.labels), subwords=request.subwords)
        if data.task == "token"
        else None,
        seed=request.recipe.seed,
    )
