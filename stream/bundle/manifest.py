"""`labelstream.json`, the manifest: what a bundle holds and what was proven of it."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["single-label", "multi-label", "regression", "pair", "token"]
Precision = Literal["fp32", "fp16", "int8", "bf16"]

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "labelstream.json"


class Parity(BaseModel):
    """How far a variant's logits lie from PyTorch's over the reference texts, and how far they may.

    `max_abs_logit_diff` and `tolerance` are in logits; `label_agreement` is the share of reference rows
    whose best label is the same, and `min_label_agreement` the share that the gate asks for.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    rows: int = Field(gt=0)
    max_abs_logit_diff: float = Field(ge=0)
    tolerance: float = Field(gt=0)
    label_agreement: float = Field(ge=0, le=1)
    min_label_agreement: float = Field(ge=0, le=1)


class VariantEntry(BaseModel):
    """One precision of the model: its file and its proof; `device` is what it was made for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: str
    precision: Precision
    device: Literal["any", "cpu", "cuda", "openvino"] = "any"
    size_bytes: int = Field(gt=0)
    parity: Parity


class Manifest(BaseModel):
    """The manifest. Readers ignore unknown fields; `schema_version` rises when that is unsafe."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    version: str = Field(default="", pattern=r"^[0-9]*$")
    task: Task
    labels: list[str] = Field(min_length=1)
    max_length: int = Field(gt=0)
    inputs: list[str] = Field(min_length=1, description="graph inputs, all int64 [rows, tokens]")
    pad_token_id: int = Field(default=0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    thresholds: dict[str, float] | None = None
    metadata: dict[str, Any] | None = None
    variants: dict[str, VariantEntry] = Field(min_length=1)
    files: dict[str, str] = Field(default_factory=dict, description="path in the bundle -> sha256:<hex>")
    data: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    git: str | None = None
    created_at: datetime

    @model_validator(mode="after")
    def _labels_unique(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be unique")
        return self
