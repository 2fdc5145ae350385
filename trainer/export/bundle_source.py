"""The input of a bundle build: the trained model, its manifest fields and the rows for the parity checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream.bundle import MetadataColumn, SpanRules, TargetScale, Task, Windows
from stream.classify import TextInput
from trainer.export.graph import CapturedGraph
from trainer.export.variants import VariantPlan, VariantRecipe
from trainer.model.encoding import Preprocessing
from trainer.model.inference import ModelOutput, Progress

Metric = Callable[[Sequence[int], ModelOutput], float]
"""The task's metric, larger is better, of the output for the rows with the given numbers in the source."""


@dataclass(frozen=True, slots=True)
class InferenceConfig:
    """The manifest fields that define how a worker prepares inputs and interprets logits.

    The attributes are those of `stream.bundle.Manifest`.
    """

    task: Task
    labels: list[str]
    max_length: int
    text_pair: bool = False
    values: list[float] | None = None
    thresholds: dict[str, float] | None = None
    abstain_below: float | None = None
    temperature: float = 1.0
    target: TargetScale | None = None
    metadata: list[MetadataColumn] | None = None
    windows: Windows | None = None
    spans: SpanRules | None = None

    @property
    def takes_pair(self) -> bool:
        """Whether the model reads two texts."""
        return self.text_pair or self.task == "pair"

    @property
    def preprocessing(self) -> Preprocessing:
        """The settings that turn rows into model inputs."""
        return Preprocessing(self.max_length, self.windows, self.metadata)


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """The manifest fields that describe the origin of a bundle.

    Attributes:
        name: the name of the bundle.
        data: the digest of the data, its row and class counts, and the sizes of the splits.
        metrics: all measurements. metrics.json and confusion.csv have them in full, the manifest without
            tables and matrices of labels.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BundleSource:
    """A trained classifier and everything else that its bundle is built from.

    Attributes:
        model: a classifier of transformers or a `trainer.model.heads.TextClassifier`, in float32.
        tokenizer: the fast tokenizer of the model.
        inference: how a worker prepares inputs and interprets logits.
        info: name, data and metrics.
        rows: real rows for the parity checks, preferably the validation rows. At most 1,000 of them, evenly
            spaced, become part of reference.jsonl.
        more_rows: further real rows, which complete the 1,000 rows. They are used for the agreement of
            decisions only, which needs no labels.
        calibration: training rows, of which 300 calibrate the activation scales of static int8.
        metric: the task's metric of `rows`; each variant has a limit for the loss of this metric.
        variants: the variants to make from the fp32 graph, or a plan of them; None makes all that the
            installed libraries support.
        weights: whether the bundle holds the PyTorch weights.
        graph: the captured graph of the model; None captures it during the build.
    """

    model: Any
    tokenizer: Any
    inference: InferenceConfig
    info: BundleInfo
    rows: Sequence[TextInput]
    more_rows: Sequence[TextInput] = ()
    calibration: Sequence[TextInput] = ()
    metric: Metric | None = None
    variants: VariantPlan | Sequence[VariantRecipe] | None = None
    weights: bool = True
    graph: CapturedGraph | None = None


@dataclass(frozen=True, slots=True)
class BuildObserver:
    """Callbacks that report the progress of a bundle build.

    Attributes:
        stage: opens a stage with a name and a number of units; returns a callback for the units done.
        warn: receives one line for each variant that is skipped.
    """

    stage: Callable[[str, int], Progress] = lambda _name, _total: lambda _done: None
    warn: Callable[[str], None] = lambda _line: None
