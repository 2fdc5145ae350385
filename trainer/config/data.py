"""The settings of the data: task, columns, files and formats."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stream.bundle import Task
from stream.errors import UsageError
from stream.tables import Quoting
from trainer.config.conflicts import DATA_CONFLICTS, refuse_conflicts
from trainer.config.settings import DATA, INPUT, TASK, Flag, SettingsGroup

DataFormat = Literal["csv", "tsv", "jsonl", "json", "conll"]
DecimalMark = Literal[",", "."]
SimilarLabels = Literal["refuse", "merge", "keep"]
TagScheme = Literal["bio", "word"]
"""`bio`: tags mark spans; `word`: each word has a tag of its own, such as its part of speech."""


class DataConfig(SettingsGroup):
    """How labelled data are read.

    Raises:
        UsageError: a value is invalid, or two settings contradict each other.
    """

    task: Annotated[Task, Flag(TASK)] = Field("single-label", description="The kind of target.")
    ordinal: Annotated[bool, Flag(TASK)] = Field(
        False, description="The labels are numbers whose order matters, such as 1 to 5."
    )
    tag_scheme: Annotated[TagScheme | None, Flag(TASK, default="guessed from the tags")] = Field(
        None,
        description="For the task token: bio if tags mark spans, word if each word has a tag of its own.",
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
    similar_labels: Annotated[SimilarLabels, Flag(DATA)] = Field(
        "refuse",
        description="Labels that differ only in case or in the spelling of a number; merge takes the most "
        "frequent spelling, keep learns them as several labels.",
    )
    decimal: Annotated[DecimalMark | None, Flag(DATA, default="plain numbers such as 1234.5")] = Field(
        None,
        description="For regression: decimal mark of the numbers; the other mark or spaces may separate "
        "thousands.",
    )
    group_column: Annotated[str | None, Flag(DATA)] = Field(
        None, description="Column of a group; all rows of a group go into the same split."
    )
    train_file: Annotated[Path | None, Flag(DATA, aliases=("--train_file",), default="DATA")] = Field(
        None, description="Labelled texts, in place of DATA."
    )
    dataset_name: Annotated[str | None, Flag(DATA, aliases=("--dataset_name",))] = Field(
        None, description="Data set on the Hub, in place of DATA."
    )
    dataset_config: Annotated[
        str | None, Flag(DATA, aliases=("--dataset_config", "--dataset_config_name"))
    ] = Field(None, description="Configuration of --dataset-name.")
    validation_file: Annotated[
        Path | None, Flag(DATA, aliases=("--validation_file",), default="a tenth of the data")
    ] = Field(None, description="Rows that select the best epoch.")
    test_file: Annotated[Path | None, Flag(DATA, aliases=("--test_file",), default="a tenth of the data")] = (
        Field(None, description="Rows for the final evaluation.")
    )
    extra_train: Annotated[Path | None, Flag(DATA)] = Field(
        None, description="More rows, such as synthetic ones, for training only."
    )
    format: Annotated[DataFormat | None, Flag(DATA, default="by suffix and first lines")] = Field(
        None, description="Format of all files, in place of that of their suffixes."
    )
    encoding: Annotated[str | None, Flag(DATA, default="UTF-8, or that of a byte-order mark")] = Field(
        None, description="Character encoding of all files, such as windows-1252."
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

    def source(self, given: str | None) -> str:
        """Return the data that are read: those of DATA, or of the flag that replaces it.

        Args:
            given: DATA on the command line or in a settings file, if it is given.

        Raises:
            UsageError: no data are named, or they are named twice.
        """
        named = {
            "DATA": given,
            "--train-file": self.train_file and str(self.train_file),
            "--dataset-name": self.dataset_name,
        }
        found = [name for name, value in named.items() if value]
        if not found:
            raise UsageError(
                "no training data are named",
                cause="neither DATA nor --train-file nor --dataset-name is given",
                fix="name a file, a folder or a Hub id, such as labelstream train tickets.csv",
            )
        if len(found) > 1:
            raise UsageError(
                f"{found[0]} cannot be combined with {found[1]}",
                cause="both name the training data",
                fix=f"leave {found[1]} out",
            )
        return str(named[found[0]])
