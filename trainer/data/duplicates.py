"""Duplicate texts in the data, and leaks: validation and test texts that also occur in another split.

Near duplicates are found with MinHash and locality-sensitive hashing. Texts are compared as sets of
five-character shingles; two texts are near duplicates if the Jaccard similarity of their sets is at least
`MIN_SIMILARITY`. MinHash signatures follow Broder (1997, "On the resemblance and containment of documents"),
and banding follows Indyk and Motwani (1998); each candidate pair is then verified. With 20 bands of 7 values,
a pair of similarity 0.8 is found with a probability of 0.99, and a pair of similarity 0.9 with more than
0.9999.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from trainer.data.examples import SHARES, Example, Splits, Target

MIN_SIMILARITY = 0.8
SHINGLE_LENGTH = 5
BANDS = 20
BAND_VALUES = 7
CHUNK_SHINGLES = 1 << 16
"""The number of shingles that are hashed at a time; they fit into the cache of a core."""

Hashes = npt.NDArray[np.uint32]


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

    The search for near duplicates takes seconds for 50,000 short texts.
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


class DuplicateIndex:
    """Finds the duplicates of one text after the other among the texts that were added."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """
        Args:
            texts: the first texts, normalised.
        """
        self._texts: set[str] = set()
        self._shingles: list[Hashes] = []
        self._buckets: list[dict[int, list[int]]] = [defaultdict(list) for _ in range(BANDS)]
        self.add(texts)

    def add(self, texts: Iterable[str]) -> None:
        """Add normalised texts."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        self._texts.update(new)
        shingles = [_shingle_hashes(text) for text in new if len(text) >= SHINGLE_LENGTH]
        if not shingles:
            return
        first = len(self._shingles)
        self._shingles += shingles
        for bucket, keys in zip(self._buckets, _band_keys(_signatures(shingles)), strict=True):
            for row, key in enumerate(keys.tolist(), first):
                bucket[key].append(row)

    def find(self, text: str) -> Literal["equal", "near"] | None:
        """Return whether a normalised text is equal to an added text, or a near duplicate of one."""
        if text in self._texts:
            return "equal"
        if len(text) < SHINGLE_LENGTH:
            return None
        shingles = _shingle_hashes(text)
        keys = [int(key[0]) for key in _band_keys(_signatures([shingles]))]
        pairs = zip(self._buckets, keys, strict=True)
        candidates = {row for bucket, key in pairs for row in bucket.get(key, ())}
        return "near" if any(_similar(self._shingles[row], shingles) for row in candidates) else None


def near_duplicate_pairs(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs (i, j), i < j, of near-duplicate texts, sorted.

    In a large cluster of near duplicates not every pair is listed, but each text is paired with the first.

    Args:
        texts: distinct, normalised texts; texts under five characters have no near duplicates.
    """
    rows = [row for row, text in enumerate(texts) if len(text) >= SHINGLE_LENGTH]
    if len(rows) < 2:
        return []
    shingles = [_shingle_hashes(texts[row]) for row in rows]
    signatures = _signatures(shingles)
    candidates = {pair for keys in _band_keys(signatures) for pair in _bucket_pairs(keys)}
    return sorted((rows[a], rows[b]) for a, b in candidates if _similar(shingles[a], shingles[b]))


def _shingle_hashes(text: str) -> Hashes:
    """Return the sorted, distinct hashes of the shingles of a text; uint32 [shingles]."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    shingles = len(points) - SHINGLE_LENGTH + 1
    hashes = np.zeros(shingles, dtype=np.uint32)
    for offset in range(SHINGLE_LENGTH):
        hashes *= np.uint32(0x01000193)
        hashes ^= points[offset : offset + shingles]
    # Murmur3's finaliser spreads the low bits to the high bits, which determine the minima.
    hashes ^= hashes >> np.uint32(16)
    hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    hashes ^= hashes >> np.uint32(16)
    return np.unique(hashes)


def _signatures(shingles: Sequence[Hashes]) -> Hashes:
    """Return the minimum hash of each text under each of 140 hash functions; uint32 [texts, 140]."""
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 1 << 32, BANDS * BAND_VALUES, dtype=np.uint32) | np.uint32(1)
    offsets = rng.integers(0, 1 << 32, BANDS * BAND_VALUES, dtype=np.uint32)
    signatures = np.empty((len(shingles), len(factors)), dtype=np.uint32)
    for start, end in _chunks([len(row) for row in shingles]):
        hashes = np.concatenate(shingles[start:end])
        starts = np.cumsum([0, *(len(row) for row in shingles[start : end - 1])])
        for function, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            signatures[start:end, function] = np.minimum.reduceat(hashes * factor + offset, starts)
    return signatures


def _chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the start and end rows of chunks of about `CHUNK_SHINGLES` shingles."""
    start, total = 0, 0
    for row, length in enumerate(lengths):
        total += length
        if total >= CHUNK_SHINGLES or row == len(lengths) - 1:
            yield start, row + 1
            start, total = row + 1, 0


def _band_keys(signatures: Hashes) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield one key per text for each band; texts with equal keys are candidates."""
    for band in range(BANDS):
        keys = np.zeros(len(signatures), dtype=np.uint64)
        for column in range(band * BAND_VALUES, (band + 1) * BAND_VALUES):
            keys = (keys ^ signatures[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(29)
        yield keys


def _bucket_pairs(keys: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Yield each text of a bucket with the first and with the previous text: linear in the bucket's size."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    first = 0
    for index in np.flatnonzero(same) + 1:
        if index == 1 or not same[index - 2]:
            first = int(order[index - 1])
        yield first, int(order[index])
        if int(order[index - 1]) != first:
            yield int(order[index - 1]), int(order[index])


def _similar(a: Hashes, b: Hashes) -> bool:
    if min(len(a), len(b)) < MIN_SIMILARITY * max(len(a), len(b)):
        return False
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common >= MIN_SIMILARITY * (len(a) + len(b) - common)
