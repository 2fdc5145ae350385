"""The check that a generated row is new: no duplicate of a row of the data or of another generated row."""

from collections import Counter
from collections.abc import Iterable

from trainer.augment.answers import NewRow
from trainer.data.duplicates import DuplicateIndex
from trainer.data.examples import Example, Splits

HELD_OUT = "validation or test"
TRAINING = "training"
GENERATED = "generated"


class Novelty:
    """Refuses generated rows that equal another row or nearly do, and counts them in `refused`."""

    def __init__(self, splits: Splits, generated: Iterable[NewRow]) -> None:
        """
        Args:
            splits: the data.
            generated: the rows of earlier runs.
        """
        # A row that leaks a held-out row counts as such even if a training row is similar too.
        self._indexes = {
            HELD_OUT: DuplicateIndex(e.normalised_text for e in (*splits.validation, *splits.test)),
            TRAINING: DuplicateIndex(e.normalised_text for e in splits.train),
            GENERATED: DuplicateIndex(map(_normalised, generated)),
        }
        self.refused: Counter[str] = Counter()

    def accept(self, row: NewRow) -> bool:
        """Return whether a row is new; a new row is remembered."""
        text = _normalised(row)
        for origin, index in self._indexes.items():
            if index.find(text) is not None:
                self.refused[origin] += 1
                return False
        self._indexes[GENERATED].add([text])
        return True


def _normalised(row: NewRow) -> str:
    return Example(0, row.text, "", text_pair=row.text_pair).normalised_text
