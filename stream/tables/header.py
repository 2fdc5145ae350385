"""Names of columns that are probably a row of data, since the file has no header."""

import re
from collections.abc import Sequence

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
MIN_WORDS_OF_TEXT = 4


def no_header_fix(names: Sequence[str]) -> str:
    """Return the flags that read a file without a header, or nothing if the names are probably names.

    Args:
        names: the names of the columns, as the first line of the file has them.
    """
    if not any(map(_is_data, names)) or list(names) == [str(at) for at in range(1, len(names) + 1)]:
        return ""
    text = max(range(len(names)), key=lambda at: len(names[at].split()))
    label = f" --label-column {2 - text}" if len(names) == 2 else ""
    return f"--no-header --text-column {text + 1}{label}"


def _is_data(name: str) -> bool:
    return NUMBER.fullmatch(name.strip()) is not None or len(name.split()) >= MIN_WORDS_OF_TEXT
