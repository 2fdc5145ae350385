"""The search space of a sweep: a range or a list of choices for each searched setting."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from trainer.config import TrainingConfig
from trainer.sweep.flags import flags_of, with_flags

NONE = "none"
"""The choice that leaves out a flag without a default value."""

GRID_TOLERANCE = 1e-9

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`.

    Attributes:
        parameter: the parameter of the flag, such as `learning_rate`.
        low: the smallest value.
        high: the greatest value.
        log: whether values are drawn uniformly on the logarithmic scale.
        step: the distance of neighbouring values, counted from `low`; None for all floats, or 1 for integers.
        integer: whether the values are integers.
    """

    parameter: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    def contains(self, value: Any) -> bool:
        """Return True if the value can be drawn."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return abs(steps - round(steps)) < GRID_TOLERANCE

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that are checked before the sweep starts."""
        return (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Choices:
    """A closed list of values.

    Attributes:
        parameter: the parameter of the flag, such as `class_weights`.
        values: the values; `none` leaves the flag out.
    """

    parameter: str
    values: tuple[Value, ...]

    def contains(self, value: Any) -> bool:
        """Return True if the value is one of the choices."""
        return any(type(value) is type(choice) and value == choice for choice in self.values)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that are checked before the sweep starts."""
        return self.values


Dimension = Range | Choices
Space = Sequence[Dimension]


def flag_name(parameter: str) -> str:
    """Return the name of a flag without its dashes, under which studies and files hold it."""
    return parameter.replace("_", "-")


def space_digest(space: Space) -> str:
    """Return `sha256:<hex>` of a space, which does not depend on the order of its dimensions."""
    described = sorted((dimension.parameter, asdict(dimension)) for dimension in space)
    return f"sha256:{hashlib.sha256(orjson.dumps(described)).hexdigest()}"


def apply_values(config: TrainingConfig, values: Mapping[str, Value]) -> TrainingConfig:
    """Return the configuration of a trial.

    Args:
        config: the configuration with the fixed settings.
        values: the searched values by flag name, such as `batch-size`.

    Raises:
        UsageError: the settings of the trial contradict each other.
    """
    changed = {
        name.replace("-", "_"): None if value == NONE and isinstance(value, str) else value
        for name, value in values.items()
    }
    return with_flags(config, changed)


def default_values(config: TrainingConfig, space: Space) -> dict[str, Value] | None:
    """Return the searched values of the recipe before the search, or None if the space lacks one of them."""
    flags = flags_of(config)
    found = {dimension.parameter: _as_choice(flags.get(dimension.parameter)) for dimension in space}
    if all(dimension.contains(found[dimension.parameter]) for dimension in space):
        return {flag_name(parameter): value for parameter, value in found.items()}
    return None


def _as_choice(value: Any) -> Value:
    if isinstance(value, tuple):
        return ",".join(value) or NONE
    return NONE if value is None else value
