"""Texts that occur in two splits, found by `trainer.data.duplicates`."""

from collections.abc import Sequence

from trainer.data.duplicates import find_leaks
from trainer.data.examples import SHARES, Example, Splits
from trainer.evaluation.analysis.answers import show_text
from trainer.evaluation.findings import DuplicatePair


def find_duplicates(
    evaluated: Sequence[Example], training: Sequence[Example], split: str
) -> list[DuplicatePair]:
    """Return evaluated rows whose text, or a near duplicate, occurs in an earlier split.

    Args:
        evaluated: the evaluated rows.
        training: the training rows.
        split: the split of evaluated rows that name none.
    """
    by_split: dict[str, list[Example]] = {name: [] for name in SHARES}
    by_split["train"] = [*training]
    # Of all rows of the data of a training, some are its training rows.
    trained = {id(example) for example in training}
    for example in evaluated:
        if id(example) in trained:
            continue
        name = example.split or split
        # Rows of no split are compared with the training rows, as test rows are.
        by_split[name if name in ("train", "validation") else "test"].append(example)
    if sum(map(bool, by_split.values())) < 2:
        return []
    leaks = find_leaks(Splits(**by_split)).leaks
    return [
        DuplicatePair(
            leak.kind,
            _shown_split(leak.example, leak.split, split),
            leak.example.row,
            show_text(leak.example),
            _shown_split(leak.other, leak.other_split, split),
            leak.other.row,
            show_text(leak.other),
        )
        for leak in leaks
    ]


def _shown_split(example: Example, found: str, split: str) -> str:
    return example.split or split if found == "test" else found
