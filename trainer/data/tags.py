"""The tags of words: their scheme, their order, and their conversion to BIO."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trainer.config import TagScheme
from trainer.data.examples import Example
from trainer.data.tag_checks import (
    Locate,
    check_sentences,
    check_single_tags,
    check_word_tags,
    listed,
    mixed_tags_error,
)
from trainer.data.tag_spelling import (
    BIO,
    LAST_WORD_PREFIXES,
    OUTSIDE,
    MixedTags,
    Spelling,
    find_spelling,
    mostly_outside,
)


@dataclass(frozen=True, slots=True)
class NormalisedTags:
    """Examples whose span tags are valid BIO, their scheme, and a note on each finding and correction."""

    examples: list[Example]
    scheme: TagScheme
    notes: list[str]


def normalise_tags(
    examples: Sequence[Example], requested: TagScheme | None = None, locate: Locate = "row {}".format
) -> NormalisedTags:
    """Convert span tags to BIO in which each span begins with B; the tags of words are not modified.

    Args:
        examples: rows with one tag per word.
        requested: the scheme that `--tag-scheme` names; None guesses it from the tags.
        locate: names a row in messages.

    Raises:
        UsageError: most tags mark spans and others do not, or tags cannot be tags of words.
    """
    examples, notes = _strip_tags(examples)
    counts = Counter(tag for example in examples for tag in example.labels)
    if requested == "word" or not counts:
        return NormalisedTags(examples, "word", notes)
    check_sentences(examples, locate)
    check_single_tags(examples, counts, locate)
    spelling = find_spelling(counts)
    if isinstance(spelling, MixedTags):
        raise mixed_tags_error(examples, counts, spelling, locate)
    if spelling is None and requested is None:
        check_word_tags(examples, counts, locate)
        if not mostly_outside(counts) or len(counts) == 1:
            return NormalisedTags(examples, "word", [*notes, _word_note(counts)])
    if spelling is not None:
        converted = [to_bio(example.labels, spelling) for example in examples]
        notes += _spelling_notes(spelling, counts)
    else:
        converted = [_inside_tags(example.labels) for example in examples]
        notes.append(
            "tags without a prefix are taken as types of spans (IO), because most words have the tag O: "
            "equal neighbours are one span; --tag-scheme word keeps them as tags of words"
        )
    repaired = [repair_bio(tags) for tags in converted]
    if spelling is not None:
        notes += _repair_notes(converted, repaired)
    types = sorted({tag[2:] for tags in repaired for tag in tags if tag != OUTSIDE})
    notes.append(f"tags mark spans of {len(types)} types: {listed(types)}")
    return NormalisedTags(
        [replace(example, target=tags) for example, tags in zip(examples, repaired, strict=True)],
        "bio",
        notes,
    )


def to_bio(tags: Sequence[str], spelling: Spelling = BIO) -> tuple[str, ...]:
    """Convert span tags of a spelling, and of BIOES, BILOU or BMEWO, to BIO; BIO tags are not modified."""
    converted = []
    ended = False
    for tag in tags:
        parts = spelling.split(tag) if tag not in spelling.outside else None
        if parts is None:
            converted.append(OUTSIDE)
            ended = False
            continue
        # A word after the last word of a span begins another span, whatever its prefix says.
        converted.append(f"B-{parts.type}" if ended else parts.bio)
        ended = parts.prefix in LAST_WORD_PREFIXES
    return tuple(converted)


def repair_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """Return BIO tags in which each span begins with B.

    An I-X that follows neither B-X nor I-X begins a span, as in conlleval, the scorer of the CoNLL shared
    tasks. This also converts the older IOB1 scheme to BIO.
    """
    repaired: list[str] = []
    previous = OUTSIDE
    for tag in tags:
        begins_span = tag.startswith("I-") and previous[2:] != tag[2:]
        repaired.append("B" + tag[1:] if begins_span else tag)
        previous = tag
    return tuple(repaired)


def tag_order(tags: Iterable[str], scheme: TagScheme) -> list[str]:
    """Return tags in the order of the logits: sorted, or for `bio` O first, then B-X and I-X of each type."""
    if scheme == "word":
        return sorted(set(tags))
    types = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
    return [OUTSIDE, *(f"{prefix}-{span_type}" for span_type in types for prefix in "BI")]


def _inside_tags(types: Sequence[str]) -> tuple[str, ...]:
    """Return I-X for each bare type X, so that neighbours of one type form one span."""
    return tuple(OUTSIDE if name == OUTSIDE else f"I-{name}" for name in types)


def _strip_tags(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """Remove white space around tags: "O " is no other tag than "O"."""
    padded = sum(tag != tag.strip() for example in examples for tag in example.labels)
    if not padded:
        return list(examples), []
    stripped = [replace(e, target=tuple(tag.strip() for tag in e.labels)) for e in examples]
    return stripped, [f"white space around {padded} tags was removed"]


def _word_note(counts: Mapping[str, int]) -> str:
    few = "few tags begin" if any(map(BIO.split, counts)) else "no tag begins"
    return (
        f"tags are taken as words, because {few} with B- or I-: each word has a tag of its own; "
        "--tag-scheme bio reads the tags as types of spans and joins equal neighbours"
    )


def _spelling_notes(spelling: Spelling, counts: Mapping[str, int]) -> list[str]:
    notes = []
    split = {tag: parts for tag in counts if (parts := spelling.split(tag)) and tag not in spelling.outside}
    if spelling is not BIO:
        tag, parts = next(iter(split.items()))
        notes.append(f"tags are written like {tag!r}, which is read as {parts.bio!r}")
    prefixes = {parts.prefix for parts in split.values()} - {"B", "I"}
    if prefixes:
        notes.append(
            f"tags with the prefixes {', '.join(sorted(prefixes))} (BIOES, BILOU, BMEWO) were converted to "
            "B and I"
        )
    cases = Counter(name.casefold() for name in {parts.type for parts in split.values()})
    alike = sorted({p.type for p in split.values() if cases[p.type.casefold()] > 1})
    if alike:
        notes.append(f"types that differ only in case are different types: {listed(alike)}")
    return notes


def _repair_notes(converted: Sequence[Sequence[str]], repaired: Sequence[Sequence[str]]) -> list[str]:
    pairs = list(zip(converted, repaired, strict=True))
    changed_tags = sum(old != new for tags in pairs for old, new in zip(*tags, strict=True))
    if not changed_tags:
        return []
    changed_sentences = sum(old != new for old, new in pairs)
    if not any(tag.startswith("B-") for tags in converted for tag in tags):
        return ["no tag begins with B- (IO): neighbouring words of one type are one span"]
    return [
        f"{changed_tags} tags I-X in {changed_sentences} sentences did not continue a span of X; "
        "they were read as B-X, as conlleval does (this is how IOB1 writes spans)"
    ]
