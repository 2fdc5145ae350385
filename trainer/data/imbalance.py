"""Balance classes of unequal size: class weights, and resampling and augmentation of training rows.

Augmentation adds altered copies of texts. Word dropout and swaps are two of the operations of Wei and Zou
2019, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification Tasks"; mistyped
characters are the noise of Belinkov and Bisk 2018, "Synthetic and Natural Noise Both Break Neural Machine
Translation".
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stream.bundle import HeadKind
from stream.errors import UsageError
from trainer.config import Augmentation, Imbalance, Sampling, WeightFormula
from trainer.data.examples import Example
from trainer.data.tag_spelling import OUTSIDE

BETA = 0.9999
"""The hyper-parameter of `effective`: at 0 all labels weigh the same; towards 1 it approaches `inverse`."""

ALTERED_SHARE = 0.1
"""The share of the words of a text that augmentation alters; at least one word is."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def balance(examples: Sequence[Example], imbalance: Imbalance, seed: int) -> list[Example]:
    """Resample and augment the training examples."""
    balanced = list(examples)
    if imbalance.sampling is not None:
        balanced = [balanced[index] for index in resample(balanced, imbalance.sampling, seed)]
    if imbalance.augment:
        balanced = augment_examples(balanced, seed, imbalance.augment)
    return balanced


def loss_weights(
    examples: Sequence[Example], labels: Sequence[str], head: HeadKind, imbalance: Imbalance
) -> list[float] | None:
    """Return the weight of each label in the loss, computed from the balanced examples, or None."""
    if imbalance.class_weights is None:
        return None
    occurrences = Counter(label for example in examples for label in example.labels)
    counts = {label: occurrences[label] for label in labels}
    weights = (
        positive_weights(counts, len(examples), imbalance.class_weights)
        if head == "multi-label"
        else class_weights(counts, imbalance.class_weights)
    )
    return [weights[label] for label in labels]


def balance_metrics(
    before: int, after: int, labels: Sequence[str], weights: Sequence[float] | None, imbalance: Imbalance
) -> dict[str, Any]:
    """Return the settings, the weights and the row counts as a JSON-ready dictionary."""
    return {
        "class_weights": imbalance.class_weights,
        "weights": None if weights is None else dict(zip(labels, weights, strict=True)),
        "sampling": imbalance.sampling,
        "augment": list(imbalance.augment),
        "rows_before": before,
        "rows_after": after,
    }


def class_weights(counts: Mapping[str, int], formula: WeightFormula) -> dict[str, float]:
    """Return a weight for each label; rarer labels have larger weights, and the mean weight is 1.

    With 9,000, 800 and 200 rows, `inverse` gives 0.05, 0.59 and 2.36, `sqrt_inverse` 0.27, 0.91 and 1.82.
    `effective` is the inverse of the effective number of rows, (1 − beta^n) / (1 − beta), of Cui et al. 2019,
    "Class-Balanced Loss Based on Effective Number of Samples".

    Args:
        counts: the number of rows of each label.
        formula: the formula of a weight from a number of rows.

    Returns:
        The weights in the order of `counts`. A label without rows has the weight 1 and is not part of the
        mean.

    Raises:
        UsageError: no label has rows.
    """
    sizes = {label: _size(count, formula) for label, count in counts.items() if count > 0}
    if not sizes:
        raise UsageError("no class weights", cause="there are no labelled rows", fix="check the data")
    mean = sum(1 / size for size in sizes.values()) / len(sizes)
    return {label: 1 / sizes[label] / mean if label in sizes else 1.0 for label in counts}


def positive_weights(counts: Mapping[str, int], rows: int, formula: WeightFormula) -> dict[str, float]:
    """Return for each label of a multi-label task the weight of rows with the label against rows without it.

    This is the `pos_weight` of PyTorch's BCEWithLogitsLoss: with `inverse` the rows without the label divided
    by the rows with it, with `sqrt_inverse` the square root of that, with `effective` the ratio of the
    effective numbers. A label that no row or every row has gets the weight 1.

    Args:
        counts: the number of rows with each label.
        rows: the number of all rows.
        formula: the formula of a weight from a number of rows.
    """
    return {
        label: _size(rows - count, formula) / _size(count, formula) if 0 < count < rows else 1.0
        for label, count in counts.items()
    }


def resample(examples: Sequence[Example], sampling: Sampling, seed: int) -> list[int]:
    """Return the indices of the training examples to use, so that all classes have the same size.

    An example with several labels or tags belongs to the class of the rarest one.

    Args:
        examples: the training examples.
        sampling: `over` repeats examples of small classes, each about equally often; `under` drops random
            examples of large classes.
        seed: the seed that decides which examples are repeated or dropped.

    Returns:
        Indices into `examples`: sorted for `under`; for `over` all indices, then the repetitions.

    Raises:
        UsageError: the targets are numbers.
    """
    rng = random.Random(seed)
    members: dict[str, list[int]] = {}
    for index, name in enumerate(_classes(examples)):
        members.setdefault(name, []).append(index)
    sizes = [len(indices) for indices in members.values()]
    if sampling == "under":
        kept = [rng.sample(indices, min(sizes)) for indices in members.values()]
        return sorted(index for indices in kept for index in indices)
    repeated: list[int] = []
    for indices in members.values():
        missing = max(sizes) - len(indices)
        repeated += indices * (missing // len(indices)) + rng.sample(indices, missing % len(indices))
    return [*range(len(examples)), *repeated]


def _size(count: int, formula: WeightFormula) -> float:
    """Return the size of a class of `count` rows; its weight is inversely proportional to this size."""
    if formula == "inverse":
        return float(count)
    if formula == "sqrt_inverse":
        return float(count**0.5)
    return float((1 - BETA**count) / (1 - BETA))


def _classes(examples: Sequence[Example]) -> list[str]:
    """Return the class of each example: the rarest of its labels, or of its tags but O; "" if it has none."""
    if any(isinstance(example.target, float) for example in examples):
        raise UsageError(
            "a regression has no classes to balance",
            cause="its targets are numbers",
            fix="leave class weights and resampling out, or train on the numbers as ordinal classes",
        )
    labels = [
        {label for label in example.labels if not (example.word_spans and label == OUTSIDE)}
        for example in examples
    ]
    counts = Counter(label for row in labels for label in row)
    return [min(row, key=lambda label: (counts[label], label), default="") for row in labels]


def augment_examples(
    examples: Sequence[Example], seed: int, methods: Sequence[Augmentation]
) -> list[Example]:
    """Return the examples, followed by an altered copy of each with the same target and row number.

    A randomly chosen method alters both texts of an example. The random choices depend on the seed and the
    row alone, so other rows do not change them. A text keeps at least one word: a single word is altered only
    by `noise`. A text that is not altered is not copied.

    Args:
        examples: the training examples; augmented validation or test texts would distort the metrics.
        seed: the seed of the random choices.
        methods: the methods to choose from: `dropout` drops words, `swap` swaps a word with the next one, and
            `noise` drops, repeats, swaps or replaces a character in a word.

    Raises:
        UsageError: the examples have tagged words, which must not be dropped or moved.
    """
    if any(example.word_spans for example in examples):
        raise UsageError(
            "texts with tagged words cannot be augmented",
            cause="dropped or swapped words would lose their tags",
            fix="leave the augmentation out for --task token",
        )
    copies = []
    for example in examples:
        # The suffix keeps the copies that earlier versions made from the same seed.
        rng = random.Random(f"{seed} {example.row} 0")
        alter = AUGMENTERS[rng.choice(list(methods))]
        text = alter(example.text, rng)
        pair = None if example.text_pair is None else alter(example.text_pair, rng)
        if (text, pair) != (example.text, example.text_pair):
            copies.append(replace(example, text=text, text_pair=pair))
    return [*examples, *copies]


def _drop_words(text: str, rng: random.Random) -> str:
    words = text.split()
    if len(words) < 2:
        return text
    dropped = set(rng.sample(range(len(words)), _altered_count(len(words))))
    return " ".join(word for index, word in enumerate(words) if index not in dropped)


def _swap_words(text: str, rng: random.Random) -> str:
    words = text.split()
    if len(words) < 2:
        return text
    for _ in range(_altered_count(len(words))):
        index = rng.randrange(len(words) - 1)
        words[index : index + 2] = words[index + 1], words[index]
    return " ".join(words)


def _add_noise(text: str, rng: random.Random) -> str:
    # Words are replaced in place, which keeps the white space between them.
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    chosen = rng.sample(spans, min(len(spans), _altered_count(len(spans))))
    for start, end in sorted(chosen, reverse=True):
        text = text[:start] + _mistype(text[start:end], rng) + text[end:]
    return text


def _mistype(word: str, rng: random.Random) -> str:
    index = rng.randrange(len(word))
    letter = rng.choice(LETTERS)
    variants = [word[: index + 1] + word[index:], word[:index] + letter + word[index + 1 :]]
    if len(word) > 1:
        variants.append(word[:index] + word[index + 1 :])
        first = min(index, len(word) - 2)
        variants.append(word[:first] + word[first + 1] + word[first] + word[first + 2 :])
    return rng.choice(variants)


def _altered_count(words: int) -> int:
    return max(1, round(ALTERED_SHARE * words))


AUGMENTERS: dict[Augmentation, Callable[[str, random.Random], str]] = {
    "dropout": _drop_words,
    "swap": _swap_words,
    "noise": _add_noise,
}
