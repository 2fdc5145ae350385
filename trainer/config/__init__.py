"""Every setting of a training, described once: flags, help, checks, metrics and documentation follow."""

from trainer.config.data import DataConfig, Quoting
from trainer.config.settings import one_of
from trainer.config.training import (
    METHODS,
    BaseModel,
    Checkpoints,
    HeadName,
    Imbalance,
    Lora,
    LossName,
    Method,
    Precision,
    Recipe,
    Sampling,
    Scheduler,
    Strategy,
    Subwords,
    TrainingConfig,
    WindowSettings,
    bundle_name,
)

__all__ = [
    "METHODS",
    "BaseModel",
    "Checkpoints",
    "DataConfig",
    "HeadName",
    "Imbalance",
    "Lora",
    "LossName",
    "Method",
    "Precision",
    "Quoting",
    "Recipe",
    "Sampling",
    "Scheduler",
    "Strategy",
    "Subwords",
    "TrainingConfig",
    "WindowSettings",
    "bundle_name",
    "one_of",
]
