"""`labelstream predict`: label texts or files, with the code that the worker runs."""

from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from stream.bundle import Bundle, read_bundle
from stream.classify import InputReader
from stream.commands.evaluation import Evaluation
from stream.commands.explain import explanation, explanation_console
from stream.commands.gold_labels import read_names
from stream.commands.kept_columns import parse_columns
from stream.commands.options import with_settings
from stream.commands.prediction_run import PredictedRow, PredictionCounts, ProgressBar, Show, predict_rows
from stream.commands.prediction_writer import PredictionWriter, check_format, open_writer
from stream.commands.row_output import RowOutput, kept_columns, output_header
from stream.commands.row_reader import Columns, RowReader, text_rows
from stream.commands.score_shape import SHAPES, score_shape
from stream.errors import UsageError
from stream.output_files import check_not_input, is_inside, is_replaced
from stream.settings import Settings
from stream.tables import FORMATS, Format, Quoting, TableOptions
from stream.termination import exit_on_termination
from stream.wording import BUNDLE_FORMS
from stream.worker.route_model import OpenModel


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
            help="File: .csv, .tsv, .jsonl, .json, or .txt with a text per line; also .gz, .bz2, .xz or .zst "
            "of these. - reads standard input.",
            metavar="FILE|-",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            help="Output: .csv, .tsv, else JSON lines; .gz or .zst behind it compresses. Default: standard "
            "output.",
            metavar="FILE",
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
) -> None:
    """Label texts or the rows of a file, with the results that the worker would publish.

    The input has the formats of `labelstream train`, except Parquet and CoNLL. Metadata comes from the
    columns or JSON fields that the bundle names. A row that cannot be labelled, such as one without text,
    gets a line with its error and is counted at the end; the exit code is 1 if no row was labelled. The file
    of --output appears when all rows are labelled; an error or Ctrl-C leaves the old file. Standard output
    has the rows so far. The output has the prediction first, and then the columns of the input.

        labelstream predict support --text "My card was charged twice"

        labelstream predict support --text "My card was charged twice" --explain

        labelstream predict support@3 --input tickets.csv --text-column message --output labels.jsonl

        zcat tickets.jsonl.gz | labelstream predict support --input - --format jsonl

        labelstream predict support --input test.csv --evaluate-with label --scores wide --output scored.csv

        labelstream predict sick --text "A man plays." --text-pair "Nobody plays."
    """
    texts, pairs = text or [], text_pair or []
    _check_arguments(texts, pairs, input_, output, explain=explain)
    _check_evaluation(evaluate_with, label_names, input_, explain=explain)
    chosen = parse_columns(columns)
    found = read_bundle(bundle, settings.bundle_store)
    manifest = found.manifest
    _check_output(output, found, settings, input_)
    metadata = tuple(column.name for column in manifest.metadata or ())
    shape = score_shape(scores, manifest)
    roles = Columns(text_column, text_pair_column, id_column, metadata)
    names = read_names(label_names, manifest) if label_names is not None else None
    evaluation = Evaluation(manifest, evaluate_with, names) if evaluate_with is not None else None
    table = TableOptions(cast(Format | None, format_), encoding, cast(Quoting, quoting), not no_header)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    if found.origin:
        errors.print(found.origin, markup=False)
    counts = PredictionCounts()
    exit_on_termination()
    try:
        # Opening a pipe waits for its first bytes.
        reader = RowReader(input_, roles, table) if input_ is not None else None
        if evaluation is not None and reader is not None and reader.header is not None:
            evaluation.check_header(reader.header)
        rows = reader.rows() if reader is not None else text_rows(texts, pairs)
        own = output_header(manifest, shape)
        kept, header = kept_columns(chosen, own, roles, reader.header if reader is not None else [])
        row_output = RowOutput(shape, kept, evaluation)
        with open_writer(output, header) as writer:
            show: Show = _explain_row if explain else partial(_write_row, row_output, writer)
            settings = _all_scores(settings, scores, len(manifest.labels))
            # A reference or `latest` may mean another version by now, so the folder is opened, not its name.
            predict_rows(found.path, settings, rows, show, counts, ProgressBar(errors, reader))
            figures = evaluation.lines() if evaluation is not None else []
    except (KeyboardInterrupt, SystemExit):
        unchanged = f"; {output} is unchanged" if output is not None and is_replaced(output) else ""
        errors.print(f"interrupted: {counts.summary()}{unchanged}", markup=False)
        raise
    if reader is not None and reader.missing:
        errors.print(f"no column {', '.join(reader.missing)}: treated as missing values", markup=False)
    for line in kept.notes() if reader is not None and not explain else ():
        errors.print(line, markup=False)
    if reader is not None or counts.failed:
        errors.print(counts.summary(), markup=False)
    for line in figures:
        errors.print(line, markup=False)
    if counts.failed and not counts.predicted:
        raise typer.Exit(1)


def _check_arguments(
    texts: list[str], pairs: list[str], file: Path | None, output: Path | None, *, explain: bool
) -> None:
    if bool(texts) == (file is not None):
        raise UsageError(
            "there is nothing to predict" if not texts else "--text and --input cannot be used together",
            fix="use --text TEXT (may be repeated) or --input FILE",
        )
    if pairs and len(pairs) != len(texts):
        raise UsageError(
            f"{len(pairs)} --text-pair for {len(texts)} --text", fix="give one --text-pair for each --text"
        )
    if explain and output is not None:
        raise UsageError("--explain prints text, not rows for a file", fix="remove --output or --explain")


def _check_evaluation(column: str | None, names: Path | None, file: Path | None, *, explain: bool) -> None:
    if names is not None and column is None:
        raise UsageError(
            "--label-names is used only with --evaluate-with", fix="add --evaluate-with COLUMN, or remove it"
        )
    if column is not None and (file is None or explain):
        raise UsageError(
            f"--evaluate-with cannot be used with {'--explain' if explain else '--text'}",
            cause="it compares the rows of a file with a column of the file",
            fix="use --input FILE" if file is None else "remove --explain",
        )


def _all_scores(settings: Settings, shape: str | None, labels: int) -> Settings:
    """Return settings with the score of every label, as wide needs them, and long unless a number is set."""
    if shape == "wide" or (shape == "long" and settings.top_k is None):
        return settings.model_copy(update={"top_k": labels})
    return settings


def _check_output(output: Path | None, bundle: Bundle, settings: Settings, file: Path | None) -> None:
    """Check that the output is neither an input nor inside the bundle, before anything is written."""
    check_format(output)
    inputs = (file, type(settings).toml_file, settings.require_signature)
    check_not_input(output, [path for path in inputs if path is not None])
    if output is not None and is_inside(output, bundle.path):
        raise UsageError(
            f"cannot write {output}",
            cause=f"it is inside the bundle {bundle.reference}, and a version never changes",
            fix="name a file outside of the bundle in --output",
        )


def _write_row(output: RowOutput, writer: PredictionWriter, _: OpenModel, predicted: PredictedRow) -> None:
    output.write(writer, predicted)


def _explain_row(opened: OpenModel, predicted: PredictedRow) -> None:
    console = explanation_console()
    if predicted.event is None:
        console.print(f"row {predicted.row.offset}: {predicted.error}", markup=False)
        return
    model_input = InputReader(opened.bundle.manifest).read([predicted.event])[0]
    console.print(explanation(opened, model_input, predicted.result))
