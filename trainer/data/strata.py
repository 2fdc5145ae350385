"""Stratification: parts that resemble each other in labels, for every kind of target.

Iterative stratification after Sechidis, Tsoumakas and Vlahavas (2011, "On the stratification of multi-label
data"): the rarest label's rows are dealt out first, each to the part that lacks most of that label. What is
dealt out here are units of rows that must stay together, the largest first. With one label a row it is the
usual stratification.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from trainer.data.bio import OUTSIDE, scheme_of
from trainer.data.examples import Example

BINS = 10
ROWS_PER_BIN = 10
LEAST_ROWS = 3
NONE = ""
"""The stratum of rows that have no label."""

Strata = tuple[str, ...]


def strata_of(examples: Sequence[Example]) -> list[Strata]:
    """What each row is stratified by.

    Its label; its labels; the types of its spans, or its words' tags; or which of ten bins, at the quantiles
    of all, its number falls into.
    """
    numbers = [example.target for example in examples if isinstance(example.target, float)]
    if numbers:
        return _bins(numbers)
    if any(example.words for example in examples):
        spans = scheme_of(tag for example in examples for tag in example.names) == "bio"
        return [_types(example.names, spans=spans) for example in examples]
    return [tuple(sorted(set(example.names))) or (NONE,) for example in examples]


def spread(units: Sequence[Sequence[Strata]], cut: Mapping[str, float]) -> list[str]:
    """Deal units of rows out to "train" and the parts of `cut`; the part of each unit, in their order.

    Args:
        units: of each unit, its rows' strata; among units that are alike, earlier ones are dealt out first.
        cut: the share of each part besides "train"; of a stratum of three rows or more each part gets at
            least one, if it stands in enough units.
    """
    contents = [Counter(stratum for row in unit for stratum in row) for unit in units]
    totals = sum(contents, Counter[str]())
    lacks = {stratum: _targets(count, cut) for stratum, count in totals.items()}
    rows = _targets(sum(map(len, units)), cut)
    having: dict[str, list[int]] = defaultdict(list)
    for at in sorted(range(len(units)), key=lambda at: -len(units[at])):
        for stratum in contents[at]:
            having[stratum].append(at)
    # Strata for which a part has a row; a part that has none comes first while there are few units left.
    has: dict[str, set[str]] = defaultdict(set)
    chosen: list[str | None] = [None] * len(units)
    left = Counter(totals)
    while left:
        rarest = min(left, key=lambda stratum: (left[stratum], stratum))
        waiting = [at for at in having[rarest] if chosen[at] is None]
        for place, at in enumerate(waiting):
            wanting = [name for name, lack in lacks[rarest].items() if lack > 0 and name not in has[rarest]]
            few = len(waiting) - place <= len(wanting)
            among = wanting if few else list(rows)
            part = max(among, key=lambda name: (lacks[rarest][name], rows[name]))
            chosen[at] = part
            rows[part] -= len(units[at])
            for stratum, count in contents[at].items():
                lacks[stratum][part] -= count
                left[stratum] -= count
                has[stratum].add(part)
        left = +left
    return [part if part is not None else "train" for part in chosen]


def _targets(count: int, cut: Mapping[str, float]) -> dict[str, int]:
    """Rows that each part should have of a stratum of so many."""
    held_out = {
        name: max(1, round(count * share)) if count >= LEAST_ROWS else 0 for name, share in cut.items()
    }
    return {"train": count - sum(held_out.values()), **held_out}


def _types(tags: Sequence[str], *, spans: bool) -> Strata:
    found = {tag[2:] if spans else tag for tag in tags if not (spans and tag == OUTSIDE)}
    return tuple(sorted(found)) or (NONE,)


def _bins(numbers: Sequence[float]) -> list[Strata]:
    bins = max(1, min(BINS, len(numbers) // ROWS_PER_BIN))
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]))
    return [(f"bin {at}",) for at in np.searchsorted(edges, numbers, side="right")]
