"""Duplicate texts within the data, and leaks: validation and test texts that also occur in another split."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trainer.data.examples import Example, Target
from trainer.data.near_duplicates import near_duplicate_pairs
from trainer.data.splits import SHARES, Splits


@dataclass(frozen=True, slots=True)
class Leak:
    """A validation or test example whose text, or a near duplicate, also occurs in an earlier split.

    Attributes:
        kind: "equal" for an equal normalised text, "near" for a near duplicate.
        example: the validation or test example.
        split: the split of `example`.
        other: the first example with the same or a similar text.
        other_split: the split of `other`.
    """

    kind: Literal["equal", "near"]
    example: Example
    split: str
    other: Example
    other_split: str


@dataclass(frozen=True, slots=True)
class LeakReport:
    """The leaks between splits; each example is listed once, with the first split that contains its text."""

    leaks: list[Leak] = field(default_factory=list)

    def as_metrics(self) -> dict[str, Any]:
        """Return counts by kind and pair of splits: {"equal": {"test in train": 3}, "near": {}}."""
        counts = Counter((leak.kind, f"{leak.split} in {leak.other_split}") for leak in self.leaks)
        return {
            kind: {pair: n for (k, pair), n in sorted(counts.items()) if k == kind}
            for kind in ("equal", "near")
        }


def count_repeats(examples: Sequence[Example]) -> tuple[int, int]:
    """Return the number of rows that repeat an earlier normalised text, and of texts with several targets."""
    targets: dict[str, set[Target]] = defaultdict(set)
    for example in examples:
        targets[example.normalised_text].add(example.target)
    return len(examples) - len(targets), sum(len(distinct) > 1 for distinct in targets.values())


def find_leaks(splits: Splits) -> LeakReport:
    """Find validation and test texts that occur in an earlier split, equal or near duplicates.

    `trainer.data.near_duplicates` defines near duplicates; finding them takes seconds for 50,000 short texts.
    """
    order = {name: index for index, name in enumerate(SHARES)}
    occurrences: dict[str, list[tuple[Example, str]]] = defaultdict(list)
    for name in SHARES:
        for example in getattr(splits, name):
            occurrences[example.normalised_text].append((example, name))
    texts = list(occurrences)
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in near_duplicate_pairs(texts):
        near[texts[a]].append(texts[b])
        near[texts[b]].append(texts[a])
    leaks = []
    for text, text_occurrences in occurrences.items():
        first = text_occurrences[0]
        first_near = min(
            (occurrences[other][0] for other in near[text]),
            key=lambda occurrence: order[occurrence[1]],
            default=None,
        )
        for example, name in text_occurrences:
            if order[first[1]] < order[name]:
                leaks.append(Leak("equal", example, name, *first))
            elif first_near is not None and order[first_near[1]] < order[name]:
                leaks.append(Leak("near", example, name, *first_near))
    return LeakReport(sorted(leaks, key=lambda leak: (order[leak.split], leak.example.row)))
