"""The settings of the optimiser, of the learning rate's schedule and of the computation."""

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from stream.errors import UsageError
from trainer.config.settings import COMPUTE, OPTIMISER, Flag, SettingsGroup

OptimiserName = Literal["adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "adagrad", "rmsprop"]
ADAM: tuple[OptimiserName, ...] = ("adamw_torch_fused", "adamw_torch")
Scheduler = Literal[
    "linear",
    "cosine",
    "constant",
    "constant_with_warmup",
    "cosine_with_restarts",
    "polynomial",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
]

SCHEDULER_OPTIONS: Mapping[Scheduler, tuple[str, ...]] = {
    "cosine": ("num_cycles",),
    "cosine_with_restarts": ("num_cycles",),
    "polynomial": ("lr_end", "power"),
    "inverse_sqrt": ("timescale",),
    "reduce_lr_on_plateau": (
        "factor",
        "patience",
        "threshold",
        "threshold_mode",
        "cooldown",
        "min_lr",
        "eps",
    ),
    "cosine_with_min_lr": ("num_cycles", "min_lr", "min_lr_rate"),
    "cosine_warmup_with_min_lr": ("num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"),
    "warmup_stable_decay": (
        "num_decay_steps",
        "num_stable_steps",
        "warmup_type",
        "decay_type",
        "min_lr_ratio",
        "num_cycles",
    ),
}
"""The options of each schedule, as transformers calls them; the other schedules have none."""

NEEDED_OPTIONS: Mapping[Scheduler, tuple[str, ...]] = {
    "cosine_with_min_lr": ("min_lr", "min_lr_rate"),
    "cosine_warmup_with_min_lr": ("min_lr", "min_lr_rate"),
    "warmup_stable_decay": ("num_decay_steps",),
}
"""The options of which a schedule needs one."""


class Optimiser(SettingsGroup):
    """The optimiser and the clipping of gradients.

    Raises:
        UsageError: a value is invalid, or a setting of Adam is given for another optimiser.
    """

    name: Annotated[OptimiserName, Flag(OPTIMISER, "--optim")] = Field(
        "adamw_torch_fused", description="Optimiser, as transformers calls it."
    )
    adam_beta1: Annotated[float, Flag(OPTIMISER, aliases=("--adam_beta1",))] = Field(
        0.9, ge=0.0, le=0.9999999, description="Decay of AdamW's mean of the gradients."
    )
    adam_beta2: Annotated[float, Flag(OPTIMISER, aliases=("--adam_beta2",))] = Field(
        0.999, ge=0.0, le=0.9999999, description="Decay of AdamW's mean of the squared gradients."
    )
    adam_epsilon: Annotated[float, Flag(OPTIMISER, aliases=("--adam_epsilon",))] = Field(
        1e-8, ge=0.0, description="Term that keeps AdamW's denominator above 0."
    )
    max_grad_norm: Annotated[float, Flag(OPTIMISER, aliases=("--max_grad_norm",))] = Field(
        1.0, ge=0.0, description="Norm to which larger gradients are scaled down; 0 for no limit."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        defaults = type(self).model_fields
        for field in ("adam_beta1", "adam_beta2", "adam_epsilon"):
            if self.name not in ADAM and getattr(self, field) != defaults[field].default:
                option = f"--{field.replace('_', '-')}"
                raise UsageError(
                    f"{option} cannot be combined with --optim {self.name}",
                    cause="only AdamW has this setting",
                    fix=f"leave {option} out, or use --optim {ADAM[0]}",
                )
        return self


def parse_options(value: Any) -> Any:
    """Return the options of a schedule that a command line gives as a JSON object.

    Raises:
        UsageError: the text is not a JSON object.
    """
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise UsageError(
            f"--scheduler-options {value} is not valid",
            cause="the value is not a JSON object",
            fix="""pass a JSON object in quotes, such as '{"num_cycles": 2}'""",
        )
    return parsed


def check_options(scheduler: Scheduler, options: Mapping[str, Any]) -> None:
    """Check the options of a schedule.

    Raises:
        UsageError: an option is unknown to the schedule, or one that it needs is missing.
    """
    known = SCHEDULER_OPTIONS.get(scheduler, ())
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"--scheduler {scheduler} has no option {name}",
                cause=f"its options are: {', '.join(known)}" if known else "it has no options",
                fix=f"did you mean {close[0]}?" if close else "leave it out, or use another --scheduler",
            )
    needed = NEEDED_OPTIONS.get(scheduler)
    if needed and not set(needed) & set(options):
        example = "0.1" if needed[-1] == "min_lr_rate" else "100"
        raise UsageError(
            f"--scheduler {scheduler} needs the option {' or '.join(needed)}",
            cause="transformers has no default for it",
            fix=f"""add --scheduler-options '{{"{needed[-1]}": {example}}}'""",
        )


class Compute(SettingsGroup):
    """How the training is computed; the result is the same up to rounding."""

    gradient_checkpointing: Annotated[bool, Flag(COMPUTE, aliases=("--gradient_checkpointing",))] = Field(
        False, description="Compute activations again in the backward pass, to save memory."
    )
    torch_compile: Annotated[bool, Flag(COMPUTE, aliases=("--torch_compile",))] = Field(
        False, description="Compile the model with torch.compile; needs a compiler."
    )
    torch_compile_backend: Annotated[
        str | None, Flag(COMPUTE, aliases=("--torch_compile_backend",), default="inductor")
    ] = Field(None, description="Backend of torch.compile; switches it on.")

    @property
    def backend(self) -> str | None:
        """The backend of torch.compile, or None if the model is not compiled."""
        return self.torch_compile_backend or ("inductor" if self.torch_compile else None)
