"""`labelstream train` and `labelstream export`; both check their arguments before they import torch."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn, cast, get_args

import typer
from rich.console import Console
from rich.markup import escape

from stream.bundle import Task
from stream.errors import UsageError, install_hint
from stream.sample import sample_path
from trainer.config import TrainingConfig, bundle_name, one_of
from trainer.config.options import with_settings
from trainer.data.read import read_data
from trainer.model.base_model import resolve_base_model, stay_offline


@with_settings(TrainingConfig)
def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Labelled texts: a .csv, .tsv, .jsonl, .parquet or .conll file, a folder with one file for "
            "each split, or a Hub id; or `sample`, the included sample.",
        ),
    ],
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

        labelstream train reports.parquet --windows --stride 64

        labelstream train reviews.jsonl --base-model distilbert-base-uncased --epochs 3 --learning-rate 5e-5
    """
    # The default action of SIGTERM would leave checkpoints and an incomplete bundle behind.
    signal.signal(signal.SIGTERM, _exit_on_signal)
    base = resolve_base_model(config.base_model)
    path = sample_path() if data == "sample" else Path(data)
    console = Console()
    examples = read_data(path if path.exists() else data, config.data)
    stay_offline(base)
    with _heavy_imports("train", console):
        from trainer.model.layers import check_lora
        from trainer.report import show_data
        from trainer.run import run
    if config.recipe.lora is not None:
        check_lora()
    show_data(console, examples)
    run(examples, config, base, console)


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A folder written by save_pretrained, or a Hub id.")
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
        int,
        typer.Option(
            "--max-length", "--max_seq_length", min=8, help="Tokens after which a text is truncated."
        ),
    ] = 512,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Typical texts for parity check and calibration: a .txt, .jsonl or .csv file.",
            show_default="the included texts, no calibration",
        ),
    ] = None,
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

        labelstream export ./ner --texts sentences.txt
    """
    chosen = cast(Task, one_of("--task", task, get_args(Task))) if task else None
    source = resolve_base_model(model)
    bundle = bundle_name(name, source.name.rsplit("/", 1)[-1])
    stay_offline(source)
    console = Console()
    with _heavy_imports("export", console):
        from trainer.export.pretrained import ExportRequest, export_pretrained
    request = ExportRequest(bundle, bundle_store, chosen, text_pair or chosen == "pair", max_length, texts)
    export_pretrained(source, request, console, lambda line: console.print(f"[yellow]{escape(line)}[/]"))


@contextlib.contextmanager
def _heavy_imports(command: str, console: Console) -> Iterator[None]:
    """Import torch and transformers in this block.

    Raises:
        UsageError: a library of the trainer is not installed.
    """
    try:
        with console.status("loading torch and transformers"):
            yield
    except ModuleNotFoundError as exc:
        raise UsageError(
            f"`labelstream {command}` is not installed completely",
            cause=f"the Python module {exc.name} is missing",
            fix=install_hint("trainer"),
        ) from None


def _exit_on_signal(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
