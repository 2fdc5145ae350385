"""`labelstream evaluate`; it checks its arguments and reads the data before it imports torch."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stream.bundle import Manifest, open_bundle
from stream.sample import sample_path
from stream.termination import exit_on_termination
from trainer.cli import heavy_imports
from trainer.config import DataConfig, one_of
from trainer.config.options import with_flags
from trainer.data.evaluation_data import read_evaluation_data
from trainer.data.known_labels import label_names
from trainer.data.split_choice import CHOICES
from trainer.data.tag_spelling import OUTSIDE
from trainer.evaluation.figures import figure_names
from trainer.evaluation.requirements import Requirement, parse_requirements, refuse_unmet
from trainer.progress import open_console
from trainer.results_folder import default_output

OF_TRAINING = (
    *("task", "ordinal", "tag_scheme", "group_column", "metadata_columns"),
    *("train_file", "validation_file", "test_file", "extra_train"),
    # DATA names the data, also on the Hub; these would replace it without a word.
    *("dataset_name", "dataset_config"),
)
"""The settings of data that the bundle determines, or that only a training has."""


@with_flags(DataConfig, without=OF_TRAINING)
def evaluate(
    bundle: Annotated[
        str, typer.Argument(help="Bundle: a folder, or NAME or NAME@VERSION in the store.", metavar="BUNDLE")
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Labelled texts in any format that `labelstream train` reads; `sample`; or -, standard "
            "input.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the results.", show_default="results/NAME/VERSION", metavar="FOLDER"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help=f"Rows to evaluate. One of: {', '.join(CHOICES)}.",
            show_default="test if the splits are known, else all",
        ),
    ] = None,
    variant: Annotated[
        str, typer.Option(help="Precision of the weights: fp32, fp16, int8, int8-static, bf16, or auto.")
    ] = "auto",
    device: Annotated[
        str, typer.Option(help="Device: cpu, cuda, tensorrt, openvino, or auto for the fastest.")
    ] = "auto",
    bundle_store: Annotated[Path, typer.Option(help="Folder that holds the bundles.")] = Path("bundles"),
    compare: Annotated[
        str | None, typer.Option(help="Another bundle, which is compared on the same rows.", metavar="BUNDLE")
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option(
            "--min",
            help="Required figure, such as macro_f1=0.9 or f1[billing]=0.8; may be repeated. The exit code "
            "is 8 if the bundle does not reach it.",
            metavar="FIGURE=VALUE",
        ),
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            help="Largest allowed value of a figure that should be small, such as log_loss=0.3; may be "
            "repeated.",
            metavar="FIGURE=VALUE",
        ),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option(
            help="Costs of wrong decisions, such as false_positive=1,false_negative=5; the report shows the "
            "threshold with the lowest cost.",
            metavar="COSTS",
        ),
    ] = None,
    train_data: Annotated[
        Path | None,
        typer.Option(
            help="Training data of the bundle, for the nearest training rows of each mistake.",
            show_default="those of DATA, if it has them",
            metavar="FILE",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    *,
    flags: dict[str, Any],
) -> None:
    """Evaluate a bundle on labelled data and write figures, tables, pictures and a report.

    The rows are labelled by the bundle's ONNX variant as a worker labels them. Task, labels and metadata are
    those of the bundle; columns are those of its training, or guessed. Of the data that the bundle was
    trained on, the test rows are evaluated. Every figure has a 95% bootstrap interval.

    The folder of the results has metrics.json, classification_report.txt, predictions.csv, errors.csv,
    pictures and report.html. It appears when everything is written; an error or Ctrl-C leaves the old one.

        labelstream evaluate support new-tickets.csv

        labelstream evaluate support@3 tickets.csv --split test --output results/check

        labelstream evaluate support new-tickets.csv --label-column team --variant int8

        labelstream evaluate support@4 new-tickets.csv --compare support@3

        labelstream evaluate support new-tickets.csv --min macro_f1=0.9 --min "f1[billing]=0.8"

        labelstream evaluate spam messages.csv --cost false_positive=5,false_negative=1
    """
    exit_on_termination()
    chosen = one_of("--split", split, CHOICES) if split else None
    opened = open_bundle(bundle, bundle_store, weights=False)
    other = open_bundle(compare, bundle_store, weights=False) if compare else None
    requirements = _requirements(opened.manifest, minimum or [], maximum or [])
    path = sample_path() if data == "sample" else Path(data)
    source = path if path.exists() else data
    rows = read_evaluation_data(opened, source, flags, split=chosen, train_data=train_data)
    console = open_console()
    with heavy_imports("evaluate", console):
        from trainer.evaluate import EvaluationRequest
        from trainer.evaluate import evaluate as run
        from trainer.evaluation_report import show_evaluation, show_evaluation_data
    show_evaluation_data(console, opened, rows)
    folder = output or default_output(opened)
    request = EvaluationRequest(folder, variant, device, requirements, cost, seed)
    evaluation, written = run(opened, rows, request, console, other=other)
    show_evaluation(console, evaluation, written, folder)
    refuse_unmet(evaluation.outcomes, str(folder / "report.html"))


def _requirements(manifest: Manifest, minima: list[str], maxima: list[str]) -> list[Requirement]:
    figures = figure_names(
        manifest.head,
        len(manifest.labels),
        ordinal=manifest.values is not None,
        abstains=manifest.abstain_below is not None,
    )
    labels = [name for name in label_names(manifest) if manifest.head != "token" or name != OUTSIDE]
    return parse_requirements(minima, maxima, figures, labels if manifest.head != "regression" else [])
