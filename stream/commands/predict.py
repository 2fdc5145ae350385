"""`labelstream predict`: label texts or files, with the code that the worker runs."""

from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from stream.bundle import read_bundle
from stream.classify import InputReader
from stream.commands.explain import explanation, explanation_console
from stream.commands.options import with_settings
from stream.output_files import is_replaced
from stream.predict.checks import (
    ENGINES,
    ScaleOptions,
    check_arguments,
    check_evaluation,
    check_output,
    with_all_scores,
)
from stream.predict.evaluation import Evaluation
from stream.predict.files import predict_files
from stream.predict.gold_labels import read_names
from stream.predict.job import PredictionJob, Source
from stream.predict.kept_columns import parse_columns
from stream.predict.output_header import PredictionWriter
from stream.predict.row_output import RowOutput
from stream.predict.row_reader import Columns, RowReader, text_rows
from stream.predict.run import PredictedRow, PredictionCounts, ProgressBar, Show, predict_rows
from stream.predict.score_shape import SHAPES, score_shape
from stream.predict.writer import open_writer
from stream.settings import Settings
from stream.tables import FORMATS, Format, Quoting, TableOptions
from stream.termination import exit_on_termination
from stream.wording import BUNDLE_FORMS
from stream.worker.route_model import OpenModel

SCALE = "Many files and large files"


@with_settings("bundle_store", "device", "variant", "sessions", "top_k", "max_text_chars")
def predict(
    bundle: Annotated[
        str,
        typer.Argument(help=f"Bundle: {BUNDLE_FORMS}.", metavar="BUNDLE"),
    ],
    *,
    settings: Settings,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Text to label; may be repeated.", metavar="TEXT")
    ] = None,
    text_pair: Annotated[
        list[str] | None,
        typer.Option("--text-pair", help="Second text of a pair, one for each --text.", metavar="TEXT"),
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="File: .parquet, .csv, .tsv, .jsonl, .json, or .txt with a text per line; also .gz, .bz2, "
            ".xz or .zst of the text formats. A folder: all data files in it. - reads standard input.",
            metavar="FILE|FOLDER|-",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Output: .csv, .tsv, .parquet, else JSON lines; .gz or .zst behind a text format "
            "compresses. For a folder: a folder. Default: standard output.",
            metavar="FILE|FOLDER",
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="Column or JSON field with the text.", metavar="NAME")
    ] = "text",
    text_pair_column: Annotated[
        str, typer.Option(help="Column or JSON field with the second text.", metavar="NAME")
    ] = "text_pair",
    id_column: Annotated[
        str,
        typer.Option(help="Column or JSON field with the id, for the output.", metavar="NAME"),
    ] = "id",
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"Format of the input: {', '.join(FORMATS)}. Default: by its suffix and first lines.",
            metavar="FORMAT",
            show_default=False,
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of the input, such as windows-1252. Default: UTF-8, or that of a byte-order mark.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    quoting: Annotated[
        str, typer.Option(help="Quoting in CSV and TSV: minimal, or none: quotes are text.", metavar="STYLE")
    ] = "minimal",
    no_header: Annotated[
        bool, typer.Option("--no-header", help="CSV and TSV have no header; the columns are named 1, 2, ….")
    ] = False,
    columns: Annotated[
        str,
        typer.Option(
            "--columns",
            help="Columns of the input that the output keeps: all, none, or A,B. A name that the output has "
            "itself becomes input_NAME.",
            metavar="NAMES",
        ),
    ] = "all",
    scores: Annotated[
        str | None,
        typer.Option(
            help="Shape of the scores: none; wide, a column for each label; or long, a line for each row and "
            f"label. One of: {', '.join(SHAPES)}. Default: one object for each row.",
            metavar="SHAPE",
            show_default=False,
        ),
    ] = None,
    evaluate_with: Annotated[
        str | None,
        typer.Option(
            help="Column or JSON field with the true labels or numbers: print accuracy and macro-F1, or "
            "errors and correlations.",
            metavar="NAME",
        ),
    ] = None,
    label_names: Annotated[
        Path | None,
        typer.Option(
            help="For --evaluate-with: text file that names the labels 0, 1, …, one name on each line.",
            metavar="FILE",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the tokens, logits and probabilities of each text.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Keep the rows of an interrupted run beside the output, and continue after them.",
            rich_help_panel=SCALE,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Label again what an earlier run has labelled.",
            rich_help_panel=SCALE,
        ),
    ] = False,
    output_format: Annotated[
        str | None,
        typer.Option(
            help="Format of the files in an output folder: jsonl, csv, tsv (also jsonl.gz or jsonl.zst) or "
            "parquet. Default: jsonl.",
            metavar="FORMAT",
            show_default=False,
            rich_help_panel=SCALE,
        ),
    ] = None,
    glob: Annotated[
        str | None,
        typer.Option(
            help="Only the files of the folder whose path matches, such as '*.csv'.",
            metavar="PATTERN",
            rich_help_panel=SCALE,
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help=f"One of: {', '.join(ENGINES)}. ray distributes the files over a Ray cluster.",
            metavar="ENGINE",
            rich_help_panel=SCALE,
        ),
    ] = ENGINES[0],
    actors: Annotated[
        int | None,
        typer.Option(
            help="Number of Ray actors, each with the model in memory. Default: one on each node.",
            metavar="N",
            min=1,
            show_default=False,
            rich_help_panel=SCALE,
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster, such as auto or ray://HOST:10001. Default: a local one.",
            metavar="ADDRESS",
            show_default=False,
            rich_help_panel=SCALE,
        ),
    ] = None,
) -> None:
    """Label texts or the rows of a file, with the results that the worker would publish.

    The input has the formats of `labelstream train`, except CoNLL. Metadata comes from the columns or JSON
    fields that the bundle names. A row that cannot be labelled, such as one without text, gets a line with
    its error and is counted at the end; the exit code is 1 if no row was labelled. The file of --output
    appears when all rows are labelled; an error or Ctrl-C leaves the old file. Standard output has the rows
    so far. The output has the prediction first, and then the columns of the input.

        labelstream predict support --text "My card was charged twice"

        labelstream predict support --text "My card was charged twice" --explain

        labelstream predict support@3 --input tickets.csv --text-column message --output labels.jsonl

        zcat tickets.jsonl.gz | labelstream predict support --input - --format jsonl

        labelstream predict support --input test.csv --evaluate-with label --scores wide --output scored.csv

        labelstream predict sick --text "A man plays." --text-pair "Nobody plays."

        labelstream predict support --input old.parquet --output labels.parquet --resume

        labelstream predict support --input exports --output labels --output-format parquet

        labelstream predict support --input exports --output labels --engine ray --actors 4
    """
    texts, pairs = text or [], text_pair or []
    scale = ScaleOptions(output_format, glob, resume, overwrite, engine, actors, ray_address)
    check_arguments(texts, pairs, input_, output, explain=explain)
    check_evaluation(evaluate_with, label_names, input_, explain=explain)
    scale.check(input_, output, evaluates=evaluate_with is not None, explain=explain)
    chosen = parse_columns(columns)
    found = read_bundle(bundle, settings.bundle_store)
    manifest = found.manifest
    check_output(output, found, settings, input_)
    metadata = tuple(column.name for column in manifest.metadata or ())
    score_shape(scores, manifest)
    roles = Columns(text_column, text_pair_column, id_column, metadata)
    names = read_names(label_names, manifest) if label_names is not None else None
    evaluation = Evaluation(manifest, evaluate_with, names) if evaluate_with is not None else None
    table = TableOptions(cast(Format | None, format_), encoding, cast(Quoting, quoting), not no_header)
    # A reference or `latest` may mean another version by now, so the folder is opened, not its name.
    settings = with_all_scores(settings, scores, len(manifest.labels))
    job = PredictionJob(found, settings, roles, table, chosen, scores)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    if found.origin:
        errors.print(found.origin, markup=False)
    exit_on_termination()
    if input_ is not None and output is not None and (resume or engine != ENGINES[0] or input_.is_dir()):
        predict_files(job, input_, output, scale, errors)
        return
    counts = PredictionCounts()
    try:
        # Opening a pipe waits for its first bytes.
        reader = RowReader(input_, roles, table) if input_ is not None else None
        if evaluation is not None and reader is not None and reader.header is not None:
            evaluation.check_header(reader.header)
        rows = reader.rows() if reader is not None else text_rows(texts, pairs)
        source = Source(job, reader, evaluation)
        with open_writer(output, source.header) as writer:
            show: Show = _explain_row if explain else partial(_write_row, source.output, writer)
            progress = (
                ProgressBar(errors, reader.size, lambda: reader.position) if reader is not None else None
            )
            predict_rows(found.path, settings, rows, show, counts, progress or ProgressBar(errors, None))
            figures = evaluation.lines() if evaluation is not None else []
    except (KeyboardInterrupt, SystemExit):
        unchanged = f"; {output} is unchanged" if output is not None and is_replaced(output) else ""
        errors.print(f"interrupted: {counts.summary()}{unchanged}", markup=False)
        raise
    for line in source.missing_columns() if explain else source.notes():
        errors.print(line, markup=False)
    if reader is not None or counts.failed:
        errors.print(counts.summary(), markup=False)
    for line in figures:
        errors.print(line, markup=False)
    if counts.failed and not counts.predicted:
        raise typer.Exit(1)


def _write_row(output: RowOutput, writer: PredictionWriter, _: OpenModel, predicted: PredictedRow) -> None:
    output.write(writer, predicted)


def _explain_row(opened: OpenModel, predicted: PredictedRow) -> None:
    console = explanation_console()
    if predicted.event is None:
        console.print(f"row {predicted.row.offset}: {predicted.error}", markup=False)
        return
    model_input = InputReader(opened.bundle.manifest).read([predicted.event])[0]
    console.print(explanation(opened, model_input, predicted.result))
