"""The rows of a data set that an evaluation uses: its test split, if the splits are known."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream.bundle import Bundle
from stream.errors import UsageError
from trainer.data.examples import SHARES, Data, Example
from trainer.data.read import data_digest

ALL = "all"
CHOICES = (*SHARES, ALL)
SPLITS_FILE = "splits.csv"


@dataclass(frozen=True, slots=True)
class ChosenRows:
    """The rows of an evaluation.

    Attributes:
        examples: the evaluated rows.
        training: the rows that the bundle was trained on, as far as the data contain them.
        split: the name of the evaluated split, or `all`.
        note: a sentence on the choice.
        includes_training: whether evaluated rows are training or validation rows of the bundle.
    """

    examples: list[Example]
    training: list[Example] = field(default_factory=list)
    split: str = ALL
    note: str = ""
    includes_training: bool = False


def choose_split(data: Data, bundle: Bundle, requested: str | None) -> ChosenRows:
    """Return the rows of the requested split; by default those of the test split, if the splits are known.

    The splits are those of the data, or, for the data that the bundle was trained on, those of the training.

    Args:
        data: the labelled data.
        bundle: the bundle, whose splits.csv names the split of each of its rows.
        requested: train, validation, test or all; None for the default.

    Raises:
        UsageError: the requested split is unknown or has no row.
    """
    trained = _training_splits(data, bundle)
    origin = f"of the training of {bundle.reference}" if trained else "of the data"
    splits = [trained.get(example.row) if trained else example.split for example in data.examples]
    counts = Counter(split for split in splits if split is not None)
    if requested not in (None, ALL) and not counts.get(str(requested)):
        raise UsageError(
            f"the data have no {requested} rows",
            cause=f"their splits are: {', '.join(counts) or 'unknown'}",
            fix="leave --split out, which evaluates "
            + ("the test rows" if counts.get("test") else "all rows")
            + "; or name a folder with one file per split, or the data of the training",
        )
    split = requested or ("test" if counts.get("test") else ALL)
    rows = list(zip(data.examples, splits, strict=True))
    training = [example for example, of_row in rows if of_row == "train"]
    if split == ALL:
        note = "all rows"
        if counts:
            note += f" of the splits {origin}: {', '.join(f'{name} {n}' for name, n in counts.items())}"
        return ChosenRows(list(data.examples), training, ALL, note, bool(trained))
    chosen = [example for example, of_row in rows if of_row == split]
    note = f"the {len(chosen)} {split} rows {origin}, of {len(rows)} rows"
    return ChosenRows(chosen, training, split, note, bool(trained) and split != "test")


def _training_splits(data: Data, bundle: Bundle) -> dict[int, str]:
    """Return the split of each row in the training of the bundle; empty for other data."""
    file = bundle.path / SPLITS_FILE
    if SPLITS_FILE not in bundle.manifest.files or not file.is_file():
        return {}
    if bundle.manifest.data.get("sha256") != data_digest(data):
        return {}
    lines: Sequence[str] = bundle.read(SPLITS_FILE).decode().splitlines()
    return {int(row["row"]): row["split"] for row in csv.DictReader(lines)}
