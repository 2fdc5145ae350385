"""Names cut to a width for tables, so that two different names never look alike."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

ELLIPSIS = "…"
MIN_HEAD_CELLS = 3


def shorten_names(names: Iterable[str], width: int) -> dict[str, str]:
    """Return each name as a text of at most `width` terminal cells; different names have different texts.

    A name that fits is kept. A longer one loses its middle. If that leaves two names equal, the part in which
    they differ replaces the end, and if they are still equal, the position of the name. Only a width that is
    too small for the positions is exceeded. Characters that are not printable are replaced.

    Args:
        names: the names, such as labels; a repeated name has one text.
        width: the number of terminal cells, at least 1; a wide character has two.
    """
    unique = list(dict.fromkeys(names))
    found: dict[str, str] = {}
    taken: set[str] = set()
    pending = unique
    for cut in (_whole, _middle, _difference):
        groups: dict[str, list[str]] = defaultdict(list)
        for name, text in zip(pending, cut(pending, width), strict=True):
            groups[text].append(name)
        for text, group in groups.items():
            if len(group) == 1 and text not in taken and cell_len(text) <= width:
                found[group[0]] = text
                taken.add(text)
        pending = [name for name in pending if name not in found]
    for position, name in enumerate(unique, 1):
        if name not in found:
            found[name] = _numbered(name, position, len(unique), width, taken)
            taken.add(found[name])
    return {name: found[name] for name in unique}


def printable(text: str) -> str:
    """Replace the characters of a text that are not printable.

    Texts, ids and messages come from events; an escape sequence in them must not reach the terminal.
    """
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _whole(names: Sequence[str], _width: int) -> list[str]:
    return list(map(printable, names))


def _middle(names: Sequence[str], width: int) -> list[str]:
    """Return the beginning and the end of each name."""
    head = width // 2
    texts = map(printable, names)
    return [f"{_start(text, head)}{ELLIPSIS}{_end(text, width - head - 1)}" for text in texts]


def _difference(names: Sequence[str], width: int) -> list[str]:
    """Return the beginning of each name, and its text from where names with equal ends begin to differ."""
    texts = list(map(printable, names))
    alike: dict[str, list[str]] = defaultdict(list)
    for text, middle in zip(texts, _middle(texts, width), strict=True):
        alike[middle].append(text)
    common = {text: _common_start(group) for group in alike.values() for text in group}
    head = min(MIN_HEAD_CELLS, width // 4)
    return [_from(text, common[text], head, width) for text in texts]


def _common_start(texts: Sequence[str]) -> int:
    """Return the number of characters that all texts begin with."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(last)))


def _from(text: str, common: int, head: int, width: int) -> str:
    start = _start(text, head)
    rest = text[max(len(start), common) :]
    if cell_len(rest) > width - head - 1:
        rest = _start(rest, width - head - 2) + ELLIPSIS
    return f"{start}{ELLIPSIS}{rest}"


def _numbered(name: str, position: int, count: int, width: int, taken: set[str]) -> str:
    while True:
        end = f"{ELLIPSIS}{position}"
        text = _start(printable(name), width - cell_len(end)) + end
        if text not in taken:
            return text
        position += count


def _start(text: str, cells: int) -> str:
    """Return the longest beginning of a text that has at most this many cells."""
    used = 0
    for at, character in enumerate(text):
        used += cell_len(character)
        if used > cells:
            return text[:at]
    return text


def _end(text: str, cells: int) -> str:
    return _start(text[::-1], cells)[::-1]
