"""`labelstream.json`, the manifest: what a bundle holds and what was proven of it."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["single-label", "multi-label", "regression", "pair", "token"]
Head = Literal["single-label", "multi-label", "regression", "token"]
Precision = Literal["fp32", "fp16", "int8", "bf16"]

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "labelstream.json"


class Parity(BaseModel):
    """How far a variant's logits lie from PyTorch's over the reference texts, and how far they may.

    `rows` counts reference rows, for the task `token` their tokens. `max_abs_logit_diff` and `tolerance` are
    in logits. `label_agreement` is the share of decisions that are the same: the best label of a row or tag
    of a token; of several labels each one's; for a regression that the logit moved by no more than the
    tolerance. `min_label_agreement` is the share that the gate asks for.

    `validation_agreement` is the share among the decisions of the reference's validation rows alone.
    `metric_loss` is by how much the task's own metric is worse than PyTorch's on the validation rows of the
    reference, `max_metric_loss` by how much it may be. `close_rows` are the reference rows with a decision
    that lies nearer to its border than twice the measured difference. `device` is where it was measured.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    rows: int = Field(gt=0)
    max_abs_logit_diff: float = Field(ge=0)
    tolerance: float = Field(gt=0)
    label_agreement: float = Field(ge=0, le=1)
    min_label_agreement: float = Field(ge=0, le=1)
    validation_agreement: float | None = Field(default=None, ge=0, le=1)
    metric_loss: float | None = None
    max_metric_loss: float | None = Field(default=None, ge=0)
    close_rows: list[int] | None = None
    device: str | None = None


class VariantEntry(BaseModel):
    """One precision of the model: its file and its proof; `device` is what it was made for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: str
    precision: Precision
    device: Literal["any", "cpu", "cuda", "openvino"] = "any"
    size_bytes: int = Field(gt=0)
    parity: Parity


class NumericColumn(BaseModel):
    """A metadata column of numbers: two graph columns, (value - mean) / std and 1.0 where it is missing.

    A missing number stands at the mean.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["numeric"] = "numeric"
    name: str
    mean: float
    std: float = Field(gt=0)

    @property
    def width(self) -> int:
        """Graph columns that it takes."""
        return 2


class CategoricalColumn(BaseModel):
    """A metadata column of names: one graph column, 0 missing, 1 never seen in training, then `values`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["categorical"] = "categorical"
    name: str
    values: list[str]

    @property
    def width(self) -> int:
        """Graph columns that it takes."""
        return 1


MetadataColumn = Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]


class TargetScale(BaseModel):
    """What a regression model learnt: a logit of 0 means `mean`, of 1 means `mean + std`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)


class Windows(BaseModel):
    """How a text longer than the maximum length is read: in overlapping windows, their logits pooled.

    `stride` is the number of tokens that neighbours share; `most` bounds the windows of a text, what lies
    behind them is cut.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    stride: int = Field(ge=0)
    pooling: Literal["mean", "max"] = "mean"
    most: int = Field(default=16, gt=0)


class SpanRules(BaseModel):
    """How token labels become spans.

    `scheme`: `bio` joins B-X and I-X to spans of type X; `word` makes every word a span whose type is its
    label (part-of-speech tags). `subwords`: whether a word's label is its first sub-word's (`first`), or
    every sub-word has a say of its own (`all`).
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    scheme: Literal["bio", "word"] = "bio"
    subwords: Literal["first", "all"] = "first"


class Manifest(BaseModel):
    """The manifest. Readers ignore unknown fields; `schema_version` rises when that is unsafe.

    Attributes:
        task: the head; `pair` is single-label over two texts.
        text_pair: whether the model reads two texts; always so for the task `pair`.
        labels: names in the order of the logits; for a regression one name, of what is measured.
        values: for ordinal labels, the number that each label stands for.
        thresholds: for multi-label, the probability from which on a label is given.
        abstain_below: a best probability under it gives no label.
        target: for a regression, what its logit means.
        metadata: the columns that the model reads beside the text, in the graph's order.
        windows: how long texts are read; None means that they are cut.
        spans: for the task `token`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    version: str = Field(default="", pattern=r"^[0-9]*$")
    task: Task
    labels: list[str] = Field(min_length=1)
    max_length: int = Field(gt=0)
    inputs: list[str] = Field(min_length=1, description="graph inputs by name")
    pad_token_id: int = Field(default=0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    text_pair: bool = False
    values: list[float] | None = None
    thresholds: dict[str, float] | None = None
    abstain_below: float | None = Field(default=None, gt=0, le=1)
    target: TargetScale | None = None
    metadata: list[MetadataColumn] | None = None
    windows: Windows | None = None
    spans: SpanRules | None = None
    variants: dict[str, VariantEntry] = Field(min_length=1)
    files: dict[str, str] = Field(default_factory=dict, description="path in the bundle -> sha256:<hex>")
    data: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    git: str | None = None
    created_at: datetime

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be unique")
        if self.values is not None and len(self.values) != len(self.labels):
            raise ValueError("values must name one number for each label")
        if self.thresholds is not None and set(self.thresholds) != set(self.labels):
            raise ValueError("thresholds must name one number for each label")
        if self.task == "regression" and len(self.labels) != 1:
            raise ValueError("a regression has one label: the name of what is measured")
        if self.task == "token" and self.takes_pair:
            raise ValueError("token classification takes one text")
        if self.windows is not None and self.takes_pair:
            raise ValueError("windows are cut of one text; a pair is truncated, the longer text first")
        return self

    @property
    def head(self) -> Head:
        """The task without regard to how many texts it reads."""
        return "single-label" if self.task == "pair" else self.task

    @property
    def takes_pair(self) -> bool:
        """Whether the model reads two texts."""
        return self.text_pair or self.task == "pair"

    @property
    def metadata_width(self) -> int:
        """Columns of the graph's input `metadata`."""
        return sum(column.width for column in self.metadata or ())
