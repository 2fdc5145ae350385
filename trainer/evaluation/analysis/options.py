"""The model and the settings of an error analysis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream.classify import TextInput
from trainer.evaluation.analysis.costs import Costs
from trainer.evaluation.evaluated_rows import EvaluatedRows

Vectors = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]
Word = tuple[int, int]
"""The start and the end of a word, in characters."""

Stage = Callable[[str, int], Callable[[int], None]]
"""A function from the name and the size of a step to a callback that receives finished units."""


class AnalysisModel(Protocol):
    """The PyTorch model of the evaluated bundle; `trainer.model.vectors.InMemoryModel` implements it."""

    def vectors(self, inputs: Sequence[TextInput]) -> Vectors:
        """Return the L2-normalised mean of the last hidden states of the encoder, float32 [rows, hidden]."""

    def probabilities(self, inputs: Sequence[TextInput]) -> Probabilities:
        """Return calibrated probabilities [rows, labels], or the number [rows, 1] of a regression."""

    def word_probabilities(
        self, inputs: Sequence[TextInput], words: Sequence[Sequence[Word]]
    ) -> list[Probabilities]:
        """Return the tag probabilities of words, float64 [words, labels] of each row; NaN if truncated."""

    def token_counts(self, inputs: Sequence[TextInput]) -> list[int]:
        """Return the number of tokens of each row without truncation."""


def no_progress(_name: str, _total: int) -> Callable[[int], None]:
    """Return a callback that ignores progress."""
    return lambda _: None


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """The settings of an error analysis.

    Attributes:
        max_mistakes: the number of mistakes whose words are measured, the most confident first.
        max_words: the number of words measured per mistake, from the start of the text.
        max_neighbours: the number of nearest training rows per mistake.
        max_training_rows: the number of training rows that are searched for neighbours; of more rows a random
            sample is searched.
        min_slice_rows: the smallest size of a slice.
        costs: the costs of wrong decisions; None for equal costs.
        seed: the seed of the bootstrap and of samples.
        split: the split of evaluated rows that name none: train, validation, test, or data.
        out_of_fold: rows of a cross-validation with the answers of models that were not trained on them; the
            search for label errors includes them.
        stage: opens a progress bar.
    """

    max_mistakes: int = 50
    max_words: int = 100
    max_neighbours: int = 3
    max_training_rows: int = 50_000
    min_slice_rows: int = 20
    costs: Costs | None = None
    seed: int = 0
    split: str = "data"
    out_of_fold: EvaluatedRows | None = None
    stage: Stage = field(default=no_progress)
