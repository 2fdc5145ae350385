"""The manifest of a bundle, `labelstream.json`: its contents and the measured parity of its variants."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stream.bundle.fields import (
    MANIFEST_FILE,
    MAX_COLUMNS,
    MAX_FILES,
    MAX_NAMES,
    MAX_TOKENS,
    SIGNATURE_FILE,
    Count,
    Digest,
    Magnitude,
    Name,
    Probability,
    RelativePath,
    Scale,
    Tag,
    check_distinct,
)

Task = Literal["single-label", "multi-label", "regression", "pair", "token"]
HeadKind = Literal["single-label", "multi-label", "regression", "token"]
Precision = Literal["fp32", "fp16", "int8", "bf16"]
Verdict = Literal["passed", "undecided", "refused"]

SCHEMA_VERSION: Literal[1] = 1
# Trained temperatures lie between 0.1 and 10. Far smaller ones turn finite logits into infinite ones.
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e3
MAX_WINDOWS = 10_000
FILE_NAME = MANIFEST_FILE
# Room for a million labels. A parsed manifest takes several times its size in memory.
MAX_MANIFEST_BYTES = 64 * 2**20


class RealRows(BaseModel):
    """The agreement on the real rows of the reference: the validation rows, and training rows after them.

    Attributes:
        rows: the number of real rows.
        decisions: the number of their decisions: rows, tokens, or rows times labels.
        label_agreement: the share of equal decisions.
        interval: the 95% confidence interval of this share, low and high end.
        min_label_agreement: the required share.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    rows: Count
    decisions: Count
    label_agreement: Probability
    interval: tuple[Probability, Probability]
    min_label_agreement: Probability


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
        real: the agreement on all real rows, for a variant with a required share of them.
        metric_loss: the decrease of the task's metric on the validation rows of the reference.
        max_metric_loss: the permitted decrease of the metric.
        close_rows: the reference rows with a decision that is closer to its border than twice the measured
            difference.
        device: the device of the measurement.
        verdict: the result of the check at export; undecided if the rows were too few to pass or refuse the
            variant. None in bundles of earlier versions.
        accepted_by_user: True if the variant did not pass and was published at the request of the user.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    rows: Count = Field(gt=0)
    max_abs_logit_diff: float = Field(ge=0)
    tolerance: float = Field(gt=0)
    label_agreement: float = Field(ge=0, le=1)
    min_label_agreement: float = Field(ge=0, le=1)
    validation_agreement: float | None = Field(default=None, ge=0, le=1)
    real: RealRows | None = None
    metric_loss: float | None = None
    max_metric_loss: float | None = Field(default=None, ge=0)
    close_rows: list[Count] | None = Field(default=None, max_length=MAX_NAMES)
    device: Name | None = None
    verdict: Verdict | None = None
    accepted_by_user: bool = False


class VariantEntry(BaseModel):
    """One precision of the model: its file, the device that it is made for, and its parity."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    file: RelativePath
    precision: Precision
    device: Literal["any", "cpu", "cuda", "openvino"] = "any"
    size_bytes: Count = Field(gt=0)
    parity: Parity


class NumericColumn(BaseModel):
    """A metadata column of numbers: two graph columns, (value - mean) / std, and 1.0 if it is missing.

    A missing number counts as the mean.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    kind: Literal["numeric"] = "numeric"
    name: Name
    mean: Magnitude
    std: Scale

    @property
    def width(self) -> int:
        """The number of graph columns."""
        return 2


class CategoricalColumn(BaseModel):
    """A metadata column of categories: one graph column with 0 for missing, 1 for unseen, then `values`."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    kind: Literal["categorical"] = "categorical"
    name: Name
    values: list[str] = Field(max_length=MAX_NAMES)

    @property
    def width(self) -> int:
        """The number of graph columns."""
        return 1


MetadataColumn = Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]


class TargetScale(BaseModel):
    """The scale of a regression target: a logit of 0 means `mean`, a logit of 1 means `mean + std`."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    mean: Magnitude = 0.0
    std: Scale = 1.0


class Windows(BaseModel):
    """The windows of texts that exceed the maximum length; the logits of a text's windows are pooled.

    Attributes:
        stride: the number of tokens that adjacent windows share.
        pooling: the function that pools the logits.
        most: the maximum windows of a text; the rest of the text is truncated.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    stride: int = Field(ge=0, lt=MAX_TOKENS)
    pooling: Literal["mean", "max"] = "mean"
    most: int = Field(default=16, gt=0, le=MAX_WINDOWS)


class SpanRules(BaseModel):
    """The rules by which token labels become spans.

    Attributes:
        scheme: `bio` joins B-X and I-X to spans of type X; `bioes` does the same with `tags`, where E-X ends
            a span and S-X is a whole span; `word` makes every word a span with its label as the type, as for
            part-of-speech tags.
        subwords: `first` gives a word the label of its first sub-word, `all` labels every sub-word.
        tags: for `bioes` the tag of each label, in the order of the labels; labels with the tag O, such as
            [PAD], mark no span.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    scheme: Literal["bio", "bioes", "word"] = "bio"
    subwords: Literal["first", "all"] = "first"
    tags: list[Tag] | None = Field(default=None, max_length=MAX_NAMES)

    @model_validator(mode="after")
    def _check_tags(self) -> Self:
        if (self.scheme == "bioes") != (self.tags is not None):
            raise ValueError("tags belong to the scheme bioes")
        return self


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
        skipped_variants: the variants that the export left out, with the reason.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=200)
    version: str = Field(default="", pattern=r"^[0-9]*$", max_length=18)
    task: Task
    labels: list[Name] = Field(min_length=1, max_length=MAX_NAMES)
    max_length: int = Field(gt=0, le=MAX_TOKENS)
    inputs: list[Name] = Field(min_length=1, max_length=100, description="graph inputs by name")
    pad_token_id: int = Field(default=0, ge=0, lt=2**31)
    temperature: float = Field(default=1.0, ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)
    text_pair: bool = False
    values: list[Magnitude] | None = None
    thresholds: dict[str, Probability] | None = None
    abstain_below: float | None = Field(default=None, gt=0, le=1)
    target: TargetScale | None = None
    metadata: list[MetadataColumn] | None = Field(default=None, max_length=MAX_COLUMNS)
    windows: Windows | None = None
    spans: SpanRules | None = None
    variants: dict[Name, VariantEntry] = Field(min_length=1, max_length=100)
    skipped_variants: dict[Name, Name] = Field(default_factory=dict, max_length=100)
    files: dict[RelativePath, Digest] = Field(
        default_factory=dict, max_length=MAX_FILES, description="path in the bundle -> sha256:<hex>"
    )
    data: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    git: str | None = None
    created_at: datetime

    @field_validator("files")
    @classmethod
    def _check_files(cls, files: dict[str, str]) -> dict[str, str]:
        check_distinct(files)
        if listed := {MANIFEST_FILE, SIGNATURE_FILE} & set(files):
            raise ValueError(f"{min(listed)} cannot list its own digest or that of the manifest")
        return files

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be unique")
        if len(set(self.inputs)) != len(self.inputs):
            raise ValueError("inputs must be unique")
        columns = [column.name for column in self.metadata or ()]
        if len(set(columns)) != len(columns):
            raise ValueError("metadata must name each column once")
        if self.values is not None and len(self.values) != len(self.labels):
            raise ValueError("values must name one number for each label")
        if self.thresholds is not None and set(self.thresholds) != set(self.labels):
            raise ValueError("thresholds must name one number for each label")
        if self.spans is not None and self.spans.tags and len(self.spans.tags) != len(self.labels):
            raise ValueError("spans.tags must name one tag for each label")
        if self.task == "regression" and len(self.labels) != 1:
            raise ValueError("a regression has one label: the name of the measured quantity")
        if self.windows is not None and self.windows.stride >= self.max_length:
            raise ValueError("windows.stride must be less than max_length")
        if "fp32" in self.variants and self.variants["fp32"].parity.accepted_by_user:
            raise ValueError("fp32 must pass its parity check; no user can accept it")
        if self.task == "token" and self.takes_pair:
            raise ValueError("token classification takes one text")
        if self.windows is not None and self.takes_pair:
            raise ValueError(
                "a bundle with windows reads one text; a pair is truncated, the longer text first"
            )
        return self

    def is_accepted_by_user(self, variant: str) -> bool:
        """Return True if a variant did not pass its parity check and was published at the user's request."""
        return variant in self.variants and self.variants[variant].parity.accepted_by_user

    @property
    def head(self) -> HeadKind:
        """The kind of head: the task, regardless of the number of texts."""
        return "single-label" if self.task == "pair" else self.task

    @property
    def takes_pair(self) -> bool:
        """True if the model reads two texts."""
        return self.text_pair or self.task == "pair"

    @property
    def metadata_width(self) -> int:
        """The number of graph columns of the metadata."""
        return sum(column.width for column in self.metadata or ())
