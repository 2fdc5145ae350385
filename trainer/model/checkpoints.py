"""The folder that checkpoints are kept in: of one training, and of no other."""

from collections.abc import Mapping
from typing import Any

import orjson

from stream.errors import UsageError
from trainer.request import Checkpoints

ASKED = "labelstream-training.json"


def claim(checkpoints: Checkpoints, asked: Mapping[str, Any]) -> None:
    """Note what is trained beside its checkpoints, or see that what is resumed is the same.

    A checkpoint of other data, or of another learning-rate schedule, would go on without a complaint, and to
    no good.

    Args:
        checkpoints: where; nothing is done where none are kept.
        asked: everything that decides what a checkpoint is worth, JSON-ready.

    Raises:
        UsageError: the folder holds checkpoints of another training.
    """
    folder = checkpoints.folder
    if folder is None:
        return
    file = folder / ASKED
    wanted = orjson.loads(orjson.dumps(asked))
    if not checkpoints.resume:
        if folder.is_dir() and any(folder.glob("checkpoint-*")):
            raise UsageError(
                f"{folder} holds checkpoints already",
                cause="those of two trainings could not be told apart",
                fix=f"--resume {folder} to go on from them, or another folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(wanted, option=orjson.OPT_INDENT_2))
        return
    found = orjson.loads(file.read_bytes()) if file.is_file() else wanted
    other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if other:
        raise UsageError(
            f"the checkpoints in {folder} are of another training",
            cause=f"different are: {', '.join(other)}",
            fix="resume with the flags and the data that it was begun with, or start anew",
        )
