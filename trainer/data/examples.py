"""What training works on: examples, and the data that they make up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream.bundle import Task
from stream.classify import TextInput
from trainer.data.columns import Columns

Target = str | tuple[str, ...] | float
"""A label; several labels, or a tag for each word; or a number."""


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text.

    Attributes:
        row: its number in the file, from 1, a header not counted; of several files, counted on through them.
        text: the text as it stands; of a sentence that came in words, the words with a space between.
        target: the label (single-label), the labels' names (multi-label), a tag for each of `words` (token),
            or a number (regression).
        text_pair: the second text of a pair.
        metadata: raw values by column name.
        words: for the task token, start and end of each word in `text`, in characters.
        id: as in the data.
        time: as in the data.
        group: rows of the same group must stand in one part.
        split: "train", "validation" or "test" where the data came with splits.
        extra: a row that was brought for training only.
    """

    row: int
    text: str
    target: Target
    text_pair: str | None = None
    metadata: Mapping[str, Any] | None = None
    words: tuple[tuple[int, int], ...] = ()
    id: str | None = None
    time: str | None = None
    group: str | None = None
    split: str | None = None
    extra: bool = False

    @property
    def input(self) -> TextInput:
        """What a model is given."""
        return TextInput(self.text, self.text_pair, self.metadata)

    @property
    def names(self) -> tuple[str, ...]:
        """Its label, its labels, or its words' tags; nothing for a number."""
        if isinstance(self.target, str):
            return (self.target,)
        return self.target if isinstance(self.target, tuple) else ()

    @property
    def folded(self) -> str:
        """The text without what most tokenizers ignore: case and the amount of white space."""
        return "\x1f".join(" ".join(text.split()).casefold() for text in (self.text, self.text_pair) if text)


@dataclass(frozen=True, slots=True)
class Data:
    """What was read.

    Attributes:
        path: the file, or the folder.
        task: what is learnt.
        columns: which column is which.
        examples: the usable rows, in the file's order.
        labels: names in the model's order of logits; for a regression the label column's name; for the task
            token the tags, "O" first.
        no_text: numbers of the rows whose text is missing or blank.
        no_label: numbers of the rows that have a text, but no label.
        files: the files that were read; none where a data set library read them.
        notes: what was guessed, repaired or passed over, a line each.
    """

    path: Path
    task: Task
    columns: Columns
    examples: list[Example]
    labels: list[str]
    no_text: list[int]
    no_label: list[int]
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def class_counts(self) -> dict[str, int]:
        """Usable rows per label (words per tag), in the labels' order; empty for a regression."""
        if self.task == "regression":
            return {}
        counts = Counter(name for example in self.examples for name in example.names)
        return {label: counts[label] for label in self.labels}
