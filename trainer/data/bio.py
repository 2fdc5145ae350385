"""Word tags that mark spans: which scheme they follow, and their repair."""

from collections.abc import Iterable, Sequence
from typing import Literal

Scheme = Literal["bio", "word"]

OUTSIDE = "O"
BEGINS = {"B": "B", "I": "I", "S": "B", "U": "B", "E": "I", "L": "I"}
"""What the first letter of BIO, BIOES and BILOU tags is in BIO."""


def scheme_of(tags: Iterable[str]) -> Scheme:
    """`bio` if each tag is O or marks a span (B-X, I-X, and BIOES' or BILOU's letters), else `word`."""
    known = set(tags) - {OUTSIDE}
    spans = all(tag[1:2] == "-" and tag[0] in BEGINS and len(tag) > 2 for tag in known)
    return "bio" if known and spans else "word"


def in_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags of BIOES or BILOU in BIO; those of BIO as they are."""
    return tuple(tag if tag == OUTSIDE else BEGINS[tag[0]] + tag[1:] for tag in tags)


def repaired(tags: Sequence[str]) -> tuple[str, ...]:
    """BIO tags in which each span begins with B.

    An I-X that follows neither B-X nor I-X begins a span, as the CoNLL shared tasks' scorer (conlleval)
    takes it. Tags of the older IOB1 scheme become BIO so.
    """
    found: list[str] = []
    before = OUTSIDE
    for tag in tags:
        begins = tag.startswith("I-") and before[2:] != tag[2:]
        found.append("B" + tag[1:] if begins else tag)
        before = tag
    return tuple(found)


def tag_order(tags: Iterable[str], scheme: Scheme) -> list[str]:
    """Tags in the order of logits: O first, then B-X and I-X of each type, types sorted; or all sorted."""
    if scheme == "word":
        return sorted(set(tags))
    types = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
    return [OUTSIDE, *(f"{letter}-{of}" for of in types for letter in "BI")]
