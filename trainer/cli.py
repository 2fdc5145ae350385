"""`labelstream train`: early refusals, then on to `trainer.run`; nothing heavy is imported before."""

import re
import signal
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from stream.errors import UsageError
from stream.sample import sample_path
from trainer import flags
from trainer.base_model import resolve_base_model, stay_offline
from trainer.data import read_data
from trainer.recipe import Recipe

TASKS = ("single-label",)
LATER_TASKS = ("multi-label", "regression", "pair", "token")
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


def train(
    data: flags.DataFile,
    text_column: flags.TextColumn = None,
    label_column: flags.LabelColumn = None,
    group_column: flags.GroupColumn = None,
    task: flags.Task = "single-label",
    base_model: flags.BaseModel = None,
    epochs: flags.Epochs = 5,
    batch_size: flags.BatchSize = 32,
    learning_rate: flags.LearningRate = 1e-4,
    max_length: flags.MaxLength = 256,
    seed: flags.Seed = 42,
    name: flags.Name = None,
    bundle_store: flags.BundleStore = Path("bundles"),
) -> None:
    """Fine-tune a classifier, test it on held-out rows, export it to ONNX, prove that it says the same.

    The result is BUNDLE_STORE/NAME/VERSION, ready for `labelstream worker --bundle NAME`. Exit code 3 when
    the export is refused; then nothing is written.

        labelstream train sample

        labelstream train tickets.csv --text-column body --label-column team

        labelstream train reviews.jsonl --base-model distilbert-base-uncased --epochs 3 --learning-rate 5e-5
    """
    # By default SIGTERM would leave checkpoints and a half-made bundle behind.
    signal.signal(signal.SIGTERM, _terminated)
    _check_task(task)
    path = sample_path() if data == "sample" else Path(data)
    bundle_name = _bundle_name(name, path)
    console = Console()
    read = read_data(path, text_column=text_column, label_column=label_column, group_column=group_column)
    base = resolve_base_model(base_model)
    stay_offline(base)
    try:
        with console.status("loading torch and transformers"):
            from trainer.data_report import show_data
            from trainer.run import Request, run
    except ModuleNotFoundError as exc:
        raise UsageError(
            "`labelstream train` is not installed completely",
            why=f"the Python module {exc.name} is missing",
            mend="pip install 'labelstream[trainer]'",
        ) from None
    show_data(console, read)
    recipe = Recipe(epochs, batch_size, learning_rate, max_length, seed)
    run(read, Request(bundle_name, bundle_store, base, recipe), console)


def _terminated(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _check_task(task: str) -> None:
    if task not in TASKS:
        known = task in LATER_TASKS
        raise UsageError(
            f"--task {task} is not possible" + (" yet" if known else ""),
            why=f"this version trains: {', '.join(TASKS)}",
            mend="leave --task out, for one label a text" if known else f"did you mean --task {TASKS[0]}?",
        )


def _bundle_name(wanted: str | None, path: Path) -> str:
    if wanted is None:
        return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9_.-]+", "-", path.stem).strip("-") or "model"
    if not re.fullmatch(NAME_PATTERN, wanted):
        raise UsageError(
            f"--name {wanted!r} cannot name a bundle",
            why="it becomes a folder and stands before @VERSION",
            mend="use letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return wanted
