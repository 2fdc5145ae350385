"""The settings of the data: task, columns, files and formats."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stream.bundle import Task
from trainer.config.conflicts import DATA_CONFLICTS, refuse_conflicts
from trainer.config.settings import DATA, INPUT, TASK, Flag, SettingsGroup

Quoting = Literal["minimal", "none"]


class DataConfig(SettingsGroup):
    """How labelled data are read.

    Raises:
        UsageError: a value is invalid, or two settings contradict each other.
    """

    task: Annotated[Task, Flag(TASK)] = Field("single-label", description="The kind of target.")
    ordinal: Annotated[bool, Flag(TASK)] = Field(
        False, description="The labels are numbers whose order matters, such as 1 to 5."
    )
    text_column: Annotated[
        str | None, Flag(DATA, aliases=("--text_column_name",), default="guessed by its name")
    ] = Field(None, description="Column of the text; for the task token, of the words.")
    label_column: Annotated[
        str | None, Flag(DATA, aliases=("--label_column_name",), default="guessed by its name")
    ] = Field(None, description="Column of the label, the labels, the tags or the number.")
    label_columns: Annotated[tuple[str, ...], Flag(DATA)] = Field(
        (), description="For multi-label: columns of 0 and 1, one for each label: A,B,C."
    )
    label_separator: Annotated[str | None, Flag(DATA, default="guessed: , | or ;")] = Field(
        None, description="For multi-label: separator of the labels in one cell."
    )
    label_names: Annotated[Path | None, Flag(DATA)] = Field(
        None, description="Text file that names the labels 0, 1, …, one name on each line."
    )
    group_column: Annotated[str | None, Flag(DATA)] = Field(
        None, description="Column of a group; all rows of a group go into the same split."
    )
    validation_file: Annotated[
        Path | None, Flag(DATA, aliases=("--validation_file",), default="a tenth of the data")
    ] = Field(None, description="Rows that select the best epoch.")
    test_file: Annotated[Path | None, Flag(DATA, aliases=("--test_file",), default="a tenth of the data")] = (
        Field(None, description="Rows for the final evaluation.")
    )
    extra_train: Annotated[Path | None, Flag(DATA)] = Field(
        None, description="More rows, such as synthetic ones, for training only."
    )
    no_header: Annotated[bool, Flag(DATA)] = Field(
        False, description="CSV and TSV files have no header; the columns are named 1, 2, …."
    )
    quoting: Annotated[Quoting, Flag(DATA)] = Field(
        "minimal", description="Quoting in CSV and TSV files; with none, quotes are part of the text."
    )
    text_pair_column: Annotated[str | None, Flag(INPUT)] = Field(
        None, description="Column of a second text that the model reads with the first."
    )
    metadata_columns: Annotated[tuple[str, ...], Flag(INPUT)] = Field(
        (), description="Columns that the model reads in addition to the text: A,B,C."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_conflicts(self, DATA_CONFLICTS)
        return self
