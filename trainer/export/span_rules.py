"""The rules by which the tags of an exported token classifier become spans.

Taggers name their tags in many ways. The labels of a bundle stay the model's own; where they are not plain
BIO or plain words, `SpanRules.tags` has the BIOES tag of each label.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from stream.bundle import SpanRules
from stream.errors import UsageError
from trainer.data.tag_spelling import OUTSIDE

PREFIXES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
"""The BIOES prefix for each prefix of BIO, BIOES, BILOU, BMES and BMEWO."""

BARE_TYPE = "span"
"""The type of the spans of a tagger whose tags have no type, such as B, I and O."""

_LETTERS = "".join(PREFIXES)
_BIO = re.compile(r"[BI]-.+", re.DOTALL)
_PREFIXED = re.compile(rf"(?P<prefix>[{_LETTERS}])[-_](?P<type>.+)", re.IGNORECASE | re.DOTALL)
_SUFFIXED = re.compile(rf"(?P<type>.+)[-_](?P<prefix>[{_LETTERS}])", re.IGNORECASE | re.DOTALL)
_BARE = re.compile(rf"(?P<prefix>[{_LETTERS}])[-_]?", re.IGNORECASE)
# Whole spans alone, S-PER and O, have no B or I: a word such as e-mail must not pass for one.
_WHOLE = re.compile(r"[SU]-.+", re.DOTALL)
_BRACKETED = re.compile(r"\[.*\]|<.*>", re.DOTALL)
# Beside O or tags such as B-PER these can only mean "no span". Alone, X is a part of speech, and _ a mark.
_BESIDE_SPANS = {"O", "0", "X", "_", "-", "PAD", "CLS", "SEP", "NONE", "NULL"}
MAX_LABELS_IN_MESSAGE = 5


def span_rules(labels: Sequence[str], model: str = "the model") -> SpanRules:
    """Return the rules that decode the tags of a model.

    - Tags with a prefix or suffix of BIO, BIOES, BILOU or BMES, in either case, mark spans.
    - Labels such as [PAD] mark no span; beside O or tags with prefixes, neither do X and PAD.
    - Tags without prefixes beside O mark spans too: adjacent words with the same tag are one span.
    - All other labels are tags of words: every word is a span.

    Args:
        labels: the labels in the order of the logits.
        model: the name of the model, for errors.

    Raises:
        UsageError: some tags have a prefix, and others, which may mark a span or none, do not.
    """
    outside = {label for label in labels if label.upper() == OUTSIDE or _BRACKETED.fullmatch(label)}
    marking = [label for label in labels if label not in outside]
    if all(_BIO.fullmatch(label) for label in marking) and outside <= {OUTSIDE}:
        return SpanRules(scheme="bio")
    beside = {label for label in marking if label.upper() in _BESIDE_SPANS}
    tagged = [label for label in marking if label not in beside]
    for pattern in (_PREFIXED, _SUFFIXED, _BARE):
        if _is_scheme(tagged, pattern) or (pattern is _PREFIXED and outside and _all_match(tagged, _WHOLE)):
            return _bioes(labels, outside | beside, partial(_parse, pattern))
    _refuse_mixed(tagged, outside, model)
    if outside & {OUTSIDE, OUTSIDE.lower()}:
        return _bioes(labels, outside | beside, lambda label: f"I-{label}")
    if outside:
        return _bioes(labels, outside, lambda label: f"S-{label}")
    return SpanRules(scheme="word")


def describe_spans(rules: SpanRules, labels: Sequence[str]) -> str:
    """Return how the tags of a model become spans, in one line."""
    if rules.scheme == "bio":
        return "tags with the prefixes B- and I- are joined to spans"
    if rules.scheme == "word":
        return f"every word is a span: no tag has a prefix such as B- ({_listed(labels)})"
    tags = rules.tags or []
    parts = []
    renamed = [(label, tag) for label, tag in zip(labels, tags, strict=True) if label != tag != OUTSIDE]
    if {tag[0] for tag in tags} <= {"O", "S"}:
        parts.append("every word with another label is a span")
    elif {tag[0] for tag in tags} <= {"O", "I"} and renamed:
        parts.append("adjacent words with the same tag are one span: no tag has a prefix such as B-")
    elif renamed:
        parts.append("tags are read as " + _listed([f"{label} = {tag}" for label, tag in renamed]))
    else:
        parts.append(f"tags are read as {'BIOES' if {tag[0] for tag in tags} & {'E', 'S'} else 'BIO'}")
    nothing = [label for label, tag in zip(labels, tags, strict=True) if tag == OUTSIDE]
    return "; ".join(
        [*parts, f"{_listed(nothing)} mark{'s' * (len(nothing) == 1)} no span"] if nothing else parts
    )


def _all_match(labels: Sequence[str], pattern: re.Pattern[str]) -> bool:
    return bool(labels) and all(pattern.fullmatch(label) for label in labels)


def _is_scheme(labels: Sequence[str], pattern: re.Pattern[str]) -> bool:
    """Return whether all labels match, and some of them begin or continue a span."""
    found = [match for label in labels if (match := pattern.fullmatch(label))]
    prefixes = {PREFIXES[match["prefix"].upper()] for match in found}
    return len(found) == len(labels) and bool(prefixes & {"B", "I"})


def _parse(pattern: re.Pattern[str], label: str) -> str:
    match = pattern.fullmatch(label)
    # `_is_scheme` has checked every label.
    assert match is not None
    return f"{PREFIXES[match['prefix'].upper()]}-{match.groupdict().get('type', BARE_TYPE)}"


def _bioes(labels: Sequence[str], outside: set[str], tag_of: Callable[[str], str]) -> SpanRules:
    return SpanRules(
        scheme="bioes", tags=[OUTSIDE if label in outside else tag_of(label) for label in labels]
    )


def _refuse_mixed(labels: Sequence[str], outside: set[str], model: str) -> None:
    """Refuse labels of which some have a prefix or suffix and others have none.

    One tag such as B-PER is enough. Other spellings need both ends of one type, such as per-b and per-i:
    a single one, such as e-mail, is more likely a word.
    """
    if outside and {"B", "I"} < set(labels):
        raise UsageError(
            f"the tags of {model} mix two schemes",
            cause=f"B and I have no type, and the other tags are no prefixes: {_listed(labels)}",
            fix="rename B and I in id2label of its config.json to B-TYPE and I-TYPE, with their type",
        )
    for pattern in (_PREFIXED, _SUFFIXED):
        found = {label: match for label in labels if (match := pattern.fullmatch(label))}
        ends = {(PREFIXES[match["prefix"].upper()], match["type"]) for match in found.values()}
        paired = any(("B", kind) in ends and ("I", kind) in ends for _, kind in ends)
        others = [label for label in labels if label not in found]
        if others and (paired or any(_BIO.fullmatch(label) for label in found)):
            odd = others[0]
            whole, inside = (f"{c}-{odd}" if pattern is _PREFIXED else f"{odd}-{c}" for c in "SI")
            raise UsageError(
                f"the tags of {model} mix two schemes",
                cause=f"{len(found)} tags have a prefix or suffix, such as {min(found)}, and {len(others)} "
                f"have none: {_listed(others)}",
                fix=f"rename {odd} in id2label of its config.json: to {whole} if it marks a whole span, to "
                f"{inside} if it continues one, or to [{odd}] if it marks no span",
            )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_LABELS_IN_MESSAGE])
    return shown if len(names) <= MAX_LABELS_IN_MESSAGE else f"{shown}, …"
