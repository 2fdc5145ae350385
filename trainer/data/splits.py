"""Which rows train, which choose the checkpoint, which judge: a pure function of rows and seed."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from stream.errors import UsageError
from trainer.data.examples import Data, Example
from trainer.data.near import near_pairs
from trainer.data.strata import spread, strata_of

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
NEAR_GROUP_SHARE = 0.01
NEAR_GROUP_LEAST = 10


@dataclass(frozen=True, slots=True)
class Splits:
    """Three disjoint parts of the examples, each in the data's order.

    `dropped` are rows brought for training only whose text stands in validation or test.
    """

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    dropped: list[Example] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by split name."""
        return {name: len(getattr(self, name)) for name in SHARES}


def split(data: Data | Sequence[Example], seed: int) -> Splits:
    """Divide examples 80/10/10, stratified, the same for the same seed; keep the parts that the data has.

    Of data that came with a validation or test part only what is missing is cut from the rest, a tenth each.
    What is stratified by, and how, `trainer.data.strata` says. Rows of one group, and rows whose texts
    differ in case and white space at most, stay together, near-equal ones too as long as they are few
    (`NEAR_GROUP_SHARE` of the rows); single rows of one label each meet the shares exactly. Rows brought for
    training only go there.

    Raises:
        UsageError: the groups leave a part empty, or leave no row of a label to train on.
    """
    examples = data.examples if isinstance(data, Data) else list(data)
    own = [example for example in examples if not example.extra]
    given = {example.split for example in own if example.split} - {"train"}
    free = [example for example in own if example.split not in given]
    parts: dict[str, list[Example]] = {name: [] for name in SHARES}
    for example in own:
        if example.split in given:
            parts[str(example.split)].append(example)
    cut = {name: share for name, share in SHARES.items() if name != "train" and name not in given}
    if cut:
        units = _units(free)
        random.Random(seed).shuffle(units)
        chosen = spread([[strata for _, strata in unit] for unit in units], cut)
        for unit, name in zip(units, chosen, strict=True):
            parts[name].extend(example for example, _ in unit)
        _check(parts, free)
    else:
        parts["train"] = free
    held_out = {example.folded for name in ("validation", "test") for example in parts[name]}
    extra = [example for example in examples if example.extra]
    parts["train"] += [example for example in extra if example.folded not in held_out]
    dropped = [example for example in extra if example.folded in held_out]
    ordered = {name: sorted(part, key=lambda example: example.row) for name, part in parts.items()}
    return Splits(**ordered, dropped=dropped)


Unit = list[tuple[Example, tuple[str, ...]]]
"""Rows that must stay together, each with its strata."""


def _units(examples: Sequence[Example]) -> list[Unit]:
    """Rows linked by group, by text or by near text, through any number of rows."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for text, near in _near_groups(examples):
        parent[root(("text", text))] = root(("near", near))
    for example in examples:
        text_root = root(("text", example.folded))
        if example.group is not None:
            parent[text_root] = root(("group", example.group))
    units: dict[tuple[str, str], Unit] = defaultdict(list)
    for example, strata in zip(examples, strata_of(examples), strict=True):
        units[root(("text", example.folded))].append((example, strata))
    return list(units.values())


def _near_groups(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Each folded text that is near others, with the first text of its group; large groups are not bound."""
    rows = Counter(example.folded for example in examples)
    texts = list(rows)
    first = list(range(len(texts)))
    for a, b in near_pairs(texts):
        while first[a] != a:
            a = first[a]
        while first[b] != b:
            b = first[b]
        first[max(a, b)] = min(a, b)
    groups: dict[int, list[str]] = defaultdict(list)
    for at, text in enumerate(texts):
        while first[at] != at:
            at = first[at]
        groups[at].append(text)
    most = max(NEAR_GROUP_LEAST, int(NEAR_GROUP_SHARE * len(examples)))
    return [
        (text, members[0])
        for members in groups.values()
        if len(members) > 1 and sum(rows[text] for text in members) <= most
        for text in members
    ]


def _check(parts: dict[str, list[Example]], free: Sequence[Example]) -> None:
    fix = "use a --group-column with more and smaller groups, or none; or add rows"
    for name, part in parts.items():
        if not part:
            raise UsageError(
                f"nothing is left for the {name} part",
                cause="too many rows are bound together by group or text",
                fix=fix,
            )
    lost = _labels(free) - _labels(parts["train"])
    if lost:
        raise UsageError(
            f"no row of {', '.join(sorted(map(repr, lost)))} is left to train on",
            cause="all its rows are bound together with rows of other parts, by group or text",
            fix=fix,
        )


def _labels(examples: Iterable[Example]) -> set[str]:
    """Labels of rows that have one each; rarer ones of rows with several may be missing from a part."""
    return {example.target for example in examples if isinstance(example.target, str)}
