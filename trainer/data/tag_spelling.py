"""The spellings of span tags: B-TYPE and its variants, and the spelling that a data set uses."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from trainer.config import TagScheme

OUTSIDE = "O"
"""The tag of a word outside every span."""

BIO_PREFIXES = {"B": "B", "I": "I", "S": "B", "U": "B", "W": "B", "E": "I", "L": "I", "M": "I"}
"""The BIO prefix for each prefix of BIO, BIOES, BILOU and BMEWO."""

LAST_WORD_PREFIXES = ("E", "L", "S", "U", "W")
"""The prefixes of words that end a span."""

OUTSIDE_LOOKALIKES = ("0", "o", "\u041e", "\u043e", "\u039f", "\u03bf", "\uff2f")
"""Characters that are easily mistaken for O: zero, and letters of other cases and scripts."""

PLACEHOLDERS = ("[PAD]", "<pad>", "PAD", "[CLS]", "[SEP]", "<s>", "</s>", "-100", "_", "-X-")
"""Tags that tools write where a word has no tag."""

UNNAMED_TYPE = "span"
"""The type of spans whose tags are bare B and I."""

SEPARATORS = r"[_:/|\u2013\u2014\u2212]"


class SplitTag(NamedTuple):
    """The prefix (in upper case) and the type of a span tag."""

    prefix: str
    type: str

    @property
    def bio(self) -> str:
        """The tag in BIO."""
        return f"{BIO_PREFIXES[self.prefix]}-{self.type}"


@dataclass(frozen=True, slots=True)
class Spelling:
    """A way to write the prefix and the type of a span tag.

    Attributes:
        name: the spelling, as messages show it.
        pattern: the expression that matches a tag, with the groups `prefix` and, if there are types, `type`.
        outside: the tags of words outside every span.
    """

    name: str
    pattern: re.Pattern[str]
    outside: tuple[str, ...] = (OUTSIDE,)

    @property
    def typeless(self) -> bool:
        """Whether tags have no type."""
        return "type" not in self.pattern.groupindex

    def split(self, tag: str) -> SplitTag | None:
        """Return the parts of a span tag, or None for any other tag."""
        match = self.pattern.fullmatch(tag)
        if match is None:
            return None
        groups = match.groupdict()
        return SplitTag(groups["prefix"].upper(), groups.get("type", UNNAMED_TYPE))

    def span_tags(self, tags: Collection[str]) -> list[str]:
        """Return the tags that mark words of spans in this spelling; empty if no span could begin."""
        split = {tag: parts for tag in tags if (parts := self.split(tag)) and tag not in self.outside}
        first = ("B", "I") if self.typeless else ("B", "I", "S", "U", "W")
        begins = any(parts.prefix in first for parts in split.values())
        return list(split) if begins else []


def _spelling(name: str, pattern: str, *outside: str) -> Spelling:
    return Spelling(name, re.compile(pattern, re.DOTALL), outside or (OUTSIDE,))


BIO = _spelling("B-TYPE", r"(?P<prefix>[BIESULMW])-(?P<type>.+)")
PREFIX_FIRST = (
    BIO,
    _spelling("b-TYPE", r"(?P<prefix>[biesulmw])-(?P<type>.+)", OUTSIDE, "o"),
    _spelling("B_TYPE", rf"(?P<prefix>[BIESULMW]){SEPARATORS}(?P<type>.+)"),
    _spelling("b_TYPE", rf"(?P<prefix>[biesulmw]){SEPARATORS}(?P<type>.+)", OUTSIDE, "o"),
)
SPELLINGS = (
    *PREFIX_FIRST,
    _spelling("TYPE-B", r"(?P<type>.+)-(?P<prefix>[BIESULMW])"),
    _spelling("TYPE_B", rf"(?P<type>.+){SEPARATORS}(?P<prefix>[BIESULMW])"),
    _spelling("B", r"(?P<prefix>[BIESULMW])"),
    _spelling("b", r"(?P<prefix>[biesulmw])", OUTSIDE, "o"),
)


def tag_scheme(tags: Iterable[str]) -> TagScheme:
    """Return `bio` if each tag is O or has a prefix of BIO, BIOES, BILOU or BMEWO, else `word`."""
    distinct = set(tags) - {OUTSIDE}
    return "bio" if distinct and all(BIO.split(tag) for tag in distinct) else "word"


class MixedTags(NamedTuple):
    """Tags of two kinds: some are written in a spelling of span tags, and others are not.

    Attributes:
        spelling: the spelling of the span tags.
        odd: the tags of the rarer kind, which are probably errors.
    """

    spelling: Spelling
    odd: list[str]


def find_spelling(counts: Mapping[str, int]) -> Spelling | MixedTags | None:
    """Return the spelling of the span tags; None if the tags do not mark spans with prefixes.

    Args:
        counts: the number of words with each tag.
    """
    for spelling in SPELLINGS:
        named = [tag for tag in counts if tag not in spelling.outside]
        if named and len(spelling.span_tags(named)) == len(named):
            return spelling
    tags = [tag for tag in counts if tag != OUTSIDE]
    best = max(SPELLINGS, key=lambda spelling: len(spelling.span_tags(tags)))
    span_tags = best.span_tags(tags)
    odd = [tag for tag in tags if tag not in span_tags and tag not in best.outside]
    if not span_tags or (best.typeless and OUTSIDE not in counts):
        # Without O, tags of one letter are tags of words: the tag sets of several corpora contain B and I.
        return None
    if len(span_tags) >= len(odd) or _words(span_tags, counts) >= _words(odd, counts):
        return MixedTags(best, odd)
    # Types without a prefix (IO), and a few tags with one.
    return MixedTags(best, span_tags) if best in PREFIX_FIRST and mostly_outside(counts) else None


def _words(tags: Collection[str], counts: Mapping[str, int]) -> int:
    return sum(counts[tag] for tag in tags)


def mostly_outside(counts: Mapping[str, int]) -> bool:
    """Return True if at least half of the words have the tag O."""
    return 0 < sum(counts.values()) <= 2 * counts.get(OUTSIDE, 0)


def suggest_tag(tag: str, known: Collection[str]) -> str:
    """Return what an odd tag was probably meant to be, for the fix of an error.

    Args:
        tag: the odd tag.
        known: the other tags.
    """
    if tag in OUTSIDE_LOOKALIKES or tag in PLACEHOLDERS:
        return repr(OUTSIDE)
    for spelling in SPELLINGS:
        parts = spelling.split(tag)
        if parts is not None and not spelling.typeless:
            return repr(parts.type if parts.type in known else f"{parts.prefix}-{parts.type}")
    if f"B-{tag}" in known or f"I-{tag}" in known:
        return f"'B-{tag}' or 'I-{tag}'"
    return "'B-TYPE', 'I-TYPE' or 'O'"
