"""Equal and near-equal texts: within the data, and across its parts."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trainer.data.examples import Example, Target
from trainer.data.near import near_pairs
from trainer.data.splits import SHARES, Splits


@dataclass(frozen=True, slots=True)
class Leak:
    """A row to choose or judge by whose text also stands, or nearly so, in an earlier part."""

    kind: Literal["equal", "near"]
    example: Example
    split: str
    other: Example
    other_split: str


@dataclass(frozen=True, slots=True)
class Leaks:
    """What was found across parts; a row is listed once, with the first part that has its text."""

    found: list[Leak] = field(default_factory=list)

    def count(self, kind: Literal["equal", "near"], split: str | None = None) -> int:
        """Rows of a kind, of all parts or of one."""
        return sum(leak.kind == kind and split in (None, leak.split) for leak in self.found)

    def as_metrics(self) -> dict[str, Any]:
        """Counts by kind and pair of parts, ready for JSON: {"equal": {"test in train": 3}, "near": {}}."""
        counts = Counter((leak.kind, f"{leak.split} in {leak.other_split}") for leak in self.found)
        return {
            kind: {pair: n for (k, pair), n in sorted(counts.items()) if k == kind}
            for kind in ("equal", "near")
        }


def repeats(examples: Sequence[Example]) -> tuple[int, int]:
    """Count rows whose text (case and spaces aside) came before, and texts that bear several targets."""
    targets: dict[str, set[Target]] = defaultdict(set)
    for example in examples:
        targets[example.folded].add(example.target)
    return len(examples) - len(targets), sum(len(found) > 1 for found in targets.values())


def leaks(splits: Splits) -> Leaks:
    """Texts of validation and test that stand in an earlier part, the same (case and spaces aside) or nearly.

    What is near, and how surely it is found, `trainer.data.near` says. 50,000 short texts take seconds.
    """
    order = {name: at for at, name in enumerate(SHARES)}
    where: dict[str, list[tuple[Example, str]]] = defaultdict(list)
    for name in SHARES:
        for example in getattr(splits, name):
            where[example.folded].append((example, name))
    texts = list(where)
    near: dict[str, list[str]] = defaultdict(list)
    for a, b in near_pairs(texts):
        near[texts[a]].append(texts[b])
        near[texts[b]].append(texts[a])
    found = []
    for text, places in where.items():
        equals = places[0]
        nearest = min(
            (where[other][0] for other in near[text]), key=lambda place: order[place[1]], default=None
        )
        for example, name in places:
            if order[equals[1]] < order[name]:
                found.append(Leak("equal", example, name, *equals))
            elif nearest is not None and order[nearest[1]] < order[name]:
                found.append(Leak("near", example, name, *nearest))
    return Leaks(sorted(found, key=lambda leak: (order[leak.split], leak.example.row)))
