"""The folder of checkpoints, which belongs to one training."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import orjson

from stream.errors import UsageError
from stream.output_files import named_errors, write_file
from trainer.config import Checkpoints, Recipe
from trainer.processes import from_main, is_main_process

SETTINGS_FILE = "labelstream-training.json"
STATE_FILE = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        folder: its folder.
        step: the number of optimiser steps before it.
    """

    folder: Path
    step: int


def claim_checkpoint_folder(checkpoints: Checkpoints, settings: Mapping[str, Any]) -> None:
    """Record the settings of a training in its checkpoint folder, or check them when the training resumes.

    A training that resumes with other data or another learning-rate schedule would run without an error and
    give a wrong result.

    Args:
        checkpoints: the folder; without one the function does nothing.
        settings: all settings that affect the result, JSON-serialisable.

    Raises:
        UsageError: the folder holds checkpoints of another training, or cannot be written.
    """
    folder = checkpoints.folder
    if folder is None:
        return
    file = folder / SETTINGS_FILE
    requested = orjson.loads(orjson.dumps(settings))
    if not checkpoints.resume:
        if folder.is_dir() and any(folder.glob("checkpoint-*")):
            raise UsageError(
                f"{folder} already holds checkpoints",
                cause="the checkpoints of two trainings in one folder cannot be distinguished",
                fix=f"use --resume {folder} to continue that training, or choose another folder",
            )
        with named_errors(folder, "choose another folder with --checkpoints"):
            folder.mkdir(parents=True, exist_ok=True)
        write_file(file, orjson.dumps(requested, option=orjson.OPT_INDENT_2))
        return
    recorded = _recorded_settings(file) if file.is_file() else requested
    # A checkpoint of an earlier version does not record the settings that are new.
    defaults = orjson.loads(orjson.dumps(Recipe().model_dump()))
    names = {*recorded, *requested}
    different = sorted(
        name for name in names if recorded.get(name, defaults.get(name)) != requested.get(name)
    )
    if different:
        raise UsageError(
            f"the checkpoints in {folder} belong to another training",
            cause=f"these settings differ: {', '.join(different)}",
            fix="resume with the original flags and data, or start a new training in another folder",
        )


def _recorded_settings(file: Path) -> Mapping[str, Any]:
    try:
        recorded = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        recorded = None
    if not isinstance(recorded, dict):
        raise UsageError(
            f"the checkpoints in {file.parent} cannot be resumed",
            cause=f"{file.name} is damaged, so the settings of their training are unknown",
            fix="start a new training in another folder",
        )
    return recorded


@contextmanager
def checkpoint_folder(checkpoints: Checkpoints) -> Iterator[Path]:
    """Yield the checkpoint folder, or a temporary folder that is removed at the end."""
    if checkpoints.folder is not None:
        yield checkpoints.folder
        return
    own = Path(mkdtemp(prefix="labelstream-train-")) if is_main_process() else Path()
    try:
        yield from_main(own)
    finally:
        if is_main_process():
            shutil.rmtree(own, ignore_errors=True)


def checkpoint_to_resume(checkpoints: Checkpoints) -> Checkpoint | None:
    """Return the last complete checkpoint, or None for a training that does not resume.

    A process that is killed while it writes a checkpoint leaves an incomplete one behind.

    Raises:
        UsageError: the folder holds no complete checkpoint.
    """
    folder = checkpoints.folder
    if folder is None or not checkpoints.resume:
        return None
    numbered = [(re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in folder.glob("checkpoint-*")]
    found = [Checkpoint(path, int(match[1])) for match, path in numbered if match and _is_complete(path)]
    if not found:
        raise UsageError(
            f"there is no checkpoint to resume from in {folder}",
            cause="the first checkpoint is written after the first evaluation, or after --save-steps steps",
            fix=f"start a new training with --checkpoints {folder} instead of --resume",
        )
    return max(found, key=lambda checkpoint: checkpoint.step)


def _is_complete(checkpoint: Path) -> bool:
    """Return whether a checkpoint has its last file, the state of the Trainer."""
    try:
        state = orjson.loads((checkpoint / STATE_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(state, dict) and "global_step" in state
