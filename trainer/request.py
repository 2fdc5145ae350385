"""What the command line asks for; nothing heavy is imported here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stream.bundle import Task, Windows
from trainer.data.augment import Method
from trainer.model.base_model import BaseModel
from trainer.recipe import Recipe, Subwords

Strategy = Literal["inverse", "sqrt_inverse", "effective"]
Sampling = Literal["over", "under"]


@dataclass(frozen=True, slots=True)
class Imbalance:
    """What is done about classes of unequal size, in the training part alone.

    Attributes:
        class_weights: how a label's weight in the loss follows from its rows.
        sampling: whether rows of rare labels are repeated, or those of frequent ones left out.
        augment: how altered copies of rows are made; none by default.
    """

    class_weights: Strategy | None = None
    sampling: Sampling | None = None
    augment: tuple[Method, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where checkpoints are kept; without a folder they are temporary. `resume`: go on from the last one."""

    folder: Path | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A training.

    Attributes:
        name: of the bundle.
        store: where bundles live.
        base: the pretrained model.
        recipe: the hyper-parameters.
        task: what is learnt.
        ordinal: whether the labels are numbers, whose order counts.
        abstain_below: a best probability under it gives no label.
        windows: how texts longer than the maximum length are read; None cuts them.
        subwords: which sub-words of a word are tagged.
        imbalance: what is done about it.
        checkpoints: whether they are kept.
    """

    name: str
    store: Path
    base: BaseModel
    recipe: Recipe
    task: Task = "single-label"
    ordinal: bool = False
    abstain_below: float | None = None
    windows: Windows | None = None
    subwords: Subwords = "first"
    imbalance: Imbalance = field(default_factory=Imbalance)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
