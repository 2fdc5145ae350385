"""The study of a sweep: a folder with an SQLite database of trials that survives a killed process."""

import fcntl
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import orjson
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from stream.errors import UsageError
from stream.output_files import named_errors, write_file

DATABASE = "study.db"
IDENTITY = "study.json"
LOCK = "lock"
STUDY_NAME = "labelstream"

STARTUP_TRIALS = 6
"""The number of trials with random settings before the sampler learns from the earlier ones."""

PRUNER_STARTUP_TRIALS = 4
FIRST_PRUNED_EPOCH = 2
"""The first epoch after which a trial may be pruned; the metric of one epoch says too little."""

DEFAULT_RECIPE = "default_recipe"
ERROR = "error"
REPEATS = "repeats"
ATTEMPT = "attempt"
MAX_ATTEMPTS = 3
"""The number of processes that may be killed during a trial before its settings are abandoned."""

SEEDS = 2**32


@contextmanager
def open_study(folder: Path, identity: Mapping[str, Any], seed: int) -> Iterator[optuna.Study]:
    """Create or continue the study in a folder, for this process alone.

    Args:
        folder: the folder of the study; it is created if it does not exist.
        identity: everything that the trials share, JSON-serialisable: data, space and fixed settings.
        seed: the seed of the sampler.

    Raises:
        UsageError: the folder cannot be written, holds another study, or is used by another process.
    """
    with named_errors(folder, "choose another folder with --study"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    with lock:
        _lock(lock, folder)
        _check_identity(folder, identity)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", module=r"optuna\b.*")
        pruner = optuna.pruners.MedianPruner(PRUNER_STARTUP_TRIALS, FIRST_PRUNED_EPOCH)
        study = optuna.create_study(
            storage=_storage(folder),
            sampler=sampler(seed, 0),
            pruner=pruner,
            study_name=STUDY_NAME,
            direction="maximize",
            load_if_exists=True,
        )
        yield study


def sampler(seed: int, finished: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of the next trial.

    Each trial has its own seed, so a study that was interrupted draws the same settings as one that was not.
    """
    return optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=(seed + finished) % SEEDS)


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that ended: complete, pruned, or failed by an error."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or ERROR in trial.user_attrs
    ]


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the first of the best complete trials, or None if no trial is complete."""
    complete = [trial for trial in finished_trials(study) if trial.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def repeat_interrupted(study: optuna.Study) -> tuple[int, int]:
    """Mark the trials of a killed process as failed, and enqueue their settings again.

    Settings with which the process was killed several times are abandoned: they may need more memory than
    the machine has.

    Returns:
        The number of enqueued trials, and the number of all settings that were abandoned.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(REPEATS) for trial in trials}
    interrupted = [
        trial
        for trial in trials
        if trial.state == TrialState.FAIL and ERROR not in trial.user_attrs and trial.number not in repeated
    ]
    again = [trial for trial in interrupted if trial.user_attrs.get(ATTEMPT, 1) < MAX_ATTEMPTS]
    for trial in again:
        # A process that was killed before it drew all settings leaves the fixed ones of its queue.
        values = trial.params or trial.system_attrs.get("fixed_params", {})
        kept = {name: value for name, value in trial.user_attrs.items() if name == DEFAULT_RECIPE}
        attempt = trial.user_attrs.get(ATTEMPT, 1) + 1
        study.enqueue_trial(values, user_attrs={**kept, REPEATS: trial.number, ATTEMPT: attempt})
    return len(again), len(interrupted) - len(again)


def _storage(folder: Path) -> optuna.storages.RDBStorage:
    url = URL.create("sqlite", database=str((folder / DATABASE).absolute()))
    try:
        return optuna.storages.RDBStorage(url.render_as_string())
    except (SQLAlchemyError, sqlite3.Error, OSError, AssertionError, RuntimeError) as exc:
        raise UsageError(
            f"the study database {folder / DATABASE} cannot be opened",
            cause=str(exc).splitlines()[0],
            fix="choose another folder with --study, or delete the file to start again",
        ) from None


def _lock(lock: Any, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"the study {folder} is in use",
            cause="another process runs its trials",
            fix="wait until that sweep has ended, or choose another folder with --study",
        ) from None
    except OSError:
        # Some network file systems have no locks.
        return


def _check_identity(folder: Path, identity: Mapping[str, Any]) -> None:
    """Record what the trials share, or compare it with the record of an earlier run.

    Raises:
        UsageError: the study belongs to other data, another space or other fixed settings.
    """
    file, requested = folder / IDENTITY, orjson.loads(orjson.dumps(identity))
    if not file.is_file():
        if (folder / DATABASE).exists():
            raise UsageError(
                f"{folder} holds a database without {IDENTITY}",
                cause="the data and the space of its trials are unknown",
                fix="choose another folder with --study",
            )
        write_file(file, orjson.dumps(requested, option=orjson.OPT_INDENT_2))
        return
    try:
        recorded = orjson.loads(file.read_bytes())
        different = sorted(
            name for name in {*recorded, *requested} if recorded.get(name) != requested.get(name)
        )
    except (orjson.JSONDecodeError, TypeError, AttributeError):
        different = [f"{IDENTITY} is damaged"]
    if different:
        raise UsageError(
            f"the study in {folder} belongs to another sweep",
            cause=f"these parts differ: {', '.join(different)}",
            fix="repeat the command with the original data, space and flags, or choose another folder with "
            "--study",
        )
