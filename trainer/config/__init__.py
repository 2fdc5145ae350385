"""Every setting of a training, described once: flags, help, checks, metrics and documentation follow."""

from trainer.config.data import DataConfig, Quoting
from trainer.config.settings import one_of
from trainer.config.training import (
    AUGMENTATIONS,
    Augmentation,
    Checkpoints,
    HeadName,
    Imbalance,
    Lora,
    LossName,
    ModelLocation,
    Recipe,
    RequestedPrecision,
    Sampling,
    Scheduler,
    Subwords,
    TrainingConfig,
    WeightFormula,
    WindowSettings,
    bundle_name,
)

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Checkpoints",
    "DataConfig",
    "HeadName",
    "Imbalance",
    "Lora",
    "LossName",
    "ModelLocation",
    "Quoting",
    "Recipe",
    "RequestedPrecision",
    "Sampling",
    "Scheduler",
    "Subwords",
    "TrainingConfig",
    "WeightFormula",
    "WindowSettings",
    "bundle_name",
    "one_of",
]
