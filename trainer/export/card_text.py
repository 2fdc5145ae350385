"""Text of a user, such as a label or a file name, as Markdown that shows it unchanged."""

import re

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def plain(text: str) -> str:
    """Return a text in which no character is markup."""
    return SPECIAL.sub(r"\\\1", text)


def code(text: str) -> str:
    """Return a text as inline code, in a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def listed(names: list[str], most: int) -> str:
    """Return names as inline code, at most `most` of them."""
    more = len(names) - most
    return ", ".join(map(code, names[:most])) + (f" and {more} more" if more > 0 else "")
