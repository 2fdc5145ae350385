"""The names of integer labels: those that a file stores with its ids, and those of `--label-names`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stream.classify import as_number
from stream.errors import UsageError
from stream.tables import read_label_names
from trainer.data.cells import CellError, trim
from trainer.data.sources import DataSource

WITHHELD = -1
"""The id that data sets write where the label is withheld."""


@dataclass(frozen=True, slots=True)
class ClassNames:
    """The names of the labels 0, 1, … in one source.

    Attributes:
        names: the names in the order of the ids.
        origin: the flag or the source that the names come from.
        stored: whether the source itself stores them, so that each integer is certainly an id.
    """

    names: tuple[str, ...]
    origin: str
    stored: bool = False

    def numbers_are_names(self, texts: Iterable[str], column: str) -> bool:
        """Return whether the numbers in a source are names, as "1" to "5" may be, and not ids.

        Raises:
            CellError: the numbers can be read both ways, with different results.
        """
        ambiguous = {
            name
            for at, name in enumerate(self.names)
            if (number := as_number(name)) is not None and number != at
        }
        if self.stored or not ambiguous:
            return False
        found = {trim(text) for text in texts}
        if not found <= set(self.names):
            return False
        ids = {index for text in found if (index := as_number(text)) is not None}
        if any(not index.is_integer() or not WITHHELD <= index < len(self.names) for index in ids):
            return True
        if not ids:
            return False
        raise CellError(
            f"column {column!r} holds numbers that are both names and ids of labels",
            cause=f"{self.origin} gives the label 0 the name {self.names[0]!r}",
            fix="leave --label-names out if the numbers are the labels; or rename the labels in the file",
        )

    def name_of(self, text: str, column: str, *, numbers_are_names: bool = False) -> str | None:
        """Return the name of the label with an id, or a name itself; None for -1, a withheld label.

        Raises:
            CellError: the text is neither an id nor a name.
        """
        trimmed = trim(text)
        index = as_number(trimmed)
        if numbers_are_names or index is None:
            if trimmed in self.names:
                return trimmed
        elif index == WITHHELD:
            return None
        elif index.is_integer() and 0 <= index < len(self.names):
            return self.names[int(index)]
        elif trimmed in self.names:
            return trimmed
        raise CellError(
            f"{text!r} in column {column!r} is not the number of a label",
            cause=f"there are names for 0 to {len(self.names) - 1}",
            fix="check the column and the list of label names (line 1 is the name of 0)",
        )


def names_by_source(sources: Sequence[DataSource], column: str, file: Path | None) -> list[ClassNames | None]:
    """Return the class names of each source: those of `--label-names`, else those that the source stores.

    Raises:
        UsageError: the file and a source, or two sources that the file renames, give one name two numbers.
    """
    stored = [_stored_names(source, column) for source in sources]
    if file is None:
        return list(stored)
    given = ClassNames(tuple(read_label_names(file)), "--label-names")
    known = [names for names in stored if names is not None]
    for names in known:
        if names.names != known[0].names:
            raise UsageError(
                f"--label-names cannot rename the labels of both {known[0].origin} and {names.origin}",
                cause=f"label 0 is {known[0].names[0]!r} in one and {names.names[0]!r} in the other",
                fix="leave --label-names out: each file is read with the names that it stores",
            )
        _check_same_numbers(given, names)
    return [
        given if names is None else ClassNames(given.names, given.origin, stored=True) for names in stored
    ]


def all_names(by_source: Sequence[ClassNames | None]) -> list[str]:
    """Return every name once: those of the first source in their order, then the new ones of each further."""
    return list(dict.fromkeys(name for names in by_source if names is not None for name in names.names))


def _stored_names(source: DataSource, column: str) -> ClassNames | None:
    names = source.table.class_names.get(column)
    return ClassNames(tuple(map(trim, names)), source.name, stored=True) if names else None


def _check_same_numbers(given: ClassNames, stored: ClassNames) -> None:
    for at, name in enumerate(given.names):
        if name in stored.names and stored.names.index(name) != at:
            raise UsageError(
                f"--label-names and {stored.origin} disagree about the number of {name!r}",
                cause=f"it is {at} in --label-names and {stored.names.index(name)} in {stored.origin}",
                fix=f"leave --label-names out: {stored.origin} stores the names of its labels",
            )
