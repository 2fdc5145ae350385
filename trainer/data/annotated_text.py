"""A text whose words are known: the cell that annotated character spans are aligned to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """A text and the start and end of each of its words, in characters."""

    text: str
    words: tuple[tuple[int, int], ...]
