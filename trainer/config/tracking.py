"""The settings of experiment tracking."""

import os
import re
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from stream.errors import UsageError
from trainer.config.settings import TRACKING, Flag, SettingsGroup, one_of

TrackerName = Literal["tensorboard", "mlflow", "wandb", "trackio"]
TRACKERS: tuple[TrackerName, ...] = get_args(TrackerName)
ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z0-9_-]{1,255}")
PROJECT_VARIABLES = {
    "mlflow": "MLFLOW_EXPERIMENT_NAME",
    "wandb": "WANDB_PROJECT",
    "trackio": "TRACKIO_PROJECT",
}
"""The environment variable of each tracker that names a project when --project does not."""


def is_installed(tracker: TrackerName) -> bool:
    """Return True if the library of a tracker can be imported; nothing is imported."""
    found = find_spec(tracker)
    # W&B writes its runs into the folder wandb, which Python takes for a package without modules.
    return found is not None and found.origin is not None


class TrackingSettings(SettingsGroup):
    """The trackers that a training reports to, and the names that it has there."""

    report_to: Annotated[tuple[TrackerName, ...], Flag(TRACKING, aliases=("--report_to",))] = Field(
        (), description="Trackers that record the training; all selects every installed one, none no tracker."
    )
    run_name: Annotated[
        str | None, Flag(TRACKING, aliases=("--run_name",), default="the bundle's name and the time")
    ] = Field(None, description="Name of the run in the trackers.")
    project: Annotated[str | None, Flag(TRACKING, aliases=("--experiment",), default="the bundle's name")] = (
        Field(None, description="Project of W&B and Trackio, experiment of MLflow, folder of TensorBoard.")
    )
    register_as: Annotated[str | None, Flag(TRACKING, "--register")] = Field(
        None, description="Name under which the bundle is registered as a model in MLflow."
    )
    alias: Annotated[tuple[str, ...], Flag(TRACKING)] = Field(
        (), description="Aliases of the registered version in MLflow, such as champion."
    )

    @field_validator("report_to", mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        names = tuple(dict.fromkeys(value))
        if names == ("none",):
            return ()
        if names == ("all",):
            return tuple(filter(is_installed, TRACKERS))
        return tuple(one_of("--report-to", name, (*TRACKERS, "all", "none")) for name in names)

    @field_validator("run_name", "project", "register_as")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not (value.strip() and value.isprintable()):
            raise ValueError("a name needs a visible character, and no line break")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for flag, given in (("--run-name", self.run_name), ("--project", self.project)):
            if given is not None and not self.report_to:
                raise UsageError(
                    f"{flag} has no effect without --report-to",
                    cause="no tracker is chosen",
                    fix=f"add --report-to {TRACKERS[0]}, or leave {flag} out",
                )
        if self.register_as is not None and "mlflow" not in self.report_to:
            raise UsageError(
                f"--register {self.register_as} needs MLflow",
                cause="only MLflow has a registry of models here",
                fix="add --report-to mlflow",
            )
        if self.register_as is not None and any(mark in self.register_as for mark in "/:@"):
            raise UsageError(
                f"--register {self.register_as} cannot name a model in MLflow",
                cause="the name is part of the reference models:/NAME@ALIAS",
                fix="use a name without a slash, a colon and an at sign",
            )
        if self.alias and self.register_as is None:
            raise UsageError(
                f"--alias {','.join(self.alias)} has no effect without --register",
                cause="an alias belongs to a version of a registered model",
                fix="add --register NAME",
            )
        if wrong := [alias for alias in self.alias if not ALIAS.fullmatch(alias)]:
            raise UsageError(
                f"--alias {wrong[0]} cannot name a version in MLflow",
                cause="it takes letters, digits, dashes and underscores; latest and v1, v2, … are reserved",
                fix="use another name, such as champion",
            )
        return self

    def project_of(self, tracker: TrackerName, bundle: str) -> str:
        """Return the project in a tracker: --project, else the tracker's own variable, else the bundle."""
        return self.project or os.environ.get(PROJECT_VARIABLES.get(tracker, "")) or bundle
