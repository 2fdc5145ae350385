"""The settings of `labelstream train` as keyword arguments of Python."""

from typing import Any

from pydantic import model_validator

from trainer.config.named import nested_values
from trainer.config.training import TrainingConfig


class TrainConfig(TrainingConfig):
    """The settings of a training, with flat names such as `batch_size=16` or as nested groups.

    Every flag of `labelstream train` is a keyword argument, in our spelling or that of Hugging Face.

    Raises:
        UsageError: a name is unknown, a value is invalid, or two settings contradict each other.
    """

    @model_validator(mode="before")
    @classmethod
    def _nest(cls, values: Any) -> Any:
        return nested_values(TrainingConfig, values, "TrainConfig") if isinstance(values, dict) else values
