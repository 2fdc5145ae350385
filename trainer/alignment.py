"""Word labels to sub-words and back, by the character offsets that the tokenizer reports."""

from collections.abc import Mapping, Sequence

from trainer.losses import IGNORED
from trainer.recipe import Subwords

Offset = tuple[int, int]


def words_of_tokens(offsets: Sequence[Offset], words: Sequence[Offset]) -> list[int | None]:
    """The word that each token is a part of; None for special tokens and for what lies between words.

    Args:
        offsets: character start and end of each token in the text, as tokenizers report them; both alike for
            a special token.
        words: character start and end of each word, in the text's order, not overlapping.
    """
    found: list[int | None] = []
    at = 0
    for start, end in offsets:
        if start == end:
            found.append(None)
            continue
        # A window may start anywhere, but within it tokens come in the text's order.
        while at < len(words) and words[at][1] <= start:
            at += 1
        found.append(at if at < len(words) and words[at][0] < end else None)
    return found


def first_tokens(offsets: Sequence[Offset], words: Sequence[Offset]) -> dict[int, int]:
    """The token that each word begins with, by word; a word that is cut off, or has no token, is missing.

    A window that starts in the middle of a word does not begin it.
    """
    found: dict[int, int] = {}
    for token, word in enumerate(words_of_tokens(offsets, words)):
        if word is None or word in found:
            continue
        inside = offsets[token][0] > words[word][0]
        begins_window = all(start == end for start, end in offsets[:token]) if inside else False
        if not begins_window:
            found[word] = token
    return found


def align(
    offsets: Sequence[Offset],
    words: Sequence[Offset],
    targets: Sequence[int],
    *,
    inside: Mapping[int, int],
    subwords: Subwords,
) -> list[int]:
    """A target for each token.

    Args:
        offsets: of the tokens, special ones included.
        words: of the words.
        targets: the label number of each word.
        inside: what a word's further sub-words bear in place of its own label: the number of I-X for B-X, and
            itself for every other.
        subwords: `first` labels the first sub-word of a word alone; `all` the others too, by `inside`.

    Returns:
        One number a token: a label's, or -100 for a token without a say.
    """
    first = first_tokens(offsets, words)
    found = [IGNORED] * len(offsets)
    for token, word in enumerate(words_of_tokens(offsets, words)):
        if word is None:
            continue
        if first.get(word) == token:
            found[token] = targets[word]
        elif subwords == "all":
            found[token] = inside[targets[word]]
    return found


def inside_of(tags: Sequence[str]) -> dict[int, int]:
    """For each tag's number the one of its I-X, where the tag is a B-X and there is such an I-X."""
    number = {tag: at for at, tag in enumerate(tags)}
    return {
        at: number.get(f"I-{tag[2:]}", at) if tag.startswith("B-") else at for at, tag in enumerate(tags)
    }
