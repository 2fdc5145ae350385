"""The trackers of one training: they start before the first step, and end with the training."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from rich.console import Console
from rich.markup import escape

from stream.bundle import Bundle
from stream.deadline import Deadline
from stream.errors import UsageError, install_hint
from stream.output_files import write_file
from trainer.config import Checkpoints, TrackerName, TrackingSettings
from trainer.config.tracking import is_installed
from trainer.tracking.base import RunInfo, Status, Tracker
from trainer.tracking.guard import GuardedTracker
from trainer.tracking.system import SystemSampler
from trainer.tracking.values import flat_parameters, flat_results

RUNS_FILE = "labelstream-runs.json"
FINISHED_TIMEOUT_S = 1_800.0
INTERRUPTED_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """The runs of an interrupted training, from its checkpoint folder."""

    name: str | None
    ids: Mapping[str, str]


class Tracking:
    """The trackers of a training; without a tracker every method does nothing."""

    def __init__(self, settings: TrackingSettings, console: Console) -> None:
        """Store the settings; `start` opens the trackers.

        Args:
            settings: the trackers and the names of the run.
            console: the output of warnings and of the places where the runs are found.

        Raises:
            UsageError: the library of a tracker is not installed.
        """
        check_trackers(settings)
        self._settings = settings
        self._console = console
        self._trackers: list[GuardedTracker] = []
        self._sampler = SystemSampler(self._log_system)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the runs with the status of the training, and show where they are found.

        All trackers together have half an hour for what is not sent yet, such as the bundle; they have 10
        seconds after an error or an interruption.
        """
        if not self._trackers:
            return
        self._sampler.stop()
        status = _status(kind)
        for tracker in self._trackers:
            tracker.finish(status)
        limit_s = FINISHED_TIMEOUT_S if status == "finished" else INTERRUPTED_TIMEOUT_S
        deadline = Deadline(limit_s)
        for tracker in self._trackers:
            with self._console.status(f"waiting for {tracker.name}"):
                tracker.wait(deadline.remaining())
            if not tracker.run_id:
                continue
            self._console.print(f"tracked    {tracker.name}: {tracker.where}", markup=False, soft_wrap=True)
            if tracker.failure:
                self._warn(f"           the run in {tracker.name} is incomplete: {tracker.failure}")

    def start(self, bundle: str, parameters: Mapping[str, Any], checkpoints: Checkpoints) -> None:
        """Start the run of every tracker; a resumed training continues its runs.

        Args:
            bundle: the name of the bundle, from which the names of the run and of the project follow.
            parameters: the settings of the training and the facts about its data.
            checkpoints: the folder that keeps the ids of the runs.

        Raises:
            UsageError: a tracker does not start.
        """
        kept = _kept_runs(checkpoints)
        name = self._settings.run_name or kept.name or f"{bundle}-{datetime.now():%Y%m%d-%H%M%S}"
        for requested in self._settings.report_to if _is_first_process() else ():
            tracker = GuardedTracker(_create(requested, self._settings), self._warn)
            self._trackers.append(tracker)
            run = RunInfo(
                self._settings.project_of(requested, bundle),
                name,
                flat_parameters(parameters),
                kept.ids.get(requested),
            )
            with self._console.status(f"starting the run in {requested}"):
                tracker.start(run)
        if not self._trackers:
            return
        if checkpoints.folder is not None:
            ids = {tracker.name: tracker.run_id for tracker in self._trackers}
            write_file(checkpoints.folder / RUNS_FILE, orjson.dumps({"name": name, "ids": ids}))
        self._sampler.start()

    def callbacks(self) -> list[Any]:
        """Return the callbacks of the Trainer that record the curves."""
        if not self._trackers:
            return []
        from trainer.tracking.callback import CurveCallback

        return [CurveCallback(self._log_curves)]

    def log_results(self, metrics: Mapping[str, Any]) -> None:
        """Record the final metrics of validation and test, with their intervals."""
        for tracker in self._trackers:
            tracker.log_results(flat_results(metrics))

    def log_bundle(self, bundle: Bundle) -> None:
        """Record the published bundle."""
        for tracker in self._trackers:
            tracker.log_bundle(bundle)

    def log_files(self, paths: Sequence[Path]) -> None:
        """Record those of the files and folders that exist, such as report.html and the results folder."""
        existing = [path for path in paths if path.exists()]
        for tracker in self._trackers if existing else ():
            tracker.log_files(existing)

    def _log_curves(self, metrics: Mapping[str, float], step: int) -> None:
        for tracker in self._trackers:
            tracker.log_metrics(metrics, step)

    def _log_system(self, metrics: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            if not tracker.samples_system:
                tracker.log_metrics(metrics)

    def _warn(self, line: str) -> None:
        self._console.print(f"[yellow]{escape(line)}[/]", soft_wrap=True)


def check_trackers(settings: TrackingSettings) -> None:
    """Check that the library of every tracker is installed, without importing it.

    Raises:
        UsageError: a library is not installed.
    """
    for name in settings.report_to:
        if not is_installed(name):
            raise UsageError(
                f"--report-to {name} needs a package that is not installed",
                cause=f"the Python module {name} is missing",
                fix=install_hint("trainer", "tracking"),
            )


def _create(name: TrackerName, settings: TrackingSettings) -> Tracker:
    """Import and create a tracker; only the chosen libraries are imported."""
    if name == "mlflow":
        from trainer.tracking.mlflow import MlflowTracker

        return MlflowTracker(settings.register_as, settings.alias)
    if name == "wandb":
        from trainer.tracking.wandb import WandbTracker

        return WandbTracker()
    if name == "trackio":
        from trainer.tracking.trackio import TrackioTracker

        return TrackioTracker()
    from trainer.tracking.tensorboard import TensorBoardTracker

    return TensorBoardTracker()


def _kept_runs(checkpoints: Checkpoints) -> _Kept:
    """Return the runs of the training that is resumed, as far as its folder names them."""
    if checkpoints.folder is not None and checkpoints.resume:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = orjson.loads((checkpoints.folder / RUNS_FILE).read_bytes())
            return _Kept(str(kept["name"]), dict(kept["ids"]))
    return _Kept(None, {})


def _is_first_process() -> bool:
    """Return True unless torchrun or accelerate has started this process as a further one of the training."""
    return os.environ.get("RANK", "0") == "0"


def _status(kind: type[BaseException] | None) -> Status:
    if kind is None:
        return "finished"
    return "interrupted" if issubclass(kind, KeyboardInterrupt | SystemExit) else "failed"
