"""Texts that are nearly equal: MinHash signatures, banded, then verified.

Texts are compared as sets of the five-character shingles that occur in them; two are near when the sets'
Jaccard similarity is at least `NEAR`. Signatures are Broder's (1997, "On the resemblance and containment of
documents"), the bands are locality-sensitive hashing after Indyk and Motwani (1998). With 20 bands of 7
values a pair of similarity 0.8 is found with probability 0.99, one of 0.9 with more than 0.9999.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

NEAR = 0.8
SHINGLE = 5
BANDS = 20
BAND_VALUES = 7
CHUNK = 1 << 16
"""Shingles that are hashed at a time: what fits into a core's cache."""

Hashes = npt.NDArray[np.uint32]


def near_pairs(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of near texts.

    Of many texts that are all near each other, not every pair is listed, but each with the first of them.

    Args:
        texts: different texts, folded as they shall be compared; those under five characters are near none.
    """
    rows = [at for at, text in enumerate(texts) if len(text) >= SHINGLE]
    if len(rows) < 2:
        return []
    shingles = [_shingles(texts[at]) for at in rows]
    signatures = _signatures(shingles)
    candidates = {pair for band in _bands(signatures) for pair in _bucket_pairs(band)}
    found = [(rows[a], rows[b]) for a, b in candidates if _similar(shingles[a], shingles[b])]
    return sorted(found)


def _shingles(text: str) -> Hashes:
    """Hashes of its shingles, sorted, each once; uint32 [shingles]."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    windows = len(points) - SHINGLE + 1
    found = np.zeros(windows, dtype=np.uint32)
    for at in range(SHINGLE):
        found *= np.uint32(0x01000193)
        found ^= points[at : at + windows]
    # Murmur3's finaliser: the low bits must reach the high ones, by which minima are chosen.
    found ^= found >> np.uint32(16)
    found *= np.uint32(0x85EBCA6B)
    found ^= found >> np.uint32(13)
    found *= np.uint32(0xC2B2AE35)
    found ^= found >> np.uint32(16)
    return np.unique(found)


def _signatures(shingles: Sequence[Hashes]) -> Hashes:
    """The least hash of each text under each of 140 hash functions; uint32 [texts, 140]."""
    rng = np.random.default_rng(0)
    factors = rng.integers(0, 1 << 32, BANDS * BAND_VALUES, dtype=np.uint32) | np.uint32(1)
    offsets = rng.integers(0, 1 << 32, BANDS * BAND_VALUES, dtype=np.uint32)
    signatures = np.empty((len(shingles), len(factors)), dtype=np.uint32)
    for start, end in _chunks([len(row) for row in shingles]):
        hashes = np.concatenate(shingles[start:end])
        starts = np.cumsum([0, *(len(row) for row in shingles[start : end - 1])])
        for at, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            signatures[start:end, at] = np.minimum.reduceat(hashes * factor + offset, starts)
    return signatures


def _chunks(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    start, total = 0, 0
    for at, length in enumerate(lengths):
        total += length
        if total >= CHUNK or at == len(lengths) - 1:
            yield start, at + 1
            start, total = at + 1, 0


def _bands(signatures: Hashes) -> Iterator[npt.NDArray[np.uint64]]:
    """One key a text for each band; texts with the same key are candidates."""
    for band in range(BANDS):
        key = np.zeros(len(signatures), dtype=np.uint64)
        for at in range(band * BAND_VALUES, (band + 1) * BAND_VALUES):
            key = (key ^ signatures[:, at]) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        yield key


def _bucket_pairs(keys: npt.NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Each text of a bucket with the bucket's first and with the one before it: linear, however large."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    first = 0
    for at in np.flatnonzero(same) + 1:
        if at == 1 or not same[at - 2]:
            first = int(order[at - 1])
        yield first, int(order[at])
        if int(order[at - 1]) != first:
            yield int(order[at - 1]), int(order[at])


def _similar(a: Hashes, b: Hashes) -> bool:
    if min(len(a), len(b)) < NEAR * max(len(a), len(b)):
        return False
    common = len(np.intersect1d(a, b, assume_unique=True))
    return common >= NEAR * (len(a) + len(b) - common)
