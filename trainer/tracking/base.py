"""The interface of a tracker, and the facts about a run that every tracker receives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from stream.bundle import Bundle
from trainer.config import TrackerName

Parameter = str | int | float | bool
Status = Literal["finished", "failed", "interrupted"]
RESULTS = "results"
"""The name of the results folder in a tracker; the folder itself is named after the bundle's version."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts about a run when it starts.

    Attributes:
        project: the project or experiment.
        name: the name of the run.
        parameters: the settings of the training and the facts about its data, without secrets.
        resume_id: the id of the run that a resumed training continues; None for a new run.
    """

    project: str
    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    resume_id: str | None = None


class Tracker(Protocol):
    """A library that records runs. `start` precedes every other call, and all calls come from one thread.

    Attributes:
        name: the name in --report-to.
        samples_system: whether the library records CPU, memory and GPU itself.
    """

    name: TrackerName
    samples_system: bool

    def start(self, run: RunInfo) -> str:
        """Start or continue a run, and return its id, with which `RunInfo.resume_id` continues it."""
        ...

    def location(self) -> str:
        """Return the folder or the URL at which the run is found."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the values of one step, the number of optimiser steps so far."""
        ...

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        """Record the final metrics, which a list of runs shows."""
        ...

    def log_bundle(self, bundle: Bundle) -> None:
        """Record the published bundle."""
        ...

    def log_files(self, paths: Sequence[Path]) -> None:
        """Record files, and the results folder under the name `results`."""
        ...

    def finish(self, status: Status) -> None:
        """End the run and write what is buffered."""
        ...
