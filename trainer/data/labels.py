"""The labels of a data set: names, order, tagging scheme, and checks that a model can learn them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stream.bundle import Task
from stream.classify import as_number
from stream.errors import UsageError
from trainer.data.examples import Data, Example
from trainer.data.files import open_text
from trainer.data.rows import LabelFormat

TagScheme = Literal["bio", "word"]
"""`bio`: tags mark spans; `word`: each word has a tag of its own, such as its part of speech."""

MIN_ROWS_PER_LABEL = 3
MAX_LABELS_IN_MESSAGE = 5

OUTSIDE = "O"
"""The tag of a word outside every span."""

BIO_PREFIXES = {"B": "B", "I": "I", "S": "B", "U": "B", "E": "I", "L": "I"}
"""The BIO prefix for each prefix of BIO, BIOES and BILOU."""


@dataclass(frozen=True, slots=True)
class NormalisedTags:
    """Examples whose span tags are valid BIO, and a note on each kind of correction."""

    examples: list[Example]
    notes: list[str]


def read_label_names(file: Path) -> list[str]:
    """Read the names of labels 0, 1, …, one per line.

    Raises:
        UsageError: the file cannot be read, two lines are equal, or a line is empty.
    """
    try:
        with open_text(file) as lines:
            names = [line.strip() for line in lines.read().rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"cannot read {file}", cause=str(exc), fix="name a text file with one label name per line"
        ) from None
    if len(set(names)) < len(names) or not all(names):
        raise UsageError(
            f"{file} names a label twice, or has an empty line",
            cause="line 1 is the name of label 0, line 2 of label 1, and so on",
            fix="correct the file, or name another in --label-names",
        )
    return names


def normalise_tags(examples: Sequence[Example]) -> NormalisedTags:
    """Convert span tags to BIO in which each span begins with B; other tags are not modified."""
    if tag_scheme(tag for example in examples for tag in example.labels) == "word":
        return NormalisedTags(list(examples), [])
    notes = []
    converted = [to_bio(example.labels) for example in examples]
    if any(tags != example.labels for tags, example in zip(converted, examples, strict=True)):
        notes.append("tags with the prefixes S, E, U and L (BIOES, BILOU) were converted to B and I")
    repaired = [repair_bio(tags) for tags in converted]
    pairs = list(zip(converted, repaired, strict=True))
    changed_tags = sum(old != new for tags in pairs for old, new in zip(*tags, strict=True))
    if changed_tags:
        changed_sentences = sum(old != new for old, new in pairs)
        notes.append(
            f"{changed_tags} tags I-X in {changed_sentences} sentences did not continue a span of X; "
            "they were read as B-X, as conlleval does"
        )
    return NormalisedTags(
        [replace(example, target=tags) for example, tags in zip(examples, repaired, strict=True)], notes
    )


def tag_scheme(tags: Iterable[str]) -> TagScheme:
    """Return `bio` if each tag is O or has a BIO, BIOES or BILOU prefix such as B-X, else `word`."""
    distinct = set(tags) - {OUTSIDE}
    spans = all(tag[1:2] == "-" and tag[0] in BIO_PREFIXES and len(tag) > 2 for tag in distinct)
    return "bio" if distinct and spans else "word"


def to_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """Convert BIOES or BILOU tags to BIO; BIO tags are not modified."""
    return tuple(tag if tag == OUTSIDE else BIO_PREFIXES[tag[0]] + tag[1:] for tag in tags)


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


def label_order(
    task: Task, examples: Sequence[Example], label_format: LabelFormat, *, ordinal: bool = False
) -> list[str]:
    """Return the labels that occur, in the order of the logits.

    Ordinal labels are ordered as numbers. Other labels are in the order of the label columns or of the list
    of class names; labels that neither contains follow in sorted order.
    """
    if task == "regression":
        return [label_format.column]
    labels = {label for example in examples for label in example.labels}
    if task == "token":
        return tag_order(labels, tag_scheme(labels))
    if ordinal:
        names = sorted(labels)
        values = dict(zip(names, ordinal_values(names), strict=True))
        return sorted(names, key=lambda label: (values[label], label))
    listed = label_format.columns or label_format.class_names or ()
    return [*(name for name in listed if name in labels), *sorted(labels - set(listed))]


def ordinal_values(labels: Sequence[str]) -> list[float]:
    """Return the numeric values of labels such as "1" to "5", in the order of the labels.

    Raises:
        UsageError: a label is not a number.
    """
    values = [as_number(label) for label in labels]
    invalid = [label for label, value in zip(labels, values, strict=True) if value is None]
    if invalid:
        raise UsageError(
            f"{len(invalid)} labels are not numbers: {_quoted(invalid)}",
            cause="ordinal labels are numbers, such as 1 to 5 stars",
            fix="leave --ordinal out, or check --label-column",
        )
    return [value for value in values if value is not None]


def check_labels(data: Data) -> None:
    """Refuse data that a model cannot learn from.

    Raises:
        UsageError: there are too few labels or distinct numbers, a label has too few rows, or a label occurs
            only in extra rows.
    """
    own = [example for example in data.examples if not example.extra]
    given_splits = {example.split for example in own} - {None, "train"}
    distinct = {example.target for example in own} if data.task == "regression" else set(data.labels)
    minimum = 1 if data.task == "multi-label" else 2
    if not own or len(distinct) < minimum:
        unit = "distinct number(s)" if data.task == "regression" else "label(s)"
        raise UsageError(
            f"column {data.columns.label!r} has {len(distinct)} {unit} in {len(own)} usable rows",
            cause=f"the minimum is {minimum}; {len(data.no_text)} rows have no text and "
            f"{len(data.no_label)} no label",
            fix="check --label-column, or add rows with another label",
        )
    known = {label for example in own for label in example.labels}
    unknown = sorted({label for example in data.examples for label in example.labels} - known)
    if unknown:
        raise UsageError(
            f"labels that occur only in --extra-train: {_quoted(unknown)}",
            cause="extra rows are used for training only, so these labels could not be evaluated",
            fix="rename these labels, or add rows with them to the data",
        )
    if data.task in ("single-label", "pair") and not given_splits:
        _check_rows_per_label(data.labels, own)


def _check_rows_per_label(labels: Sequence[str], examples: Sequence[Example]) -> None:
    counts = dict.fromkeys(labels, 0)
    for example in examples:
        for label in example.labels:
            counts[label] += 1
    rare = [f"{label!r} ({count})" for label, count in counts.items() if count < MIN_ROWS_PER_LABEL]
    if rare:
        surplus = len(rare) - MAX_LABELS_IN_MESSAGE
        more = f" and {surplus} more" if surplus > 0 else ""
        raise UsageError(
            f"too few rows for: {', '.join(rare[:MAX_LABELS_IN_MESSAGE])}{more}",
            cause=f"each label needs {MIN_ROWS_PER_LABEL} rows, one in each of train, validation and test",
            fix="add rows, merge these labels into others, or check --label-column",
        )


def _quoted(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels[:MAX_LABELS_IN_MESSAGE]))
