"""The flags of `labelstream train` for data and result; Hugging Face's spellings are accepted."""

from pathlib import Path
from typing import Annotated

import typer

_DATA = "Data"
_INPUT = "What is read"
_RESULT = "Result"

DataFile = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Labelled texts: .csv, .tsv, .jsonl, .parquet or .conll, a folder of splits, a Hub id; "
        "or `sample`, which comes along.",
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        "--text-column",
        "--text_column_name",
        help="Column of the text; guessed if plain.",
        rich_help_panel=_DATA,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        "--label_column_name",
        help="Column of the label; guessed if plain.",
        rich_help_panel=_DATA,
    ),
]
LabelColumns = Annotated[
    list[str] | None,
    typer.Option(help="Columns of 0 and 1, one for each of several labels: A,B,C.", rich_help_panel=_DATA),
]
LabelSeparator = Annotated[
    str | None,
    typer.Option(
        help="What stands between several labels in one column.",
        show_default="guessed",
        rich_help_panel=_DATA,
    ),
]
LabelNames = Annotated[
    Path | None,
    typer.Option(help="File with a name a line, for labels that are numbers.", rich_help_panel=_DATA),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(help="Column whose values must not be spread over splits.", rich_help_panel=_DATA),
]
ValidationFile = Annotated[
    Path | None,
    typer.Option(
        "--validation-file",
        "--validation_file",
        help="Rows that choose the epoch, in place of a tenth.",
        rich_help_panel=_DATA,
    ),
]
TestFile = Annotated[
    Path | None,
    typer.Option(
        "--test-file", "--test_file", help="Rows that judge, in place of a tenth.", rich_help_panel=_DATA
    ),
]
ExtraTrain = Annotated[
    Path | None,
    typer.Option(
        "--extra-train", help="More rows, say synthetic ones, to train on only.", rich_help_panel=_DATA
    ),
]
NoHeader = Annotated[
    bool,
    typer.Option("--no-header", help="Columns have no names: they are 1, 2, ….", rich_help_panel=_DATA),
]
Quoting = Annotated[
    str, typer.Option(help="minimal, or none where quotes are part of the text.", rich_help_panel=_DATA)
]
TextPairColumn = Annotated[
    str | None,
    typer.Option(help="Column of a second text that is read with the first.", rich_help_panel=_INPUT),
]
MetadataColumns = Annotated[
    list[str] | None,
    typer.Option(help="Columns that are read beside the text: A,B,C.", rich_help_panel=_INPUT),
]
MaxLength = Annotated[
    int,
    typer.Option(
        "--max-length",
        "--max_seq_length",
        min=8,
        help="Tokens after which a text is cut; the model's own limit if that is smaller.",
        rich_help_panel=_INPUT,
    ),
]
WindowsFlag = Annotated[
    bool,
    typer.Option("--windows", help="Read longer texts in overlapping windows.", rich_help_panel=_INPUT),
]
Stride = Annotated[
    int,
    typer.Option(
        "--stride",
        "--doc_stride",
        min=0,
        help="Tokens that neighbouring windows share.",
        rich_help_panel=_INPUT,
    ),
]
PoolingFlag = Annotated[
    str, typer.Option("--pooling", help="Of the windows' logits: mean or max.", rich_help_panel=_INPUT)
]
MostWindows = Annotated[
    int, typer.Option(min=1, help="Windows of a text; what lies behind them is cut.", rich_help_panel=_INPUT)
]
Name = Annotated[
    str | None,
    typer.Option(help="Name of the bundle.", show_default="the data file's", rich_help_panel=_RESULT),
]
BundleStore = Annotated[
    Path, typer.Option("--bundle-store", "--output_dir", help="Where bundles live.", rich_help_panel=_RESULT)
]
AbstainBelow = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Best probability under which the worker gives no label.",
        rich_help_panel=_RESULT,
    ),
]
