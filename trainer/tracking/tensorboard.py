"""TensorBoard: event files in runs/PROJECT/RUN, or in the folder of TENSORBOARD_LOGGING_DIR."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.bundle import Bundle
from trainer.config import TrackerName
from trainer.tracking.base import RESULTS, Parameter, RunInfo, Status
from trainer.tracking.values import bundle_facts

FOLDER_VARIABLE = "TENSORBOARD_LOGGING_DIR"
NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f]+")
MAX_NAME_BYTES = 200


class TensorBoardTracker:
    """Writes scalars, the parameters as a table and on the page HPARAMS, and the paths of artefacts."""

    name: TrackerName = "tensorboard"
    samples_system = False

    def __init__(self) -> None:
        self._folder = Path()
        self._writer: Any = None
        self._parameters: Mapping[str, Parameter] = {}

    def start(self, run: RunInfo) -> str:
        """Open the event file of the run; another run of the same name gets a number behind its name."""
        from torch.utils.tensorboard import SummaryWriter

        self._parameters = run.parameters
        named = os.environ.get(FOLDER_VARIABLE)
        home = Path(named).expanduser() if named else Path("runs") / _folder_name(run.project)
        self._folder = Path(run.resume_id) if run.resume_id else _new_folder(home, _folder_name(run.name))
        self._writer = SummaryWriter(log_dir=str(self._folder))
        self._writer.add_text("parameters", _table(run.parameters))
        self._writer.flush()
        return str(self._folder.resolve())

    def location(self) -> str:
        """Return the folder of the run."""
        return str(self._folder)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add a scalar for each value."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def log_results(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the final metrics as scalars, and with the parameters to the page HPARAMS."""
        from torch.utils.tensorboard.summary import hparams

        self.log_metrics(metrics, step)
        for summary in hparams(dict(self._parameters), dict(metrics)):
            self._writer.file_writer.add_summary(summary)
        self._writer.flush()

    def log_bundle(self, bundle: Bundle) -> None:
        """Add the bundle's name, digest and folder as a text; TensorBoard stores no files."""
        self._writer.add_text("bundle", _table(bundle_facts(bundle)))

    def log_files(self, paths: Sequence[Path]) -> None:
        """Add the paths as a text."""
        self._writer.add_text(
            "artefacts", _table({RESULTS if path.is_dir() else path.name: str(path) for path in paths})
        )

    def finish(self, status: Status) -> None:
        """Close the event file."""
        self._writer.add_text("status", status)
        self._writer.close()


def _folder_name(name: str) -> str:
    """Return a name as one part of a path, which cannot lead out of its folder."""
    shown = NOT_IN_NAMES.sub("-", name).strip(". ")
    return shown.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "run"


def _new_folder(home: Path, name: str) -> Path:
    """Create a folder that no other run has."""
    number = 1
    while True:
        folder = home / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def _table(values: Mapping[str, Any]) -> str:
    """Return a Markdown table, which TensorBoard renders."""
    rows = "".join(f"| {_cell(name)} | {_cell(value)} |\n" for name, value in values.items())
    return f"| name | value |\n|---|---|\n{rows}"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
