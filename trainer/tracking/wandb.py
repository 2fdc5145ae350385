"""Weights & Biases, online or with WANDB_MODE=offline into the folder of WANDB_DIR, by default wandb/."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.bundle import Bundle
from stream.errors import UsageError
from trainer.config import TrackerName
from trainer.tracking.base import RESULTS, RunInfo, Status
from trainer.tracking.values import bundle_facts

MAX_NAME_CHARS = 128
EXIT_CODES: Mapping[Status, int] = {"finished": 0, "failed": 1, "interrupted": 130}


class WandbTracker:
    """Logs a run with its config, curves, summary and artefacts; W&B records the system figures itself."""

    name: TrackerName = "wandb"
    samples_system = True

    def __init__(self) -> None:
        self._run: Any = None

    def start(self, run: RunInfo) -> str:
        """Start or continue the run.

        Raises:
            UsageError: there is no API key for a run online.
        """
        import wandb

        # W&B would otherwise print, and wrap the terminal that the progress bars use.
        settings = wandb.Settings(silent=True, console="off")
        mode = wandb.setup(settings).settings.mode
        if mode in ("online", "shared") and not wandb.login(prompt=False):
            raise UsageError(
                "W&B has no API key",
                cause="neither WANDB_API_KEY nor an earlier `wandb login` provides one",
                fix="run `wandb login`, or record without the network: export WANDB_MODE=offline",
            )
        self._run = wandb.init(
            project=run.project,
            name=run.name,
            config=dict(run.parameters),
            id=run.resume_id,
            resume="allow" if run.resume_id else None,
            job_type="train",
            settings=settings,
        )
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        return str(self._run.id)

    def location(self) -> str:
        """Return the URL of the run, or offline its folder."""
        return str(self._run.url or Path(self._run.dir).parent)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the values beside their step, because W&B drops values whose own step goes back."""
        self._run.log({**metrics, "step": step})

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:  # noqa: ARG002
        """Write the final metrics to the summary, which the table of runs shows."""
        self._run.summary.update(dict(metrics))

    def log_bundle(self, bundle: Bundle) -> None:
        """Log the folder of the bundle as an artefact of the type model."""
        import wandb

        artefact = wandb.Artifact(
            bundle.manifest.name[:MAX_NAME_CHARS], type="model", metadata=bundle_facts(bundle)
        )
        artefact.add_dir(str(bundle.path))
        self._run.log_artifact(artefact, aliases=[f"v{bundle.manifest.version}", "latest"])

    def log_files(self, paths: Sequence[Path]) -> None:
        """Log files and folders as one artefact of the type evaluation."""
        import wandb

        artefact = wandb.Artifact(f"{RESULTS}-{self._run.id}", type="evaluation")
        for path in paths:
            if path.is_dir():
                artefact.add_dir(str(path), name=RESULTS)
            else:
                artefact.add_file(str(path))
        self._run.log_artifact(artefact)

    def finish(self, status: Status) -> None:
        """Upload what is left, and end the run with its exit code."""
        self._run.finish(exit_code=EXIT_CODES[status])
