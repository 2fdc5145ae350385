"""The settings of a training: class imbalance, windows, base model and output."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from stream.bundle import Task, Windows
from stream.errors import UsageError
from trainer.config.checkpoints import Checkpoints
from trainer.config.conflicts import TRAINING_CONFLICTS, refuse_conflicts
from trainer.config.data import DataConfig
from trainer.config.recipe import Recipe
from trainer.config.selection import selection_metric
from trainer.config.settings import IMBALANCE, INPUT, OUTPUT, TASK, TRAINING, Flag, SettingsGroup, one_of
from trainer.config.tracking import TrackingSettings
from trainer.config.variants import VariantSettings

Subwords = Literal["first", "all"]
WeightFormula = Literal["inverse", "sqrt_inverse", "effective"]
Sampling = Literal["over", "under"]
Augmentation = Literal["dropout", "swap", "noise"]
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

MAX_NAME_CHARS = 200
NAME_PATTERN = rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{MAX_NAME_CHARS - 1}}}"


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """The location of a pretrained model.

    Attributes:
        source: a folder or a Hub id.
        name: the name that output and metrics show.
        local: whether the source is a folder.
        bundle: whether the folder is a bundle.
    """

    source: str
    name: str
    local: bool
    bundle: bool = False


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
    ] = Field(
        None,
        description="Folder or Hub id of the pretrained model, or a bundle (or hf://OWNER/NAME) to train on.",
    )
    revision: Annotated[str | None, Flag(TRAINING, aliases=("--model_revision",), default="main")] = Field(
        None, description="Branch, tag or commit of a --base-model on the Hub."
    )
    recipe: Recipe = Recipe()
    imbalance: Imbalance = Imbalance()
    checkpoints: Checkpoints = Checkpoints()
    cross_validate: Annotated[int | None, Flag(TRAINING)] = Field(
        None,
        ge=2,
        le=100,
        description="Number of folds; each row gets the prediction of a model that was not trained on it.",
    )
    name: Annotated[str | None, Flag(OUTPUT, default="the data file's name")] = Field(
        None, description="Name of the bundle."
    )
    bundle_store: Annotated[Path, Flag(OUTPUT, aliases=("--output_dir",))] = Field(
        Path("bundles"), description="Folder that holds the bundles."
    )
    no_weights: Annotated[bool, Flag(OUTPUT)] = Field(
        False, description="Leave the PyTorch weights, model.safetensors, out of the bundle."
    )
    results: Annotated[Path, Flag(OUTPUT)] = Field(
        Path("results"),
        description="Folder for the evaluation on the test rows: RESULTS/NAME/VERSION has its report.html.",
    )
    no_results: Annotated[bool, Flag(OUTPUT)] = Field(
        False, description="Write no results folder; metrics.json of the bundle has the figures."
    )
    push_to_hub: Annotated[str | None, Flag(OUTPUT, aliases=("--push_to_hub", "--hub_model_id"))] = Field(
        None, description="Repository of the Hub, OWNER/NAME, that the finished bundle is pushed to."
    )
    hub_private: Annotated[bool, Flag(OUTPUT, aliases=("--hub_private_repo",))] = Field(
        False, description="Make a new repository of --push-to-hub private."
    )
    abstain_below: Annotated[float | None, Flag(OUTPUT)] = Field(
        None, ge=0.0, le=1.0, description="The worker gives no label if the best probability is lower."
    )
    variants: VariantSettings = VariantSettings()
    tracking: TrackingSettings = TrackingSettings()

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
        if self.recipe.evaluation.metric is not None:
            selection_metric(self.recipe.evaluation.metric, self.task, ordinal=self.data.ordinal)
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

    def selected_by(self, default: str) -> str:
        """Return the validation metric that selects the best evaluation.

        Args:
            default: the metric if the user names none.
        """
        requested = self.recipe.evaluation.metric
        if requested is None:
            return default
        return selection_metric(requested, self.task, ordinal=self.data.ordinal)

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
        return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9_.-]+", "-", source).strip("-")[:MAX_NAME_CHARS] or "model"
    if not re.fullmatch(NAME_PATTERN, requested):
        raise UsageError(
            f"--name {requested!r} cannot name a bundle",
            cause="the name becomes a folder, and the part before @VERSION",
            fix="use letters, digits, dots, dashes and underscores, with a letter or digit first; at most "
            f"{MAX_NAME_CHARS} characters",
        )
    return requested
