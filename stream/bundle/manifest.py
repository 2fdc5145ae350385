"""The manifest of a bundle, `labelstream.json`: its contents and the measured parity of its variants."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["single-label", "multi-label", "regression", "pair", "token"]
HeadKind = Literal["single-label", "multi-label", "regression", "token"]
Precision = Literal["fp32", "fp16", "int8", "bf16"]

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "labelstream.json"


class Parity(BaseModel):
    """The measured difference between a variant's logits and PyTorch's, and the permitted difference.

    A decision is the best label of a row, the best tag of a token, each label of a multi-label row, or, for a
    regression, that the logit differs by no more than the tolerance.

    Attributes:
        rows: the number of reference rows, for the task `token` of their tokens.
        max_abs_logit_diff: the largest absolute difference of a logit.
        tolerance: the permitted difference of a logit.
        label_agreement: the share of equal decisions, 0 to 1.
        min_label_agreement: the required share of equal decisions.
        validation_agreement: the share of equal decisions among the validation rows of the reference.
        metric_loss: the decrease of the task's metric on the validation rows of the reference.
        max_metric_loss: the permitted decrease of the metric.
        close_rows: the reference rows with a decision that is closer to its border than twice the measured
            difference.
        device: the device of the measurement.
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
    """One precision of the model: its file, the device that it is made for, and its parity."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: str
    precision: Precision
    device: Literal["any", "cpu", "cuda", "openvino"] = "any"
    size_bytes: int = Field(gt=0)
    parity: Parity


class NumericColumn(BaseModel):
    """A metadata column of numbers: two graph columns, (value - mean) / std, and 1.0 if it is missing.

    A missing number counts as the mean.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["numeric"] = "numeric"
    name: str
    mean: float
    std: float = Field(gt=0)

    @property
    def width(self) -> int:
        """The number of graph columns."""
        return 2


class CategoricalColumn(BaseModel):
    """A metadata column of categories: one graph column with 0 for missing, 1 for unseen, then `values`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["categorical"] = "categorical"
    name: str
    values: list[str]

    @property
    def width(self) -> int:
        """The number of graph columns."""
        return 1


MetadataColumn = Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]


class TargetScale(BaseModel):
    """The scale of a regression target: a logit of 0 means `mean`, a logit of 1 means `mean + std`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)


class Windows(BaseModel):
    """The windows of texts that exceed the maximum length; the logits of a text's windows are pooled.

    Attributes:
        stride: the number of tokens that adjacent windows share.
        pooling: the function that pools the logits.
        most: the maximum windows of a text; the rest of the text is truncated.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    stride: int = Field(ge=0)
    pooling: Literal["mean", "max"] = "mean"
    most: int = Field(default=16, gt=0)


class SpanRules(BaseModel):
    """The rules by which token labels become spans.

    Attributes:
        scheme: `bio` joins B-X and I-X to spans of type X; `word` makes every word a span with its label as
            the type, as for part-of-speech tags.
        subwords: `first` gives a word the label of its first sub-word, `all` labels every sub-word.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    scheme: Literal["bio", "word"] = "bio"
    subwords: Literal["first", "all"] = "first"


class Manifest(BaseModel):
    """The contents of a manifest. Readers ignore unknown fields; `schema_version` changes if that is unsafe.

    Attributes:
        task: the task; `pair` is single-label classification of two texts.
        text_pair: True if the model reads two texts; the task `pair` always does.
        labels: the names in the order of the logits; for a regression the one name of the measured quantity.
        values: the number of each label, if the labels are ordinal.
        thresholds: the probability at which each label is predicted, for the task `multi-label`.
        abstain_below: below this best probability no label is predicted.
        target: the scale of a regression target.
        metadata: the columns that the model reads in addition to the text, in the graph's order.
        windows: the windows of long texts; None if they are truncated.
        spans: the rules for spans, for the task `token`.
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
    def _check_consistency(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be unique")
        if self.values is not None and len(self.values) != len(self.labels):
            raise ValueError("values must name one number for each label")
        if self.thresholds is not None and set(self.thresholds) != set(self.labels):
            raise ValueError("thresholds must name one number for each label")
        if self.task == "regression" and len(self.labels) != 1:
            raise ValueError("a regression has one label: the name of the measured quantity")
        if self.task == "token" and self.takes_pair:
            raise ValueError("token classification takes one text")
        if self.windows is not None and self.takes_pair:
            raise ValueError(
                "a bundle with windows reads one text; a pair is truncated, the longer text first"
            )
        return self

    @property
    def head(self) -> HeadKind:
        """The kind of head: the task, regardless of the number of texts."""
        return "single-label" if self.task == "pair" else self.task

    @property
    def takes_pair(self) -> bool:
        """True if the model reads two texts."""
        return self.text_pair or self.task == "pair"
