"""Which rows train, which choose the checkpoint, which judge: a pure function of rows and seed."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stream.errors import UsageError
from trainer.data import Example

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True, slots=True)
class Splits:
    """Three disjoint parts of the examples, each in the file's order."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by split name."""
        return {name: len(getattr(self, name)) for name in SHARES}


def split(examples: Sequence[Example], seed: int) -> Splits:
    """Divide examples 80/10/10, stratified by label, the same for the same seed.

    Rows of one group, and rows whose texts differ in case and white space at most, stay together; single rows
    therefore meet the shares exactly, and every label with three different texts is in all three parts.

    Raises:
        UsageError: the groups leave a part empty, or leave no row of a label to train on.
    """
    units = _units(examples)
    random.Random(seed).shuffle(units)
    units.sort(key=len, reverse=True)
    targets = _targets(Counter(name for example in examples for name in example.names))
    have: dict[str, Counter[str]] = {name: Counter() for name in SHARES}
    parts: dict[str, list[Example]] = {name: [] for name in SHARES}
    for unit in units:
        labels = Counter(name for example in unit for name in example.names)
        rooms = {name: _room(targets[name], have[name], labels) for name in SHARES}
        chosen = max(rooms, key=rooms.__getitem__)
        have[chosen].update(labels)
        parts[chosen].extend(unit)
    _check(parts, examples)
    return Splits(**{name: sorted(part, key=lambda example: example.row) for name, part in parts.items()})


def _units(examples: Sequence[Example]) -> list[list[Example]]:
    """Rows that must stay together: linked by group or by text, through any number of rows."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for example in examples:
        text = root(("text", example.folded))
        if example.group is not None:
            parent[text] = root(("group", example.group))
    units: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for example in examples:
        units[root(("text", example.folded))].append(example)
    return list(units.values())


def _targets(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Rows that each part should have of each label."""
    validation = {label: max(1, round(n * SHARES["validation"])) for label, n in counts.items()}
    test = {label: max(1, round(n * SHARES["test"])) for label, n in counts.items()}
    train = {label: n - validation[label] - test[label] for label, n in counts.items()}
    return {"train": train, "validation": validation, "test": test}


def _room(target: Mapping[str, int], have: Mapping[str, int], labels: Mapping[str, int]) -> float:
    """How much of its target a part would still lack with these rows; negative when they overfill it."""
    return sum(n * (target[label] - have[label] - n) / max(1, target[label]) for label, n in labels.items())


def _check(parts: Mapping[str, Iterable[Example]], examples: Sequence[Example]) -> None:
    mend = "use a --group-column with more and smaller groups, or none; or add rows"
    for name, part in parts.items():
        if not part:
            raise UsageError(
                f"nothing is left for the {name} part",
                why="too many rows are bound together by group or text",
                mend=mend,
            )
    lost = _names(examples) - _names(parts["train"])
    if lost:
        raise UsageError(
            f"no row of {', '.join(sorted(map(repr, lost)))} is left to train on",
            why="all its rows are bound together with rows of other parts, by group or text",
            mend=mend,
        )


def _names(examples: Iterable[Example]) -> set[str]:
    return {name for example in examples for name in example.names}
