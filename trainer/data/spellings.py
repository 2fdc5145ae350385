"""Several spellings of one label: equal ones are unified, similar ones are refused, merged or kept."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

import numpy as np

from stream.errors import UsageError
from trainer.config import SimilarLabels
from trainer.data.cells import trim
from trainer.data.examples import Example

MAX_NOTED = 5

MAX_EXACT_LENGTH = 12
"""Fractions of more characters have digits that their storage added."""
MAX_FLOAT32 = 1e38

_WHOLE = re.compile(r"(?P<whole>[+-]?\d+)(?P<zeros>\.0+)?")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SPACED = re.compile(r"[+-]?\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-") | {"\u2018": "'", "\u2019": "'"}
)
"""Dashes, minus signs and apostrophes, as keyboards write them."""

_VARIANTS = "\ufe0e\ufe0f"
"""The variation selectors of emoji."""
_TRUTH = {"true": "1", "false": "0"}


@dataclass(frozen=True, slots=True)
class UnifiedLabels:
    """Examples in which each label has one spelling.

    Attributes:
        examples: the examples with the chosen spellings.
        spelling: the chosen spelling of each label.
        notes: one line for each kind of change.
    """

    examples: list[Example]
    spelling: Mapping[str, str]
    notes: list[str]

    def listed(self, names: Iterable[str]) -> list[str]:
        """Return listed labels in their chosen spellings."""
        return list(dict.fromkeys(self.spelling.get(name, name) for name in names))


def unify_spellings(
    examples: Sequence[Example],
    declared: Sequence[Sequence[str]],
    policy: SimilarLabels,
    locate: Callable[[int], str],
) -> UnifiedLabels:
    """Give each label one spelling.

    White space, invisible characters, the Unicode form, the case of true and false, and `.0` after whole
    numbers never distinguish labels. Case and other spellings of a number may: the policy decides.

    Args:
        examples: examples with one or several labels.
        declared: lists of label names; two names of one list are different labels whatever their spelling.
        policy: what to do with similar labels.
        locate: returns the file and the row of a row number, for the error.

    Raises:
        UsageError: labels are similar, and the policy is to refuse them.
    """
    counts = Counter(label for example in examples for label in example.labels)
    trimmed = {trim(label) for label in counts}
    whole = {label for label in trimmed if _is_whole(label, trimmed)}
    equal = _choose(_groups(counts, lambda label: _equal_key(label, whole), declared), counts, trim)
    spelling = {label: _number_spelling(chosen, whole) for label, chosen in equal.items()}
    notes = _equal_notes(spelling, counts)
    unified = Counter[str]()
    for label, count in counts.items():
        unified[spelling[label]] += count
    truth = {label.lower() for label in unified} <= {"true", "false", "0", "1"}
    similar = _groups(unified, lambda label: _similar_key(label, truth=truth), declared)
    variants = [group for group in similar if len(group) > 1]
    if variants and policy == "refuse":
        raise _refusal(variants[0], len(variants), unified, _first_rows(examples, spelling), locate)
    if variants and policy == "merge":
        merged = _choose(similar, unified, str)
        spelling = {label: merged[chosen] for label, chosen in spelling.items()}
        notes += [f"labels merged by --similar-labels merge: {_listed(merged)}"]
    elif variants:
        kept = "; ".join(", ".join(map(repr, group)) for group in variants[:MAX_NOTED])
        notes += [f"similar labels that are learnt as different ones: {kept}"]
    if all(label == chosen for label, chosen in spelling.items()):
        return UnifiedLabels(list(examples), {}, notes)
    return UnifiedLabels([_respell(example, spelling) for example in examples], spelling, notes)


def equal_spellings(labels: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Map each label to the known label from which it differs only in white space, invisibles or a `.0`."""
    names = [*labels, *known]
    whole = {label for label in map(trim, names) if _is_whole(label, set(map(trim, names)))}
    return _mapped(labels, known, lambda label: _equal_key(label, whole))


def similar_spellings(labels: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Map each label to the known label from which it differs only in case, dashes or a number's spelling."""
    truth = {label.lower() for label in known} <= {"true", "false", "0", "1"}
    return _mapped(labels, known, lambda label: _similar_key(label, truth=truth))


def _mapped(labels: Iterable[str], known: Sequence[str], key: Callable[[str], str]) -> dict[str, str]:
    """Map each label to the known label with its key, unless several have the key."""
    counts = Counter(map(key, known))
    by_key = {key(name): name for name in known if counts[key(name)] == 1}
    return {label: by_key[key(label)] for label in labels if key(label) in by_key}


def _groups(
    labels: Iterable[str], key: Callable[[str], str], declared: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Return the labels with equal keys; declared names that share a key stay alone."""
    by_key: dict[str, list[str]] = {}
    for label in labels:
        by_key.setdefault(key(label), []).append(label)
    groups: list[list[str]] = []
    for group in by_key.values():
        distinct = len(group) > 1 and any(sum(name in group for name in names) > 1 for names in declared)
        groups += [[label] for label in group] if distinct else [group]
    return groups


def _choose(
    groups: Iterable[Sequence[str]], counts: Mapping[str, int], respell: Callable[[str], str]
) -> dict[str, str]:
    """Map each label to the most frequent label of its group, or to the plainest of equally frequent ones."""
    chosen: dict[str, str] = {}
    for group in groups:
        most = min(group, key=lambda label: (-counts[label], label != _plain(label), label))
        chosen |= dict.fromkeys(group, respell(most))
    return chosen


def _is_whole(label: str, labels: Set[str]) -> bool:
    """Return whether the `.0` of a label means nothing: 1 is a label too, or all labels are whole numbers."""
    found = _WHOLE.fullmatch(label)
    if found is None or not found["zeros"]:
        return False
    return found["whole"] in labels or all(map(_WHOLE.fullmatch, labels))


def _equal_key(label: str, whole: Set[str]) -> str:
    plain = _plain(label)
    return plain.lower() if plain.lower() in _TRUTH else _number_spelling(plain, whole)


def _plain(label: str) -> str:
    """Return a label in NFC with single spaces, without invisible characters."""
    visible = "".join(char for char in unicodedata.normalize("NFC", label) if not _is_invisible(char))
    return " ".join(visible.split())


def _is_invisible(char: str) -> bool:
    """Return whether a character has no glyph; the tags of emoji flags distinguish flags."""
    return char in _VARIANTS or (unicodedata.category(char) == "Cf" and char < "\U000e0000")


def _number_spelling(label: str, whole: Set[str]) -> str:
    return label.partition(".")[0] if label in whole else label


def _similar_key(label: str, *, truth: bool) -> str:
    folded = unicodedata.normalize("NFKC", html.unescape(label)).translate(_TYPOGRAPHY)
    folded = " ".join(folded.casefold().split())
    # Turkish writes İ and ı where other languages write I and i.
    folded = folded.replace("i\u0307", "i").replace("\u0131", "i")
    if truth and folded in _TRUTH:
        return _TRUTH[folded]
    text = _plain_number(folded)
    if not _PLAIN.fullmatch(text):
        return folded
    try:
        # A Decimal keeps the digits of long ids, which a float would round to the same number.
        return str(Decimal(_shortest(text)).normalize() + 0) if len(text) <= 20 else text.lstrip("0")
    except (InvalidOperation, OverflowError):
        return folded


def _plain_number(text: str) -> str:
    """Return a number without thousands separators and with a decimal point; other texts unmodified."""
    if _GROUPED.fullmatch(text):
        return text.replace(",", "")
    if _SPACED.fullmatch(text):
        text = re.sub("[ '’]", "", text)
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text


def _shortest(text: str) -> str:
    """Return a fraction without the digits that its storage added, as in 0.30000000000000004.

    The digits that a 32-bit column held appear when it is widened to 64 bits: 0.10000000149011612 for 0.1.
    """
    number = float(text)
    if len(text) <= MAX_EXACT_LENGTH or number.is_integer() or abs(number) > MAX_FLOAT32:
        return text
    short = np.float32(number)
    return str(short) if float(short) == number else f"{number:.15g}"


def _respell(example: Example, spelling: Mapping[str, str]) -> Example:
    if isinstance(example.target, str):
        return replace(example, target=spelling[example.target])
    return replace(example, target=tuple(dict.fromkeys(spelling[label] for label in example.labels)))


def _first_rows(examples: Sequence[Example], spelling: Mapping[str, str]) -> dict[str, int]:
    first: dict[str, int] = {}
    for example in examples:
        for label in example.labels:
            first.setdefault(spelling[label], example.row)
    return first


def _refusal(
    group: Sequence[str],
    groups: int,
    counts: Mapping[str, int],
    first: Mapping[str, int],
    locate: Callable[[int], str],
) -> UsageError:
    places = ", ".join(
        f"{label!r} ({counts[label]} rows, first in {locate(first[label])})" for label in group
    )
    more = f"; {groups - 1} more labels have several spellings" if groups > 1 else ""
    return UsageError(
        f"one label with several spellings: {places}",
        cause="labels that differ only in case, in dashes or in the spelling of a number are often one label"
        + more,
        fix="--similar-labels merge takes the most frequent spelling; --similar-labels keep keeps them apart",
    )


def _equal_notes(spelling: Mapping[str, str], counts: Mapping[str, int]) -> list[str]:
    changed = {label: chosen for label, chosen in spelling.items() if label != chosen}
    if not changed:
        return []
    rows = sum(counts[label] for label in changed)
    return [f"labels with several spellings, white space or .0, in {rows} places: {_listed(changed)}"]


def _listed(changed: Mapping[str, str]) -> str:
    pairs = [f"{label!r} → {chosen!r}" for label, chosen in changed.items() if label != chosen]
    return ", ".join(pairs[:MAX_NOTED]) + (", …" if len(pairs) > MAX_NOTED else "")
