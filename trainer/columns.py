"""Which column is which: as the flags say, or guessed where only one guess is possible."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from stream.errors import UsageError

TEXT_NAMES = ("text", "message", "body", "review", "content", "comment", "sentence", "utterance", "query")
LABEL_NAMES = ("label", "intent", "category", "class", "topic", "sentiment", "tag", "target")
ID_NAMES = ("id", "uuid", "message_id", "ticket_id")
TIME_NAMES = ("time", "timestamp", "created_at", "date", "datetime")


@dataclass(frozen=True, slots=True)
class Columns:
    """Column names by role; only text and label are always there.

    Attributes:
        text: of the text, or of the words.
        label: of the label; where several columns of 0 and 1 hold the labels, their names with commas.
        text_pair: of the second text.
        metadata: what a model may read beside the text.
        id: kept for the list of splits.
        time: told in the report.
        group: its values must not be spread over splits.
    """

    text: str
    label: str
    text_pair: str | None = None
    metadata: tuple[str, ...] = ()
    id: str | None = None
    time: str | None = None
    group: str | None = None


def choose_columns(
    present: Sequence[str], text: str | None = None, label: str | None = None, group: str | None = None
) -> Columns:
    """Find the columns.

    Args:
        present: the file's columns.
        text: the text's column, or None to guess it.
        label: the label's column, or None to guess it.
        group: the column whose values must not be spread over splits, if any.

    Raises:
        UsageError: a named column is not there, or a guess would be a gamble.
    """
    for flag, name in (("--text-column", text), ("--label-column", label), ("--group-column", group)):
        if name is not None and name not in present:
            raise _missing(flag, name, present)
    text = text or _guess("text", TEXT_NAMES, [name for name in present if name != label], present)
    label = label or _guess("label", LABEL_NAMES, [name for name in present if name != text], present)
    if text == label:
        raise UsageError(
            f"column {text!r} cannot be both text and label",
            why=f"the file's columns are: {', '.join(present)}",
            mend="give two different columns in --text-column and --label-column",
        )
    return Columns(text, label, id=_first(ID_NAMES, present), time=_first(TIME_NAMES, present), group=group)


def _guess(role: str, names: Sequence[str], candidates: Sequence[str], present: Sequence[str]) -> str:
    matching = [name for name in candidates if name.strip().lower() in names]
    # A column that bears the role's own name leaves no doubt.
    certain = [name for name in matching if name.strip().lower() == role]
    for found in (certain, matching):
        if len(found) == 1:
            return found[0]
    raise UsageError(
        f"which column holds the {role} is not clear",
        why=(f"{' and '.join(matching)} could be it" if matching else "no column has a usual name for it")
        + f"; the file's columns are: {', '.join(present)}",
        mend=f"name it: --{role}-column NAME",
    )


def _first(names: Sequence[str], present: Sequence[str]) -> str | None:
    return next((name for name in present if name.strip().lower() in names), None)


def _missing(flag: str, name: str, present: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(name, present, n=1)
    return UsageError(
        f"the file has no column {name!r}",
        why=f"its columns are: {', '.join(present)}",
        mend=f"{flag} {near[0]}" if near else f"name one of them in {flag}",
    )
