"""Trackio: a local database in the folder of TRACKIO_DIR, or a server or a Space that its variables name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.bundle import Bundle
from trainer.config import TrackerName
from trainer.progress import no_output
from trainer.tracking.base import RESULTS, RunInfo, Status
from trainer.tracking.values import bundle_facts

SYSTEM = "system/"


class TrackioTracker:
    """Logs a run with its config, curves, system figures and artefacts."""

    name: TrackerName = "trackio"
    samples_system = False

    def __init__(self) -> None:
        self._trackio: Any = None
        self._run: Any = None

    def start(self, run: RunInfo) -> str:
        """Start a run; Trackio continues a run by its name."""
        with no_output():
            import trackio

            self._trackio = trackio
            self._run = trackio.init(
                project=run.project,
                name=run.resume_id or run.name,
                config=dict(run.parameters),
                resume="allow" if run.resume_id else "never",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        return str(self._run.name)

    def location(self) -> str:
        """Return the command that shows the run, or the address of its server."""
        from trackio import context_vars

        server = context_vars.current_server.get()
        return str(server) if server else f'trackio show --project "{self._run.project}"'

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the values of a step; the system figures go to a table of their own."""
        system = {name.removeprefix(SYSTEM): metrics[name] for name in metrics if name.startswith(SYSTEM)}
        if system:
            self._trackio.log_system(system)
        if values := {name: metrics[name] for name in metrics if not name.startswith(SYSTEM)}:
            self._trackio.log(values, step=step)

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the final metrics at the last step."""
        self._trackio.log(dict(metrics), step=step)

    def log_bundle(self, bundle: Bundle) -> None:
        """Log the folder of the bundle as an artefact of the type model."""
        artefact = self._trackio.Artifact(bundle.manifest.name, type="model", metadata=bundle_facts(bundle))
        artefact.add_dir(str(bundle.path))
        self._trackio.log_artifact(artefact)

    def log_files(self, paths: Sequence[Path]) -> None:
        """Log files and folders as one artefact of the type evaluation."""
        artefact = self._trackio.Artifact(RESULTS, type="evaluation")
        for path in paths:
            if path.is_dir():
                artefact.add_dir(str(path), name=RESULTS)
            else:
                artefact.add_file(str(path))
        self._trackio.log_artifact(artefact)

    def finish(self, status: Status) -> None:  # noqa: ARG002
        """Write what is buffered; Trackio keeps no status."""
        with no_output():
            self._trackio.finish()
