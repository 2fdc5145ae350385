"""Lines of a text. Only line feeds and carriage returns end lines: other separators may be part of a text."""

from collections.abc import Iterable, Iterator


def split_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text with their ends.

    Lines end with a line feed, which may follow a carriage return. In a text without line feeds, carriage
    returns end lines.
    """
    pending: list[str] = []
    end = ""
    for chunk in chunks:
        if not end:
            end = _line_end(chunk)
        if not end or end not in chunk:
            pending.append(chunk)
            continue
        *lines, rest = f"{''.join(pending)}{chunk}".split(end)
        pending = [rest]
        yield from (line + end for line in lines)
    rest = "".join(pending)
    if not end and "\r" in rest:
        *lines, rest = rest.split("\r")
        yield from (line + "\r" for line in lines)
    if rest:
        yield rest


def _line_end(chunk: str) -> str:
    if "\n" in chunk:
        return "\n"
    # A carriage return at the end of a chunk may belong to a line feed in the next one.
    return "\r" if "\r" in chunk[:-1] else ""


def without_end(line: str) -> str:
    """Return a line without its end."""
    return line.removesuffix("\n").removesuffix("\r")
