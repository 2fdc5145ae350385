"""The number of new rows of each label."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream.errors import UsageError
from trainer.data.examples import Example


@dataclass(frozen=True, slots=True)
class Amount:
    """The requested number of rows; exactly one of the two is set.

    Attributes:
        rows_per_label: the number of new rows of each label.
        to_rows: the number of training rows of each label, new ones included.
        labels: the labels that get new rows; empty for all.
    """

    rows_per_label: int | None = None
    to_rows: int | None = None
    labels: tuple[str, ...] = ()


@dataclass(slots=True)
class Goal:
    """The rows that a label still needs.

    Attributes:
        label: the label.
        examples: the training rows of the label, from which the prompt takes its examples.
        missing: the number of rows that are still to be written.
        requested: the number of rows in requests without an answer so far.
        fruitless: the number of answers in a row without a new row.
    """

    label: str
    examples: list[Example]
    missing: int
    requested: int = 0
    fruitless: int = 0

    @property
    def open(self) -> int:
        """The number of rows that no request has asked for."""
        return self.missing - self.requested


def plan_goals(
    training: Sequence[Example], labels: Sequence[str], amount: Amount, existing: Mapping[str, int]
) -> list[Goal]:
    """Return a goal for each label that needs new rows, the label with the fewest training rows first.

    Args:
        training: the training rows.
        labels: all labels.
        amount: the requested number of rows.
        existing: the number of rows that earlier runs wrote, by label.

    Raises:
        UsageError: a requested label does not exist.
    """
    for name in amount.labels:
        if name not in labels:
            close = difflib.get_close_matches(name, labels, n=1)
            raise UsageError(
                f"--labels {name}: the data have no label {name!r}",
                cause=f"there are {len(labels)} labels, such as {labels[0]!r}",
                fix=f"did you mean {close[0]!r}?" if close else "name labels of the data in --labels",
            )
    counts = Counter(label for example in training for label in set(example.labels))
    goals = []
    for label in sorted(amount.labels or labels, key=lambda label: counts[label]):
        if amount.to_rows is not None:
            missing = amount.to_rows - counts[label] - existing.get(label, 0)
        else:
            missing = (amount.rows_per_label or 0) - existing.get(label, 0)
        rows = [example for example in training if label in example.labels]
        own = [example for example in rows if not example.extra]
        if missing > 0 and rows:
            goals.append(Goal(label, own or rows, missing))
    return goals
