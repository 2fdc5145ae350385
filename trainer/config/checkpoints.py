"""The settings of checkpoints: where they are kept, when they are written and how many of them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stream.errors import UsageError
from trainer.config.settings import EVALUATION, Flag, SettingsGroup

SaveStrategy = Literal["epoch", "steps", "best"]


class Checkpoints(SettingsGroup):
    """When checkpoints are written and where they are kept; without a folder they are temporary.

    The best evaluation always gets a checkpoint, whatever the strategy.

    Raises:
        UsageError: a setting lacks another one that it needs, or contradicts it.
    """

    keep_in: Annotated[Path | None, Flag(EVALUATION, "--checkpoints")] = Field(
        None, description="Folder that the last and the best checkpoint are kept in."
    )
    resume_from: Annotated[Path | None, Flag(EVALUATION, "--resume", ("--resume_from_checkpoint",))] = Field(
        None, description="Folder of an earlier --checkpoints to continue from, with the same flags."
    )
    save_strategy: Annotated[
        SaveStrategy | None, Flag(EVALUATION, aliases=("--save_strategy",), default="after each evaluation")
    ] = Field(None, description="When a checkpoint is written; the best evaluation always gets one.")
    save_steps: Annotated[int | None, Flag(EVALUATION, aliases=("--save_steps",))] = Field(
        None, ge=1, description="Steps between two checkpoints; needs --checkpoints."
    )
    save_total_limit: Annotated[
        int | None, Flag(EVALUATION, aliases=("--save_total_limit",), default="1")
    ] = Field(
        None,
        ge=1,
        description="Checkpoints that are kept, besides the best one; needs --checkpoints.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.save_strategy in ("epoch", "best") and self.save_steps is not None:
            raise UsageError(
                f"--save-steps cannot be combined with --save-strategy {self.save_strategy}",
                cause="the strategy writes checkpoints at other times",
                fix="leave one of them out",
            )
        if self.save_strategy == "steps" and self.save_steps is None:
            raise UsageError(
                "--save-strategy steps needs --save-steps",
                cause="the number of steps between two checkpoints is unknown",
                fix="add --save-steps, such as --save-steps 500",
            )
        for option, value in (
            ("--save-steps", self.save_steps),
            ("--save-total-limit", self.save_total_limit),
        ):
            if value is not None and self.folder is None:
                raise UsageError(
                    f"{option} needs a folder for checkpoints",
                    cause="without one the checkpoints are temporary, and removed at the end",
                    fix=f"add --checkpoints FOLDER, or leave {option} out",
                )
        return self

    @property
    def folder(self) -> Path | None:
        """The folder of the checkpoints, if they are kept."""
        return self.resume_from or self.keep_in

    @property
    def resume(self) -> bool:
        """Whether training continues from the last checkpoint."""
        return self.resume_from is not None
