"""Altered copies of training texts: words left out, neighbours swapped, characters mistyped.

Word dropout and swaps are two of the operations of Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques
for Boosting Performance on Text Classification Tasks"; mistyped characters are the noise of Belinkov and Bisk
2018, "Synthetic and Natural Noise Both Break Neural Machine Translation".
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from stream.errors import UsageError
from trainer.data.examples import Example

Method = Literal["dropout", "swap", "noise"]
METHODS: tuple[Method, ...] = ("dropout", "swap", "noise")

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def augmented(
    examples: Sequence[Example],
    seed: int,
    *,
    methods: Sequence[Method] = METHODS,
    rate: float = 0.1,
    copies: int = 1,
) -> list[Example]:
    """The examples, then altered copies of them with the same targets and row numbers.

    Each copy is altered by one method, drawn for it. What is drawn depends on the seed, the row and the
    number of the copy alone, so that other rows may come and go. A text keeps at least one word; one of a
    single word is altered by noise only, and one that comes out unaltered is not copied. Both texts of a pair
    are altered.

    Args:
        examples: training rows; augmented validation or test rows would judge what nobody writes.
        seed: decides what is altered.
        methods: `dropout` leaves words out, `swap` changes places with the next word, `noise` drops, doubles,
            swaps or replaces a character in a word.
        rate: the share of words that are altered, at least one; over 0 to 1.
        copies: of each text.

    Raises:
        UsageError: for word tags, whose words must stay, or a rate out of its range.
    """
    if any(example.words for example in examples):
        raise UsageError(
            "texts with tagged words cannot be augmented",
            cause="words that are left out or swapped would lose their tags",
            fix="leave the augmentation out for --task token",
        )
    if not 0 < rate <= 1 or not methods:
        raise UsageError(
            f"augmentation at a rate of {rate:g} by {len(methods)} methods is not possible",
            cause="the rate is the share of words that are altered, over 0 to 1",
            fix="0.1 with all methods is usual",
        )
    found = list(examples)
    for copy in range(copies):
        for example in examples:
            rng = random.Random(f"{seed} {example.row} {copy}")
            change = CHANGES[rng.choice(list(methods))]
            text = change(example.text, rate, rng)
            pair = None if example.text_pair is None else change(example.text_pair, rate, rng)
            if (text, pair) != (example.text, example.text_pair):
                found.append(replace(example, text=text, text_pair=pair))
    return found


def _dropout(text: str, rate: float, rng: random.Random) -> str:
    words = text.split()
    if len(words) < 2:
        return text
    dropped = set(rng.sample(range(len(words)), min(len(words) - 1, _number(words, rate))))
    return " ".join(word for at, word in enumerate(words) if at not in dropped)


def _swap(text: str, rate: float, rng: random.Random) -> str:
    words = text.split()
    if len(words) < 2:
        return text
    for _ in range(_number(words, rate)):
        at = rng.randrange(len(words) - 1)
        words[at : at + 2] = words[at + 1], words[at]
    return " ".join(words)


def _noise(text: str, rate: float, rng: random.Random) -> str:
    # White space is kept as it stands: words are replaced in place.
    places = [match.span() for match in re.finditer(r"\S+", text)]
    chosen = rng.sample(places, min(len(places), _number(places, rate)))
    for start, end in sorted(chosen, reverse=True):
        text = text[:start] + _mistyped(text[start:end], rng) + text[end:]
    return text


def _mistyped(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word))
    letter = rng.choice(LETTERS)
    ways = [word[: at + 1] + word[at:], word[:at] + letter + word[at + 1 :]]
    if len(word) > 1:
        ways.append(word[:at] + word[at + 1 :])
        next_to = min(at, len(word) - 2)
        ways.append(word[:next_to] + word[next_to + 1] + word[next_to] + word[next_to + 2 :])
    return rng.choice(ways)


def _number(words: Sequence[object], rate: float) -> int:
    return max(1, round(rate * len(words)))


CHANGES: dict[Method, Callable[[str, float, random.Random], str]] = {
    "dropout": _dropout,
    "swap": _swap,
    "noise": _noise,
}
