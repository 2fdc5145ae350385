"""How much of an evaluation the report shows."""

from dataclasses import dataclass, replace
from typing import Self

MAX_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The most rows and characters of the parts of a report.

    Attributes:
        labels: the labels in the tables with one row per label.
        mistakes: the mistakes.
        rows: the rows of every other table.
        curves: the cost curves that can be explored.
        text_chars: the characters of a text.
    """

    labels: int = 2000
    mistakes: int = 150
    rows: int = 400
    curves: int = 200
    text_chars: int = 600

    def halved(self) -> Self:
        """Return limits of half the size, for data whose report would be too large."""
        return replace(
            self,
            labels=max(1, self.labels // 2),
            mistakes=max(1, self.mistakes // 2),
            rows=max(1, self.rows // 2),
            curves=max(1, self.curves // 2),
            text_chars=max(40, self.text_chars // 2),
        )

    @property
    def smallest(self) -> bool:
        """Whether halving changes nothing that matters any more."""
        return self.rows == 1
