"""Augment training texts with altered copies: words dropped, neighbouring words swapped, characters mistyped.

Word dropout and swaps are two of the operations of Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques
for Boosting Performance on Text Classification Tasks"; mistyped characters are the noise of Belinkov and Bisk
2018, "Synthetic and Natural Noise Both Break Neural Machine Translation".
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from stream.errors import UsageError
from trainer.config import Method
from trainer.data.examples import Example

RATE = 0.1
"""The share of the words of a text that are altered; at least one word is."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def augment_examples(examples: Sequence[Example], seed: int, methods: Sequence[Method]) -> list[Example]:
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
    return max(1, round(RATE * words))


AUGMENTERS: dict[Method, Callable[[str, random.Random], str]] = {
    "dropout": _drop_words,
    "swap": _swap_words,
    "noise": _add_noise,
}
