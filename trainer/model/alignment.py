"""Labels of words to the pieces of text that a model tags, and those to its tokens."""

from collections.abc import Mapping, Sequence

from stream.classify.heads.spans import Piece
from trainer.model.losses import IGNORED

Word = tuple[int, int]
"""Character start and end."""


def words_of_pieces(pieces: Sequence[Piece], words: Sequence[Word]) -> list[int | None]:
    """The word that each piece is a part of; None for what lies between words.

    Args:
        pieces: in the text's order.
        words: in the text's order, none over another.
    """
    found: list[int | None] = []
    at = 0
    for piece in pieces:
        while at < len(words) and words[at][1] <= piece.start:
            at += 1
        found.append(at if at < len(words) and words[at][0] < piece.end else None)
    return found


def first_pieces(pieces: Sequence[Piece], words: Sequence[Word]) -> dict[int, int]:
    """The place of the piece that each word begins with, by word.

    Missing are words that are cut off or have no piece, and the word in whose middle a window begins.
    """
    found: dict[int, int] = {}
    for at, word in enumerate(words_of_pieces(pieces, words)):
        if word is not None and word not in found and (at or pieces[at].start <= words[word][0]):
            found[word] = at
    return found


def piece_targets(
    pieces: Sequence[Piece], words: Sequence[Word], targets: Sequence[int], inside: Mapping[int, int]
) -> list[int]:
    """The label number of each piece, -100 for one between words.

    A word's first piece bears the word's label. Its others, as where the tokenizer parts at a hyphen and the
    data does not, bear what goes on with it.

    Args:
        pieces: what the worker tags of the text.
        words: what the data tags.
        targets: the label number of each word.
        inside: the number that goes on with each: of I-X for B-X.
    """
    first = first_pieces(pieces, words)
    return [
        IGNORED if word is None else targets[word] if first.get(word) == at else inside[targets[word]]
        for at, word in enumerate(words_of_pieces(pieces, words))
    ]


def token_targets(pieces: Sequence[Piece], targets: Sequence[int], tokens: int) -> list[int]:
    """A target for each of so many tokens: its piece's for a piece's first token, -100 for all others."""
    found = [IGNORED] * tokens
    for piece, target in zip(pieces, targets, strict=True):
        found[piece.at] = target
    return found


def inside_of(tags: Sequence[str]) -> dict[int, int]:
    """For each tag's number what goes on with it: that of I-X for B-X where there is one, else itself."""
    number = {tag: at for at, tag in enumerate(tags)}
    return {at: number.get(f"I-{tag[2:]}", at) if tag.startswith("B-") else at for at, tag in enumerate(tags)}
