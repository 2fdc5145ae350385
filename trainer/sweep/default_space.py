"""The search space of a sweep without `--space`."""

from collections.abc import Collection

from stream.errors import UsageError
from trainer.config import TrainingConfig
from trainer.data.examples import Data
from trainer.sweep.space import NONE, Choices, Dimension, Range, Space
from trainer.sweep.space_file import check_dimension

IMBALANCE_RATIO = 3
"""The ratio of the largest to the smallest label from which class weights are searched."""


def default_space(data: Data, config: TrainingConfig, given: Collection[str] = ()) -> Space:
    """Return the default space, without the settings that are given or do not apply to the task.

    Args:
        data: the data, which determine whether class weights are searched.
        config: the configuration with the fixed settings.
        given: the parameters of the flags that the user gave.

    Raises:
        UsageError: every setting of the space is given.
    """
    dimensions: list[Dimension] = [
        Range("learning_rate", 1e-5, 5e-4, log=True),
        Range("epochs", 2, 8, integer=True),
        Choices("batch_size", (16, 32, 64)),
        Range("weight_decay", 0.0, 0.1),
        Range("warmup", 0.0, 0.2),
        Range("label_smoothing", 0.0, 0.1),
    ]
    if _is_imbalanced(data):
        dimensions.append(Choices("class_weights", (NONE, "sqrt_inverse", "inverse")))
    space = [
        dimension
        for dimension in dimensions
        if dimension.parameter not in given and _applies(dimension, config, dimensions)
    ]
    if not space:
        raise UsageError(
            "no setting is left to search",
            cause="the command line gives every setting of the default space",
            fix="leave one of them out, such as --learning-rate, or write a space file for --space",
        )
    return space


def _is_imbalanced(data: Data) -> bool:
    counts = [count for count in data.class_counts.values() if count]
    return data.task != "token" and len(counts) > 1 and max(counts) >= IMBALANCE_RATIO * min(counts)


def _applies(dimension: Dimension, config: TrainingConfig, dimensions: Collection[Dimension]) -> bool:
    try:
        check_dimension(dimension, config, [other.parameter for other in dimensions])
    except UsageError:
        return False
    return True
