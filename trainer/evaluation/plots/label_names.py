"""Label names that fit into a figure and stay distinct."""

from collections import Counter
from collections.abc import Sequence

from stream.short_names import printable, shorten_names

MIN_CHARS = 8


def shorten_labels(labels: Sequence[str], max_chars: int) -> list[str]:
    """Return a text of one line for each label, so that different labels get different texts.

    Labels that differ only in white space, which a figure does not show, get their number, from 1.

    Args:
        labels: distinct labels, of any length and with any characters.
        max_chars: the most cells of a text, at least 8; a number at its end may exceed it.
    """
    lines = [printable(" ".join(label.split())) or "(empty)" for label in labels]
    counts = Counter(lines)
    taken = set(lines)
    for at, line in enumerate(lines):
        if counts[line] > 1:
            lines[at] = _numbered(line, at + 1, taken)
    texts = shorten_names(lines, max(MIN_CHARS, max_chars))
    return [texts[line] for line in lines]


def _numbered(line: str, number: int, taken: set[str]) -> str:
    text = f"{line} #{number}"
    while text in taken:
        text += "'"
    taken.add(text)
    return text
