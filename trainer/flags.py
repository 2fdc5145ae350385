"""The flags of `labelstream train`; Hugging Face's spelling is accepted where it differs."""

from pathlib import Path
from typing import Annotated

import typer

_DATA = "Data"
_TRAINING = "Training"
_RESULT = "Result"

DataFile = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="Labelled texts: .csv, .tsv, .jsonl or .parquet; or `sample`, which comes along."
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
GroupColumn = Annotated[
    str | None,
    typer.Option(help="Column whose values must not be spread over splits.", rich_help_panel=_DATA),
]
Task = Annotated[str, typer.Option(help="What is learnt: single-label.", rich_help_panel=_TRAINING)]
BaseModel = Annotated[
    str | None,
    typer.Option(
        "--base-model",
        "--model_name_or_path",
        help="Folder or Hub id.",
        show_default="all-MiniLM-L6-v2, installed with the trainer",
        rich_help_panel=_TRAINING,
    ),
]
Epochs = Annotated[
    int,
    typer.Option(
        "--epochs",
        "--num_train_epochs",
        min=1,
        help="At most; training stops early when nothing gets better.",
        rich_help_panel=_TRAINING,
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        "--per_device_train_batch_size",
        min=1,
        help="Texts a step.",
        rich_help_panel=_TRAINING,
    ),
]
LearningRate = Annotated[
    float,
    typer.Option(
        "--learning-rate",
        "--learning_rate",
        min=1e-9,
        help="At its peak; larger models want less, such as 2e-5.",
        rich_help_panel=_TRAINING,
    ),
]
MaxLength = Annotated[
    int,
    typer.Option(
        "--max-length",
        "--max_seq_length",
        min=8,
        help="Tokens after which a text is cut; the model's own limit if that is smaller.",
        rich_help_panel=_TRAINING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**32 - 1, help="Decides splits, head and order.", rich_help_panel=_TRAINING),
]
Name = Annotated[
    str | None,
    typer.Option(help="Name of the bundle.", show_default="the data file's", rich_help_panel=_RESULT),
]
BundleStore = Annotated[
    Path, typer.Option("--bundle-store", "--output_dir", help="Where bundles live.", rich_help_panel=_RESULT)
]
