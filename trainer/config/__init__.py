"""Every setting of a training, described once: flags, help, checks, metrics and documentation follow."""

from stream.tables import Quoting
from trainer.config.checkpoints import Checkpoints
from trainer.config.data import DataConfig, DataFormat, DecimalMark, SimilarLabels, TagScheme
from trainer.config.optimiser import Compute, Optimiser, Scheduler
from trainer.config.recipe import Evaluation, HeadName, Lora, LossName, Recipe, RequestedPrecision, Samples
from trainer.config.selection import LOSS, SELECTION_METRICS, selection_metric
from trainer.config.settings import one_of
from trainer.config.tracking import TRACKERS, TrackerName, TrackingSettings
from trainer.config.training import (
    AUGMENTATIONS,
    Augmentation,
    Imbalance,
    ModelLocation,
    Sampling,
    Subwords,
    TrainingConfig,
    WeightFormula,
    WindowSettings,
    bundle_name,
)
from trainer.config.variants import VariantSettings

__all__ = [
    "AUGMENTATIONS",
    "LOSS",
    "SELECTION_METRICS",
    "TRACKERS",
    "Augmentation",
    "Checkpoints",
    "Compute",
    "DataConfig",
    "DataFormat",
    "DecimalMark",
    "Evaluation",
    "HeadName",
    "Imbalance",
    "Lora",
    "LossName",
    "ModelLocation",
    "Optimiser",
    "Quoting",
    "Recipe",
    "RequestedPrecision",
    "Samples",
    "Sampling",
    "Scheduler",
    "SimilarLabels",
    "Subwords",
    "TagScheme",
    "TrackerName",
    "TrackingSettings",
    "TrainingConfig",
    "VariantSettings",
    "WeightFormula",
    "WindowSettings",
    "bundle_name",
    "one_of",
    "selection_metric",
]
