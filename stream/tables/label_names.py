"""The file of `--label-names`: one name per line, a JSON list of names, or a JSON object of ids and names."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream.errors import UsageError
from stream.tables.text import read_text

LINE_END = re.compile(r"\r\n|\r|\n")
"""The line ends of text files; `str.splitlines` also splits at characters that a name may contain."""

SHOWN_CHARS = 40

HEADERS = re.compile(
    r"(?:id|index|labels?|names?|class(?:es)?|categor(?:y|ies)|intents?|tags?|targets?|texts?|topics?|sentiments?|emotions?)"
    r"|(?:label|class|category|intent|tag)[ _-]?(?:names?|ids?)|names:",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[\[(]?(?P<id>\d+)(?P<gap>\s*[],;:=|.)\t]\s*|\s+)(?P<name>\S.*)")
_NUMBER_LAST = re.compile(r"(?P<name>.*\S)(?P<gap>\s*[,;:=|\t]\s*)(?P<id>\d+)")
_QUOTED = re.compile(r"""(["']).*\1\s*,?""")
_ITEM = re.compile(r"[-*•]\s+\S.*")


def read_label_names(file: Path) -> list[str]:
    """Read the names of labels 0, 1, ….

    Raises:
        UsageError: the file cannot be read, two names are equal, a name is empty, or a line is not the name
            alone.
    """
    text = read_text(file, has_flag=False).rstrip()
    names = _names_of_json(text, file)
    if names is None:
        names = [line.strip() for line in LINE_END.split(text)]
        _check_lines(names, file)
    if len(set(names)) < len(names) or not all(names):
        raise UsageError(
            f"{file} names a label twice, or has an empty line",
            cause="line 1 is the name of label 0, line 2 of label 1, and so on",
            fix="correct the file, or name another in --label-names",
        )
    return names


def _names_of_json(text: str, file: Path) -> list[str] | None:
    """Return the names in a JSON list, or in an object of ids and names; None for a text of lines."""
    if not re.match(r"""\s*[\[{]\s*(?:["'\]}]|\d+\s*:|$)""", text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    names = _names_by_id(value) if isinstance(value, Mapping) else value
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return [name.strip() for name in names]
    raise _refusal(file, f"begins with {_quoted(LINE_END.split(text)[0])} and is no JSON list of names")


def _names_by_id(value: Mapping[str, Any]) -> list[Any] | None:
    """Return the names in the order of their ids, which are 0, 1, …; None for any other object."""
    if all(key.isdecimal() for key in value) and all(isinstance(name, str) for name in value.values()):
        by_id = {int(key): name for key, name in value.items()}
    elif all(isinstance(number, int) and not isinstance(number, bool) for number in value.values()):
        by_id = {number: name for name, number in value.items()}
    else:
        return None
    complete = sorted(by_id) == list(range(len(value)))
    return [by_id[number] for number in range(len(value))] if complete else None


def _check_lines(lines: Sequence[str], file: Path) -> None:
    """Refuse lines that hold more than a name, and a first line that is no name."""
    for number, line in enumerate(lines, 1):
        if _QUOTED.fullmatch(line):
            raise _refusal(file, f"has a name in quotes in line {number}: {_quoted(line)}")
    if len(lines) < 2:
        return
    if all(map(_ITEM.fullmatch, lines)):
        raise _refusal(file, f"has a list mark in line 1: {_quoted(lines[0])}")
    for first, part in enumerate((lines, lines[1:]), 1):
        if part and (_numbered(part, _NUMBERED) or _numbered(part, _NUMBER_LAST)):
            raise _refusal(file, f"has a number and a name in line {first}: {_quoted(part[0])}")
    if all("\t" in line for line in lines):
        raise _refusal(file, f"has several columns in line 1: {_quoted(lines[0])}")
    if HEADERS.fullmatch(lines[0]):
        raise _refusal(file, f"has a header in line 1: {_quoted(lines[0])}")
    if lines[0].startswith("#") and not any(line.startswith("#") for line in lines[1:]):
        raise _refusal(file, f"has a comment in line 1: {_quoted(lines[0])}")


def _numbered(lines: Sequence[str], pattern: re.Pattern[str]) -> bool:
    """Return whether all lines hold the numbers 0, 1, … or 1, 2, … beside distinct names.

    Only a space between them is less certain: "1 star" and "2 stars" are names.
    """
    found = [match for line in lines if (match := pattern.fullmatch(line))]
    if len(found) < len(lines):
        return False
    start = int(found[0]["id"])
    if start > 1 or [int(match["id"]) for match in found] != list(range(start, start + len(found))):
        return False
    spaced = any(match["gap"].isspace() and "\t" not in match["gap"] for match in found)
    stems = {match["name"].casefold().rstrip("s") for match in found}
    return len(stems) == len(found) and (start == 0 or not spaced)


def _quoted(line: str) -> str:
    return repr(line if len(line) <= SHOWN_CHARS else line[:SHOWN_CHARS] + "…")


def _refusal(file: Path, finding: str) -> UsageError:
    return UsageError(
        f"{file} {finding}",
        cause="each line is the name of a label and nothing else, and line 1 is the name of 0",
        fix='write one plain name per line; or a JSON list, ["ham", "spam"], in which every text is a name',
    )
