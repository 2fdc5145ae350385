"""The checkpoint folder: it belongs to one training, and a training can resume from it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from transformers.trainer_utils import get_last_checkpoint

from stream.errors import UsageError
from trainer.config import Checkpoints

SETTINGS_FILE = "labelstream-training.json"


def claim_folder(checkpoints: Checkpoints, settings: Mapping[str, Any]) -> None:
    """Record the settings of a training in its checkpoint folder, or check them when the training resumes.

    A training that resumes with other data or another learning-rate schedule would run without an error and
    give a wrong result.

    Args:
        checkpoints: the folder; without one the function does nothing.
        settings: all settings that affect the result, JSON-serialisable.

    Raises:
        UsageError: the folder holds checkpoints of another training.
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
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(requested, option=orjson.OPT_INDENT_2))
        return
    recorded = orjson.loads(file.read_bytes()) if file.is_file() else requested
    names = {*recorded, *requested}
    different = sorted(name for name in names if recorded.get(name) != requested.get(name))
    if different:
        raise UsageError(
            f"the checkpoints in {folder} belong to another training",
            cause=f"these settings differ: {', '.join(different)}",
            fix="resume with the original flags and data, or start a new training in another folder",
        )


@contextmanager
def open_folder(checkpoints: Checkpoints) -> Iterator[Path]:
    """Yield the checkpoint folder, or a temporary folder that is removed at the end."""
    if checkpoints.folder is not None:
        yield checkpoints.folder
        return
    with TemporaryDirectory(prefix="labelstream-train-") as folder:
        yield Path(folder)


def checkpoint_to_resume(checkpoints: Checkpoints) -> str | None:
    """Return the path of the last checkpoint, or None for a training that does not resume.

    Raises:
        UsageError: the folder holds no checkpoint.
    """
    folder = checkpoints.folder
    if folder is None or not checkpoints.resume:
        return None
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        raise UsageError(
            f"there is no checkpoint to resume from in {folder}",
            cause="the first checkpoint is written at the end of the first epoch",
            fix=f"start a new training with --checkpoints {folder} instead of --resume",
        )
    return str(found)
