"""Checks of tags: errors that name the row, the word and the tag."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from stream.errors import UsageError
from trainer.data.examples import Example
from trainer.data.tag_spelling import (
    BIO,
    OUTSIDE,
    OUTSIDE_LOOKALIKES,
    PLACEHOLDERS,
    SPELLINGS,
    MixedTags,
    mostly_outside,
    suggest_tag,
)

TAG_SEPARATORS = re.compile(r"[\s|,;]+")
MAX_NAMES = 8
MIN_ROWS_OF_ONE_WORD = 20
MIN_SHARE_OF_ONE_WORD = 0.97
MIN_SHARE_OF_CONTINUED = 0.8

Locate = Callable[[int], str]
"""A function that returns the file and the row of a row number, for messages."""


def check_sentences(examples: Sequence[Example], locate: Locate) -> None:
    """Refuse a table with one word per row, whose words would be learnt without their sentences.

    A few rows may hold several words: names such as "New York". A table of few rows is refused if the tag of
    a row continues the span of the row before.
    """
    single = [example for example in examples if len(example.word_spans) == 1]
    share = len(single) / max(1, len(examples))
    many = len(examples) >= MIN_ROWS_OF_ONE_WORD and share >= MIN_SHARE_OF_ONE_WORD
    if not many and not (share >= MIN_SHARE_OF_CONTINUED and _continue_spans(single)):
        return
    rows = (
        "every row holds" if len(single) == len(examples) else f"{len(single)} of {len(examples)} rows hold"
    )
    raise UsageError(
        f"{rows} a single word; {locate(single[0].row)} holds {single[0].text!r}",
        cause="a word is tagged in its sentence, so a row holds the words and the tags of a sentence",
        fix="write lists of words and tags, one sentence per row; or a .conll file with a word and its "
        "tag per line and a blank line after each sentence",
    )


def _continue_spans(examples: Sequence[Example]) -> bool:
    """Return whether a row of one word continues a span of the row before, of the same type."""
    for before, example in itertools.pairwise(examples):
        for spelling in SPELLINGS:
            parts, last = spelling.split(example.labels[0]), spelling.split(before.labels[-1])
            if parts and last and parts.bio == f"I-{last.type}" and example.row == before.row + 1:
                return True
    return False


def check_single_tags(examples: Sequence[Example], counts: Mapping[str, int], locate: Locate) -> None:
    """Refuse tags that are several tags in one, of a sentence ("B-x O") or of nested spans ("B-x|O")."""
    for tag in counts:
        parts = TAG_SEPARATORS.split(tag)
        if len(parts) > 1 and all(part == OUTSIDE or BIO.split(part) for part in parts):
            where, word = _first_use(examples, tag, locate)
            raise UsageError(
                f"{where}: {word!r} has {len(parts)} tags: {tag[:60]!r}",
                cause="a word has one tag, and a line of a CoNLL file holds one word",
                fix="write one word per line, and of nested spans the tag of one; or, for a table with a "
                "sentence per row, give the file a header such as tokens,tags and the suffix .csv",
            )


def check_word_tags(examples: Sequence[Example], counts: Mapping[str, int], locate: Locate) -> None:
    """Refuse tags without prefixes that cannot be the tags of words or the types of spans."""
    if all(tag.lstrip("-").isdigit() for tag in counts):
        raise UsageError(
            f"the tags are numbers: {listed(sorted(counts))}",
            cause="the names of tags decide whether they mark spans, and the data do not hold the names",
            fix="name them in a file with one tag per line, the tag of 0 first: --label-names FILE; or use "
            "--tag-scheme word",
        )
    lookalikes = OUTSIDE_LOOKALIKES if mostly_outside(counts) else ()
    odd = [tag for tag in counts if tag in PLACEHOLDERS or tag in lookalikes]
    if odd and len(counts) > len(odd):
        raise _odd_tag(
            examples, counts, odd, locate, "a placeholder or a misspelt O would be learnt as one more tag"
        )


def mixed_tags_error(
    examples: Sequence[Example], counts: Mapping[str, int], mixed: MixedTags, locate: Locate
) -> UsageError:
    """Return the error for tags that are written like span tags among others that are not."""
    name, total = mixed.spelling.name, sum(counts.values())
    rest = total - sum(counts[tag] for tag in mixed.odd)
    spans = f"written like {name}, which marks a span"
    kind, other = ("without a prefix", spans) if mixed.spelling.split(mixed.odd[0]) else (spans, "not")
    return _odd_tag(
        examples, counts, mixed.odd, locate, f"{rest} of {total} tags are O or {kind}; the others are {other}"
    )


def _odd_tag(
    examples: Sequence[Example], counts: Mapping[str, int], odd: Sequence[str], locate: Locate, cause: str
) -> UsageError:
    """Return the error for tags that do not belong to the others, with the first use of the rarest one."""
    ranked = sorted(odd, key=lambda tag: (counts[tag], tag))
    where, word = _first_use(examples, ranked[0], locate)
    known = [tag for tag in counts if tag not in odd]
    return UsageError(
        f"{where}: the word {word!r} has the tag {ranked[0]!r}, which does not belong to the other tags",
        cause=f"{cause}: {listed([f'{tag!r} ({counts[tag]})' for tag in ranked])}",
        fix=f"write {suggest_tag(ranked[0], known)} in its place; or, if each word has a tag of its own, add "
        "--tag-scheme word",
    )


def _first_use(examples: Sequence[Example], tag: str, locate: Locate) -> tuple[str, str]:
    example = next(example for example in examples if tag in example.labels)
    start, end = example.word_spans[example.labels.index(tag)]
    return locate(example.row), example.text[start:end]


def listed(names: Sequence[str]) -> str:
    """Return names separated by commas, without those beyond `MAX_NAMES`."""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more
