"""Samples of the splits, for a quick trial of a training."""

import random
from collections.abc import Sequence
from dataclasses import replace

from stream.errors import UsageError
from trainer.config import Samples
from trainer.data.examples import Example, Splits


def limit_splits(splits: Splits, samples: Samples, seed: int) -> tuple[Splits, list[str]]:
    """Return a random sample of each split that has more rows than its limit, and a note on each of them.

    The training sample has at least one row of each label that occurs in the training split.

    Raises:
        UsageError: the training sample is too small for the labels.
    """
    limited, notes = splits, []
    for name, most in samples.model_dump().items():
        rows = getattr(splits, name)
        if most is None or len(rows) <= most:
            continue
        sample = _sample(rows, most, seed, every_label=name == "train")
        limited = replace(limited, **{name: sample})
        notes.append(f"{name}: a sample of {most} of {len(rows)} rows")
    return limited, notes


def _sample(rows: Sequence[Example], most: int, seed: int, *, every_label: bool) -> list[Example]:
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    first: list[Example] = []
    if every_label:
        seen: set[str] = set()
        for row in shuffled:
            if not seen.issuperset(row.labels):
                first.append(row)
                seen.update(row.labels)
        if len(first) > most:
            raise UsageError(
                f"--max-train-samples {most} is too small for the labels",
                cause=f"{len(first)} rows are needed to have one of each of the {len(seen)} labels",
                fix=f"use at least --max-train-samples {len(first)}",
            )
    chosen = {row.row for row in first}
    for row in shuffled:
        if len(chosen) >= most:
            break
        chosen.add(row.row)
    return [row for row in rows if row.row in chosen]
