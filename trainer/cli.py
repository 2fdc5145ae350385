"""`labelstream train` and `labelstream export`; both check their arguments before they import torch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.markup import escape

from stream.bundle import Task
from stream.errors import UsageError, install_hint
from stream.sample import sample_path
from stream.termination import exit_on_termination
from trainer.config import TrainingConfig, VariantSettings, bundle_name, one_of
from trainer.config.files import is_settings_file, settings_in
from trainer.config.options import with_settings
from trainer.data.read import read_data
from trainer.model.base_location import resolve_base_model, stay_offline
from trainer.processes import is_main_process
from trainer.progress import open_console
from trainer.tracking import check_trackers


def _file_settings(own: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the file that --config or DATA names, and put its data in the place of DATA."""
    data, file = own.get("data"), own.get("config_file")
    if data is not None and is_settings_file(data):
        if file is not None:
            raise UsageError(
                f"DATA cannot be the settings file {data} together with --config",
                cause="a training has one settings file",
                fix="leave --config out, or name the data as DATA",
            )
        file, data = Path(data), None
    settings = settings_in(file) if file is not None else {}
    in_file = settings.pop("data", None)
    own["data"] = in_file if data is None else data
    if data is not None:
        # DATA on the command line has precedence, as flags have.
        for name in ("train_file", "dataset_name", "dataset_config"):
            settings.pop(name, None)
    return settings


@with_settings(TrainingConfig, _file_settings)
def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="Labelled texts: a .csv, .tsv, .jsonl, .parquet or .conll file, a folder with one file for "
            "each split, or a Hub id; `sample`, the included sample; or -, standard input. A .toml file, "
            "or a .json file with the member data, is a file of settings.",
        ),
    ] = None,
    config_file: Annotated[  # noqa: ARG001 - `_file_settings` reads it
        Path | None,
        typer.Option("--config", help="TOML or JSON file with settings; flags have precedence."),
    ] = None,
    *,
    config: TrainingConfig,
) -> None:
    """Fine-tune a classifier, evaluate it on held-out rows, export it to ONNX and verify the export.

    The command writes the bundle BUNDLE_STORE/NAME/VERSION, which `labelstream worker --bundle NAME` loads.
    If the ONNX export does not match the trained model, nothing is written and the exit code is 3.

        labelstream train sample

        labelstream train tickets.csv --text-column body --label-column team --class-weights sqrt_inverse

        labelstream train posts.jsonl --task multi-label --label-column topics

        labelstream train pairs.tsv --task pair --text-column premise --text-pair-column hypothesis

        labelstream train stars.csv --ordinal --label-column stars --metadata-columns age,channel

        labelstream train similarity.csv --task regression --label-column score --text-pair-column other

        labelstream train ner.conll --task token --max-length 128

        zcat tickets.jsonl.gz | labelstream train - --format jsonl --name tickets

        labelstream train reports.parquet --windows --stride 64

        labelstream train reviews.jsonl --base-model distilbert-base-uncased --epochs 3 --learning-rate 5e-5

        labelstream train more-tickets.csv --base-model tickets@3

        labelstream train tickets.csv --report-to mlflow,tensorboard --register tickets --alias champion

        labelstream train run.toml --epochs 3
    """
    # The default action of SIGTERM would leave checkpoints and an incomplete bundle behind.
    exit_on_termination()
    check_trackers(config.tracking)
    source = config.data.source(data)
    base = resolve_base_model(config.base_model, config.bundle_store, config.revision)
    path = sample_path() if source == "sample" else Path(source)
    console = open_console(quiet=not is_main_process())
    examples = read_data(path if path.exists() else source, config.data)
    stay_offline(base, push=config.push_to_hub is not None)
    with heavy_imports("train", console):
        from trainer.checks import check_machine
        from trainer.report import show_data
        from trainer.run import run
    check_machine(config)
    show_data(console, examples)
    run(examples, config, base, console)


@with_settings(VariantSettings)
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder written by save_pretrained, a bundle (also hf://OWNER/NAME), or a Hub id.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle.", show_default="the model's name")
    ] = None,
    bundle_store: Annotated[
        Path, typer.Option("--bundle-store", "--output_dir", help="Folder that holds the bundles.")
    ] = Path("bundles"),
    task: Annotated[
        str | None,
        typer.Option(
            help=f"The meaning of the logits. One of: {', '.join(get_args(Task))}.",
            show_default="from its config.json",
        ),
    ] = None,
    text_pair: Annotated[
        bool, typer.Option("--text-pair", help="The model reads two texts, as a ranker does.")
    ] = False,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            "--max_seq_length",
            min=8,
            help="Tokens after which a text is truncated.",
            show_default="512, or that of the bundle",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Typical texts for parity check and calibration: a .txt, .jsonl or .csv file.",
            show_default="the included texts, no calibration",
        ),
    ] = None,
    no_weights: Annotated[
        bool,
        typer.Option("--no-weights", help="Leave the PyTorch weights, model.safetensors, out of the bundle."),
    ] = False,
    *,
    config: VariantSettings,
) -> None:
    """Export a trained classifier to ONNX, verify the export and write a bundle.

    MODEL is a folder or a Hub id whose config.json names a class for sequence or token classification;
    weights are read from safetensors only. Nothing is trained, and a folder needs no network. The command
    writes the bundle BUNDLE_STORE/NAME/VERSION. If the ONNX export does not match the model, nothing is
    written and the exit code is 3.

        labelstream export ./my-classifier

        labelstream export distilbert/distilbert-base-uncased-finetuned-sst-2-english --name sentiment

        labelstream export ./nli --task pair --texts pairs.jsonl

        labelstream export ./similarity --text-pair --max-length 128

        labelstream export ./ner --texts sentences.txt --variants int8

        labelstream export tickets@3 --name tickets-short --max-length 64
    """
    exit_on_termination()
    chosen = cast(Task, one_of("--task", task, get_args(Task))) if task else None
    source = resolve_base_model(model, bundle_store)
    bundle = bundle_name(name, source.name.removeprefix("hf://").partition("@")[0].rsplit("/", 1)[-1])
    stay_offline(source)
    console = open_console()
    with heavy_imports("export", console):
        from trainer.export.pretrained import ExportRequest, export_pretrained
    pair = text_pair or chosen == "pair"
    request = ExportRequest(bundle, bundle_store, chosen, pair, max_length, texts, config, not no_weights)
    export_pretrained(source, request, console, lambda line: console.print(f"[yellow]{escape(line)}[/]"))


@contextlib.contextmanager
def heavy_imports(command: str, console: Console, *extras: str) -> Iterator[None]:
    """Import torch and transformers in this block.

    Args:
        command: the name of the command.
        console: the output for progress.
        extras: the extras of the package that the command needs in addition to `trainer`.

    Raises:
        UsageError: a library of the trainer is not installed.
    """
    try:
        with console.status("loading torch and transformers"):
            yield
    except ModuleNotFoundError as exc:
        raise not_installed(command, exc.name or str(exc), *extras) from None


def not_installed(command: str, module: str, *extras: str) -> UsageError:
    """Return the error of a command that lacks a library."""
    return UsageError(
        f"`labelstream {command}` is not installed completely",
        cause=f"the Python module {module} is missing",
        fix=install_hint("trainer", *extras),
    )
