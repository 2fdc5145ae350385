"""The settings of a training: hyper-parameters, class imbalance, checkpoints, windows and output."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from stream.bundle import Task, Windows
from stream.errors import UsageError
from trainer.config.conflicts import TRAINING_CONFLICTS, refuse_conflicts
from trainer.config.data import DataConfig
from trainer.config.settings import (
    IMBALANCE,
    INPUT,
    LAYERS,
    OUTPUT,
    TASK,
    TRAINING,
    Flag,
    SettingsGroup,
    one_of,
)

HeadName = Literal["linear", "mlp"]
LossName = Literal["default", "focal"]
RequestedPrecision = Literal["auto", "fp32", "bf16", "fp16"]
Scheduler = Literal["linear", "cosine", "constant", "constant_with_warmup"]
Subwords = Literal["first", "all"]
WeightFormula = Literal["inverse", "sqrt_inverse", "effective"]
Sampling = Literal["over", "under"]
Augmentation = Literal["dropout", "swap", "noise"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """The location of a pretrained model.

    Attributes:
        source: a folder or a Hub id.
        name: the name that output and metrics show.
        local: whether the source is a folder.
    """

    source: str
    name: str
    local: bool


class Lora(SettingsGroup):
    """Low-rank adaptation (Hu et al. 2021)."""

    rank: Annotated[int, Flag(LAYERS, "--lora-rank")] = Field(8, ge=1, description="Rank of the adapters.")
    alpha: Annotated[int, Flag(LAYERS, "--lora-alpha")] = Field(
        16, ge=1, description="The adapters' output is multiplied by alpha / rank."
    )
    dropout: float = 0.05


class Recipe(SettingsGroup):
    """The hyper-parameters of a training."""

    head: Annotated[HeadName, Flag(TASK)] = Field(
        "linear", description="The classification head; mlp has one hidden layer."
    )
    max_length: Annotated[int, Flag(INPUT, aliases=("--max_seq_length",))] = Field(
        256,
        ge=8,
        description="Tokens after which a text is truncated; the model's own limit applies if it is lower.",
    )
    epochs: Annotated[int, Flag(TRAINING, aliases=("--num_train_epochs",))] = Field(
        5, ge=1, description="Maximum number of epochs; training stops early when the model stops improving."
    )
    patience: Annotated[int, Flag(TRAINING, aliases=("--early_stopping_patience",))] = Field(
        2, ge=1, description="Epochs without improvement after which training stops."
    )
    batch_size: Annotated[int, Flag(TRAINING, aliases=("--per_device_train_batch_size",))] = Field(
        32, ge=1, description="Texts in one batch on the device."
    )
    gradient_accumulation: Annotated[int, Flag(TRAINING, aliases=("--gradient_accumulation_steps",))] = Field(
        1, ge=1, description="Batches in one optimiser step."
    )
    learning_rate: Annotated[float, Flag(TRAINING, aliases=("--learning_rate",))] = Field(
        1e-4, ge=1e-9, description="Peak learning rate; larger models need a smaller one, such as 2e-5."
    )
    weight_decay: Annotated[float, Flag(TRAINING, aliases=("--weight_decay",))] = Field(
        0.01, ge=0.0, description="Weight decay of AdamW on all weights except biases and norms."
    )
    warmup: Annotated[float, Flag(TRAINING, aliases=("--warmup_ratio",))] = Field(
        0.1, ge=0.0, le=1.0, description="Share of the steps during which the learning rate rises."
    )
    scheduler: Annotated[Scheduler, Flag(TRAINING, aliases=("--lr_scheduler_type",))] = Field(
        "linear", description="Schedule of the learning rate after the warm-up."
    )
    precision: Annotated[RequestedPrecision, Flag(TRAINING, shorthands=("bf16", "fp16"))] = Field(
        "auto", description="Precision of the arithmetic; auto takes bf16 or fp16 where that is faster."
    )
    label_smoothing: Annotated[float, Flag(TRAINING, aliases=("--label_smoothing_factor",))] = Field(
        0.0, ge=0.0, le=0.99, description="Share of the target that is spread evenly over all labels."
    )
    seed: Annotated[int, Flag(TRAINING)] = Field(
        42, ge=0, le=2**32 - 1, description="Seed of splits, head, row order and dropout."
    )
    loss: Annotated[LossName, Flag(IMBALANCE)] = Field(
        "default", description="Loss function; focal gives difficult rows more weight."
    )
    gamma: Annotated[float, Flag(IMBALANCE, "--focal-gamma")] = Field(
        2.0, ge=0.0, description="Exponent of the focal loss; 0 is the default loss."
    )
    freeze_layers: Annotated[int, Flag(LAYERS)] = Field(
        0, ge=0, description="Number of lowest layers that are not trained, in addition to the embeddings."
    )
    layer_decay: Annotated[float, Flag(LAYERS)] = Field(
        1.0,
        ge=0.01,
        le=1.0,
        description="Factor from the learning rate of a layer to that of the layer below it.",
    )
    lora: Annotated[Lora | None, Flag(LAYERS)] = Field(
        None, description="Train low-rank adapters instead of the encoder; needs the package peft."
    )

    def steps_per_epoch(self, rows: int) -> int:
        """Return the number of optimiser steps in one pass over the rows."""
        return math.ceil(math.ceil(rows / self.batch_size) / self.gradient_accumulation)


class Imbalance(SettingsGroup):
    """The measures against classes of unequal size; they change the training split only."""

    class_weights: Annotated[WeightFormula | None, Flag(IMBALANCE)] = Field(
        None, description="Formula of the labels' weights in the loss; rare labels get more weight."
    )
    sampling: Annotated[Sampling | None, Flag(IMBALANCE)] = Field(
        None, description="over repeats rows of rare labels; under drops rows of frequent labels."
    )
    augment: Annotated[tuple[Augmentation, ...], Flag(IMBALANCE)] = Field(
        (), description="Add altered copies of the rows; all selects every method."
    )

    @field_validator("augment", mode="before")
    @classmethod
    def _expand_all(cls, value: Any) -> Any:
        if tuple(value) == ("all",):
            return AUGMENTATIONS
        return tuple(one_of("--augment", name, (*AUGMENTATIONS, "all")) for name in value)


class Checkpoints(SettingsGroup):
    """Where checkpoints are kept; without a folder they are temporary."""

    keep_in: Annotated[Path | None, Flag(TRAINING, "--checkpoints")] = Field(
        None, description="Folder that the last checkpoint is kept in."
    )
    resume_from: Annotated[Path | None, Flag(TRAINING, "--resume", ("--resume_from_checkpoint",))] = Field(
        None, description="Folder of an earlier --checkpoints to continue from, with the same flags."
    )

    @property
    def folder(self) -> Path | None:
        """The folder of the checkpoints, if they are kept."""
        return self.resume_from or self.keep_in

    @property
    def resume(self) -> bool:
        """Whether training continues from the last checkpoint."""
        return self.resume_from is not None


class WindowSettings(SettingsGroup):
    """How a text that is longer than the maximum length is read: in overlapping windows."""

    stride: Annotated[int, Flag(INPUT, aliases=("--doc_stride",))] = Field(
        32, ge=0, description="Tokens that two neighbouring windows share."
    )
    pooling: Annotated[Literal["mean", "max"], Flag(INPUT)] = Field(
        "mean", description="Pooling of the windows' logits."
    )
    most: Annotated[int, Flag(INPUT, "--max-windows", ("--most-windows",))] = Field(
        16, ge=1, description="Maximum number of windows of one text; the rest of the text is dropped."
    )


class TrainingConfig(SettingsGroup):
    """The settings of `labelstream train`.

    Raises:
        UsageError: a value is invalid, or two settings contradict each other.
    """

    data: DataConfig = DataConfig()
    subwords: Annotated[Subwords, Flag(TASK)] = Field(
        "first", description="For the task token: the sub-words of a word that are tagged."
    )
    windows: Annotated[WindowSettings | None, Flag(INPUT)] = Field(
        None, description="Read longer texts in overlapping windows instead of truncating them."
    )
    base_model: Annotated[
        str | None,
        Flag(
            TRAINING,
            aliases=("--model_name_or_path",),
            default="all-MiniLM-L6-v2, installed with the trainer",
        ),
    ] = Field(None, description="Folder or Hub id of the pretrained model.")
    recipe: Recipe = Recipe()
    imbalance: Imbalance = Imbalance()
    checkpoints: Checkpoints = Checkpoints()
    name: Annotated[str | None, Flag(OUTPUT, default="the data file's name")] = Field(
        None, description="Name of the bundle."
    )
    bundle_store: Annotated[Path, Flag(OUTPUT, aliases=("--output_dir",))] = Field(
        Path("bundles"), description="Folder that holds the bundles."
    )
    abstain_below: Annotated[float | None, Flag(OUTPUT)] = Field(
        None, ge=0.0, le=1.0, description="The worker gives no label if the best probability is lower."
    )

    @field_validator("name")
    @classmethod
    def _fits_a_folder(cls, value: str | None) -> str | None:
        return None if value is None else bundle_name(value, "")

    @field_validator("abstain_below")
    @classmethod
    def _zero_never_abstains(cls, value: float | None) -> float | None:
        return value or None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_conflicts(self, TRAINING_CONFLICTS)
        if self.windows is not None and self.windows.stride >= self.recipe.max_length // 2:
            raise UsageError(
                f"--stride {self.windows.stride} is too much for --max-length {self.recipe.max_length}",
                cause="each window would add only a few new tokens",
                fix=f"use less than {self.recipe.max_length // 2}",
            )
        return self

    @property
    def task(self) -> Task:
        """The kind of target."""
        return self.data.task

    @property
    def manifest_windows(self) -> Windows | None:
        """The windows as the bundle's manifest describes them."""
        return Windows(**self.windows.model_dump()) if self.windows else None

    def limited_to(self, longest: int) -> Self:
        """Return the configuration with a maximum length that the model can read."""
        limit = min(self.recipe.max_length, longest)
        return self.model_copy(update={"recipe": self.recipe.model_copy(update={"max_length": limit})})


def bundle_name(requested: str | None, source: str) -> str:
    """Return the name of a bundle, by default derived from the name of its data or model.

    Raises:
        UsageError: the name cannot be the name of a bundle.
    """
    if requested is None:
        return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9_.-]+", "-", source).strip("-") or "model"
    if not re.fullmatch(NAME_PATTERN, requested):
        raise UsageError(
            f"--name {requested!r} cannot name a bundle",
            cause="the name becomes a folder, and the part before @VERSION",
            fix="use letters, digits, dots, dashes and underscores, with a letter or digit first",
        )
    return requested
