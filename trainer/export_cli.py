"""`labelstream export`: a bundle of a classifier that is trained already."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.console import Console
from rich.markup import escape

from stream.bundle import Task
from stream.errors import UsageError
from trainer.checks import bundle_name, one_of
from trainer.model.base_model import resolve_base_model, stay_offline


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder that save_pretrained wrote, or a Hub id.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the bundle.", show_default="the model's")] = None,
    bundle_store: Annotated[
        Path, typer.Option("--bundle-store", "--output_dir", help="Where bundles live.")
    ] = Path("bundles"),
    task: Annotated[
        str | None,
        typer.Option(
            help="What its logits mean: single-label, multi-label, regression, pair or token.",
            show_default="as its config.json has it",
        ),
    ] = None,
    text_pair: Annotated[
        bool, typer.Option("--text-pair", help="It reads two texts, as rankers and entailment models do.")
    ] = False,
    max_length: Annotated[
        int,
        typer.Option("--max-length", "--max_seq_length", min=8, help="Tokens after which a text is cut."),
    ] = 512,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Texts like those to come, for proof and calibration: .txt, .jsonl or .csv.",
            show_default="texts that come along, no calibration",
        ),
    ] = None,
) -> None:
    """Make a bundle of a trained classifier: export it to ONNX and prove that it says the same.

    MODEL is any folder or Hub id whose config.json names a class for sequence or token classification;
    weights are read from safetensors only. Nothing is trained, and for a folder there is no network. The
    result is BUNDLE_STORE/NAME/VERSION. Exit code 3 when the export is refused; then nothing is written.

        labelstream export ./my-classifier

        labelstream export distilbert/distilbert-base-uncased-finetuned-sst-2-english --name sentiment

        labelstream export ./nli --task pair --texts pairs.jsonl

        labelstream export ./similarity --text-pair --max-length 128

        labelstream export ./ner --texts sentences.txt
    """
    chosen = cast(Task, one_of("--task", task, get_args(Task))) if task else None
    source = resolve_base_model(model)
    called = bundle_name(name, source.name.rsplit("/", 1)[-1])
    stay_offline(source)
    console = Console()
    try:
        with console.status("loading torch and transformers"):
            from trainer.export.run import ExportRequest, run_export
    except ModuleNotFoundError as exc:
        raise UsageError(
            "`labelstream export` is not installed completely",
            cause=f"the Python module {exc.name} is missing",
            fix="pip install 'labelstream[trainer]'",
        ) from None
    request = ExportRequest(called, bundle_store, chosen, text_pair or chosen == "pair", max_length, texts)
    run_export(source, request, console, lambda line: console.print(f"[yellow]{escape(line)}[/]"))
