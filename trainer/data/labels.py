"""The labels of a data set: names, order, and checks that a model can learn them."""

from collections.abc import Iterable, Sequence

from stream.bundle import Task
from stream.classify import as_number
from stream.errors import UsageError
from trainer.config import TagScheme
from trainer.data.cells import may_be_missing
from trainer.data.examples import Example
from trainer.data.tags import tag_order

MAX_LABELS_IN_MESSAGE = 5


def label_order(
    task: Task,
    examples: Sequence[Example],
    column: str,
    listed: Sequence[str],
    *,
    ordinal: bool = False,
    scheme: TagScheme | None = None,
) -> list[str]:
    """Return the labels that occur, in the order of the logits.

    Ordinal labels are ordered as numbers. Other labels are in the order in which columns, class names or
    `--label-names` list them; labels that are not listed follow in sorted order.

    Args:
        task: the task.
        examples: all examples.
        column: the label column, which names the number of a regression.
        listed: the listed labels, which need not all occur.
        ordinal: whether the labels are numbers whose order matters.
        scheme: for the task token, how tags are read.
    """
    if task == "regression":
        return [column]
    labels = {label for example in examples for label in example.labels}
    if scheme is not None:
        return tag_order(labels, scheme)
    if ordinal:
        names = sorted(labels)
        values = dict(zip(names, ordinal_values(names), strict=True))
        return sorted(names, key=lambda label: (values[label], label))
    return [*(name for name in listed if name in labels), *sorted(labels - set(listed))]


def unused_note(names: Sequence[str], used: Iterable[str]) -> list[str]:
    """Return a note on the listed names that no row has; many of them show a shifted list."""
    unused = sorted(set(names) - set(used))
    return [f"label names that no row has: {quoted(unused)}"] if unused else []


def ordinal_values(labels: Sequence[str]) -> list[float]:
    """Return the numeric values of labels such as "1" to "5", in the order of the labels.

    Raises:
        UsageError: a label is not a number.
    """
    values = [as_number(label) for label in labels]
    invalid = [label for label, value in zip(labels, values, strict=True) if value is None]
    if invalid:
        raise UsageError(
            f"{len(invalid)} labels are not numbers: {quoted(invalid)}",
            cause="ordinal labels are plain numbers, such as 1 to 5 stars, or 1.5",
            fix="leave these cells empty, so that their rows have no label"
            if all(map(may_be_missing, invalid))
            else "leave --ordinal out, write plain numbers, or check --label-column",
        )
    return [value for value in values if value is not None]


def quoted(labels: Sequence[str]) -> str:
    """Return the first labels in quotes, and the number of the others, for a message."""
    surplus = len(labels) - MAX_LABELS_IN_MESSAGE
    return ", ".join(map(repr, labels[:MAX_LABELS_IN_MESSAGE])) + (
        f" and {surplus} more" if surplus > 0 else ""
    )
