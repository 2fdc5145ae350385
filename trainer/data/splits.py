"""Split examples into train, validation and test: stratified, by seed, with related rows in one split.

Stratification is the iterative method of Sechidis, Tsoumakas and Vlahavas (2011, "On the stratification of
multi-label data"): rows of the rarest label are assigned first, each to the split that lacks most of that
label. Here whole groups of rows that must stay together are assigned, the largest first. With one label per
row and no groups the result is ordinary stratification.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from stream.errors import UsageError
from trainer.data.duplicates import near_duplicate_pairs
from trainer.data.examples import SHARES, Example, Splits
from trainer.data.tag_spelling import OUTSIDE, tag_scheme

MAX_NEAR_CLUSTER_SHARE = 0.01
MIN_NEAR_CLUSTER_LIMIT = 10

QUANTILE_BINS = 10
MIN_ROWS_PER_BIN = 10
MIN_ROWS_TO_HOLD_OUT = 3
UNLABELLED = ""
"""The stratum of rows without a label."""

Strata = tuple[str, ...]
"""The strata that one row belongs to."""

RowGroup = list[tuple[Example, Strata]]
"""Rows that must stay in one split, each with its strata."""


def split_examples(examples: Sequence[Example], seed: int) -> Splits:
    """Split examples 80/10/10, stratified; the same seed gives the same splits.

    Splits that the data come with are kept; only missing ones are cut from the training rows, a tenth each.
    Rows of one group and rows with equal normalised texts stay together, as do near duplicates, unless their
    cluster has more than `MAX_NEAR_CLUSTER_SHARE` of the rows. Ungrouped rows with one label meet the shares
    exactly. Extra rows are used for training only.

    Raises:
        UsageError: the groups leave a split empty, or leave no training row for a label.
    """
    own = [example for example in examples if not example.extra]
    given = {example.split for example in own if example.split} - {"train"}
    unassigned = [example for example in own if example.split not in given]
    by_split: dict[str, list[Example]] = {name: [] for name in SHARES}
    for example in own:
        if example.split in given:
            by_split[str(example.split)].append(example)
    missing = {name: share for name, share in SHARES.items() if name != "train" and name not in given}
    if missing:
        groups = row_groups(unassigned)
        random.Random(seed).shuffle(groups)
        assigned = _assign_groups([[strata for _, strata in group] for group in groups], missing)
        for group, name in zip(groups, assigned, strict=True):
            by_split[name].extend(example for example, _ in group)
        _check_splits(by_split, unassigned)
    else:
        by_split["train"] = unassigned
    held_out = {example.normalised_text for name in ("validation", "test") for example in by_split[name]}
    extra = [example for example in examples if example.extra]
    by_split["train"] += [example for example in extra if example.normalised_text not in held_out]
    dropped = [example for example in extra if example.normalised_text in held_out]
    ordered = {name: sorted(split, key=lambda example: example.row) for name, split in by_split.items()}
    return Splits(**ordered, dropped=dropped)


def row_groups(examples: Sequence[Example]) -> list[RowGroup]:
    """Return the connected components of rows that share a group, a text or a near-duplicate cluster."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(key: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for text, cluster in _near_clusters(examples):
        parent[root(("text", text))] = root(("near", cluster))
    for example in examples:
        text_root = root(("text", example.normalised_text))
        if example.group is not None:
            parent[text_root] = root(("group", example.group))
    groups: dict[tuple[str, str], RowGroup] = defaultdict(list)
    for example, strata in zip(examples, _strata(examples), strict=True):
        groups[root(("text", example.normalised_text))].append((example, strata))
    return list(groups.values())


def _near_clusters(examples: Sequence[Example]) -> list[tuple[str, str]]:
    """Return each text that has near duplicates with the first text of its cluster; skip large clusters."""
    rows = Counter(example.normalised_text for example in examples)
    texts = list(rows)
    first = list(range(len(texts)))
    for a, b in near_duplicate_pairs(texts):
        while first[a] != a:
            a = first[a]
        while first[b] != b:
            b = first[b]
        first[max(a, b)] = min(a, b)
    clusters: dict[int, list[str]] = defaultdict(list)
    for index, text in enumerate(texts):
        while first[index] != index:
            index = first[index]
        clusters[index].append(text)
    limit = max(MIN_NEAR_CLUSTER_LIMIT, int(MAX_NEAR_CLUSTER_SHARE * len(examples)))
    return [
        (text, cluster[0])
        for cluster in clusters.values()
        if len(cluster) > 1 and sum(rows[text] for text in cluster) <= limit
        for text in cluster
    ]


def _strata(examples: Sequence[Example]) -> list[Strata]:
    """Return the strata of each row: its labels, span types or tags, or the quantile bin of its number."""
    numbers = [example.target for example in examples if isinstance(example.target, float)]
    if numbers:
        return _quantile_strata(numbers)
    if any(example.word_spans for example in examples):
        spans = tag_scheme(tag for example in examples for tag in example.labels) == "bio"
        return [_tag_strata(example.labels, spans=spans) for example in examples]
    return [tuple(sorted(set(example.labels))) or (UNLABELLED,) for example in examples]


def _tag_strata(tags: Sequence[str], *, spans: bool) -> Strata:
    strata = {tag[2:] if spans else tag for tag in tags if not (spans and tag == OUTSIDE)}
    return tuple(sorted(strata)) or (UNLABELLED,)


def _quantile_strata(numbers: Sequence[float]) -> list[Strata]:
    bins = max(1, min(QUANTILE_BINS, len(numbers) // MIN_ROWS_PER_BIN))
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]))
    return [(f"bin {index}",) for index in np.searchsorted(edges, numbers, side="right")]


def _assign_groups(groups: Sequence[Sequence[Strata]], held_out: Mapping[str, float]) -> list[str]:
    """Assign each group of rows to "train" or a held-out split.

    Args:
        groups: the strata of each row of each group; of groups with equal strata, earlier ones are assigned
            first.
        held_out: the share of each held-out split. A stratum of three or more rows has at least one row in
            each split if it occurs in enough groups.

    Returns:
        The split of each group, in their order.
    """
    contents = [Counter(stratum for row in group for stratum in row) for group in groups]
    totals = sum(contents, Counter[str]())
    lacking = {stratum: _row_quotas(count, held_out) for stratum, count in totals.items()}
    rows_lacking = _row_quotas(sum(map(len, groups)), held_out)
    containing: dict[str, list[int]] = defaultdict(list)
    for group in sorted(range(len(groups)), key=lambda index: -len(groups[index])):
        for stratum in contents[group]:
            containing[stratum].append(group)
    # The splits that already have a row of the stratum; those without one come first once few groups remain.
    supplied: dict[str, set[str]] = defaultdict(set)
    assigned: list[str | None] = [None] * len(groups)
    remaining = Counter(totals)
    while remaining:
        rarest = min(remaining, key=lambda stratum: (remaining[stratum], stratum))
        pending = [group for group in containing[rarest] if assigned[group] is None]
        for position, group in enumerate(pending):
            without = [
                name for name, lack in lacking[rarest].items() if lack > 0 and name not in supplied[rarest]
            ]
            few_left = len(pending) - position <= len(without)
            candidates = without if few_left else list(rows_lacking)
            name = max(candidates, key=lambda name: (lacking[rarest][name], rows_lacking[name]))
            assigned[group] = name
            rows_lacking[name] -= len(groups[group])
            for stratum, count in contents[group].items():
                lacking[stratum][name] -= count
                remaining[stratum] -= count
                supplied[stratum].add(name)
        remaining = +remaining
    return [name if name is not None else "train" for name in assigned]


def _row_quotas(count: int, held_out: Mapping[str, float]) -> dict[str, int]:
    """Return the number of rows that each split should have of a stratum of `count` rows."""
    quotas = {
        name: max(1, round(count * share)) if count >= MIN_ROWS_TO_HOLD_OUT else 0
        for name, share in held_out.items()
    }
    return {"train": count - sum(quotas.values()), **quotas}


def _check_splits(by_split: Mapping[str, Sequence[Example]], unassigned: Sequence[Example]) -> None:
    fix = "use a --group-column with more and smaller groups, or none, or add rows"
    for name, split in by_split.items():
        if not split:
            raise UsageError(
                f"the {name} split is empty",
                cause="too many rows share a group or a text and must stay together",
                fix=fix,
            )
    lost = _single_labels(unassigned) - _single_labels(by_split["train"])
    if lost:
        raise UsageError(
            f"no training row is left for: {', '.join(sorted(map(repr, lost)))}",
            cause="all rows of the label share a group or a text with rows of another split",
            fix=fix,
        )


def _single_labels(examples: Iterable[Example]) -> set[str]:
    """Return the labels of single-label rows; a split may lack the rarest labels of multi-label rows."""
    return {example.target for example in examples if isinstance(example.target, str)}
