"""The labels of the data as a whole: their names, their order, and whether they can be learnt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stream.bundle import Task
from stream.errors import UsageError
from trainer.data.bio import in_bio, repaired, scheme_of, tag_order
from trainer.data.columns import Columns
from trainer.data.examples import Data, Example
from trainer.data.files import open_text
from trainer.data.targets import LabelRules, ordinal_values

MIN_ROWS_PER_LABEL = 3


@dataclass(frozen=True, slots=True)
class CheckedTags:
    """Examples whose span tags are sound BIO, and what was changed for that."""

    examples: list[Example]
    notes: list[str]


def read_names(file: Path) -> list[str]:
    """The names of labels 0, 1, …, a line each.

    Raises:
        UsageError: the file cannot be read, two lines are equal, or one is empty.
    """
    try:
        with open_text(file) as lines:
            names = [line.strip() for line in lines.read().rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"cannot read {file}", cause=str(exc), fix="name a text file, a label's name per line"
        ) from None
    if len(set(names)) < len(names) or not all(names):
        raise UsageError(
            f"{file} names a label twice, or has an empty line",
            cause="line 1 is the name of label 0, line 2 of label 1, and so on",
            fix="mend the file, or name another in --label-names",
        )
    return names


def with_checked_tags(examples: Sequence[Example]) -> CheckedTags:
    """Span tags in BIO, each span begun with B; tags that mark no spans as they are."""
    if scheme_of(tag for example in examples for tag in example.names) == "word":
        return CheckedTags(list(examples), [])
    notes = []
    plain = [in_bio(example.names) for example in examples]
    if any(tags != example.names for tags, example in zip(plain, examples, strict=True)):
        notes.append("tags of the kinds S, E, U and L (BIOES, BILOU) were read as B and I")
    mended = [repaired(tags) for tags in plain]
    wrong = sum(a != b for old, new in zip(plain, mended, strict=True) for a, b in zip(old, new, strict=True))
    if wrong:
        sentences = sum(old != new for old, new in zip(plain, mended, strict=True))
        notes.append(
            f"{wrong} tags I-X in {sentences} sentences did not continue a span of X; read as B-X, "
            "as conlleval does"
        )
    return CheckedTags(
        [replace(example, target=tags) for example, tags in zip(examples, mended, strict=True)], notes
    )


def label_order(
    task: Task, examples: Sequence[Example], columns: Columns, rules: LabelRules, *, ordinal: bool = False
) -> list[str]:
    """The labels that occur: as their columns or their list of names have them, by number, or sorted."""
    if task == "regression":
        return [columns.label]
    occurring = {name for example in examples for name in example.names}
    if task == "token":
        return tag_order(occurring, scheme_of(occurring))
    if ordinal:
        known = sorted(occurring)
        values = dict(zip(known, ordinal_values(known), strict=True))
        return sorted(known, key=lambda label: (values[label], label))
    listed = rules.columns or rules.names or ()
    return [*(name for name in listed if name in occurring), *sorted(occurring - set(listed))]


def check_labels(data: Data) -> None:
    """Refuse data that nothing can be learnt from.

    Raises:
        UsageError: too few labels or values, too few rows of a label, or extra rows with labels of their own.
    """
    own = [example for example in data.examples if not example.extra]
    given = {example.split for example in own} - {None, "train"}
    kinds = {example.target for example in own} if data.task == "regression" else set(data.labels)
    least = 1 if data.task == "multi-label" else 2
    if not own or len(kinds) < least:
        what = "different number(s)" if data.task == "regression" else "label(s)"
        raise UsageError(
            f"column {data.columns.label!r} has {len(kinds)} {what} in {len(own)} usable rows",
            cause=f"{least} is the least; {len(data.no_text)} rows have no text, "
            f"{len(data.no_label)} no label",
            fix="check --label-column, or add rows of another label",
        )
    known = {name for example in own for name in example.names}
    strange = sorted({name for example in data.examples for name in example.names} - known)
    if strange:
        raise UsageError(
            f"only the rows of --extra-train have: {', '.join(map(repr, strange[:5]))}",
            cause="a label that no other row has can be neither chosen by nor judged",
            fix="rename those labels, or add rows of them to the data itself",
        )
    if data.task in ("single-label", "pair") and not given:
        _check_rare(own, data.labels)


def _check_rare(own: Sequence[Example], labels: Sequence[str]) -> None:
    counts = dict.fromkeys(labels, 0)
    for example in own:
        for name in example.names:
            counts[name] += 1
    rare = [f"{label!r} ({count})" for label, count in counts.items() if count < MIN_ROWS_PER_LABEL]
    if rare:
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        raise UsageError(
            f"too few rows for: {', '.join(rare[:5])}{more}",
            cause=f"each label needs {MIN_ROWS_PER_LABEL} rows, one each to train, to validate and to test",
            fix="add rows, merge those labels into others, or check --label-column",
        )
