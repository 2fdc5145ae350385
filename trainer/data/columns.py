"""Choose the column of each role: as named by a flag, or guessed if exactly one guess is possible."""

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from stream.bundle import Task
from stream.errors import UsageError
from stream.tables import no_header_fix

TEXT_NAMES = ("text", "message", "body", "review", "content", "comment", "sentence", "utterance", "query")
WORD_NAMES = ("tokens", "words", "token", "word")
LABEL_NAMES = ("label", "intent", "category", "class", "topic", "sentiment", "tag", "target")
LABELS_NAMES = (*LABEL_NAMES, "labels", "intents", "categories", "classes", "topics", "tags", "emotions")
NUMBER_NAMES = ("label", "score", "rating", "value", "target", "stars")
TAG_NAMES = ("tags", "ner_tags", "pos_tags", "labels", "tag", "label")
PAIR_NAMES = (
    ("text", "text_pair"),
    ("premise", "hypothesis"),
    ("question", "passage"),
    ("query", "passage"),
    *((f"{word}{a}", f"{word}{b}") for word in ("sentence", "question", "text") for a, b in ("12", "ab")),
    *((f"{word}_{a}", f"{word}_{b}") for word in ("sentence", "question", "text") for a, b in ("12", "ab")),
)
ID_NAMES = ("id", "uuid", "message_id", "ticket_id", "pair_id")
TIME_NAMES = ("time", "timestamp", "created_at", "date", "datetime")


@dataclass(frozen=True, slots=True)
class Columns:
    """The column names by role; only text and label are always set.

    Attributes:
        text: the column of the text, or of the words.
        label: the column of the label; if each label has its own column of 0 and 1, their comma-separated
            names.
        text_pair: the column of the second text.
        metadata: the columns that the model reads in addition to the text.
        id: the column of the row's id, which is copied to `splits.csv`.
        time: the column of the row's time, whose range is shown in the data report.
        group: the column whose equal values stay in one split.
    """

    text: str
    label: str
    text_pair: str | None = None
    metadata: tuple[str, ...] = ()
    id: str | None = None
    time: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class RequestedColumns:
    """The columns that the user named; a column that is None may be guessed.

    Attributes:
        text: the column of the text, or of the words.
        label: the column of the label, labels, tags or number.
        text_pair: the column of the second text.
        metadata: the metadata columns.
        group: the group column.
        labels: for multi-label, one column of 0 and 1 per label, in place of `label`.
    """

    text: str | None = None
    label: str | None = None
    text_pair: str | None = None
    metadata: tuple[str, ...] = ()
    group: str | None = None
    labels: tuple[str, ...] = ()


def choose_columns(
    available: Sequence[str],
    requested: RequestedColumns = RequestedColumns(),
    task: Task = "single-label",
    defaults: tuple[str, str] | None = None,
) -> Columns:
    """Choose the columns of a file.

    Args:
        available: the columns of the file.
        requested: the columns that the user named.
        task: the task, which decides which names are guessed and whether a second text is required.
        defaults: the text and label columns of the file format, which replace a guess by name.

    Raises:
        UsageError: a named column does not exist, or a column cannot be guessed.
    """
    _check_available(available, requested)
    text, pair, label = requested.text, requested.text_pair, requested.label
    if defaults is not None:
        text, label = text or defaults[0], label or defaults[1]
    if task == "pair" and (text is None or pair is None):
        text, pair = _guess_pair(text, pair, available)
    taken = {label, pair, *requested.labels, *requested.metadata}
    if text is None:
        free = [name for name in available if name not in taken]
        # The tags of a row belong to its list of words, also if it has the text as well.
        words = [name for name in free if task == "token" and name.strip().lower() in WORD_NAMES]
        text = _guess("text", WORD_NAMES if words else TEXT_NAMES, free, available)
    if requested.labels:
        label = ", ".join(requested.labels)
    elif label is None:
        free = [name for name in available if name not in {text, pair, *requested.metadata}]
        label = _guess("label", _label_names(task), free, available)
    columns = Columns(
        text=text,
        label=label,
        text_pair=pair,
        metadata=requested.metadata,
        id=_first(ID_NAMES, available),
        time=_first(TIME_NAMES, available),
        group=requested.group,
    )
    _check_distinct(columns, requested, available)
    return columns


def _label_names(task: Task) -> Sequence[str]:
    names: dict[Task, Sequence[str]] = {
        "multi-label": LABELS_NAMES,
        "regression": NUMBER_NAMES,
        "token": TAG_NAMES,
    }
    return names.get(task, LABEL_NAMES)


def _guess(role: str, names: Sequence[str], candidates: Sequence[str], available: Sequence[str]) -> str:
    matches = [name for name in candidates if name.strip().lower() in names]
    # A column whose name equals the role takes precedence over other common names.
    exact = [name for name in matches if name.strip().lower() == role]
    for names_found in (exact, matches):
        if len(names_found) == 1:
            return names_found[0]
    raise UsageError(
        f"cannot guess the {role} column",
        cause=(f"candidates: {' and '.join(matches)}" if matches else "no column has a common name for it")
        + f"; the columns of the file are: {', '.join(available)}",
        fix=_no_header(available) + f"name it: --{role}-column NAME",
    )


def _guess_pair(text: str | None, pair: str | None, available: Sequence[str]) -> tuple[str, str]:
    by_name = {name.strip().lower(): name for name in available}
    pairs = [(by_name[a], by_name[b]) for a, b in PAIR_NAMES if a in by_name and b in by_name]
    matches = [(a, b) for a, b in pairs if text in (None, a) and pair in (None, b)]
    if len(matches) == 1:
        return matches[0]
    if text and pair:
        return text, pair
    raise UsageError(
        "cannot guess the two text columns of a pair",
        cause=("several pairs of columns match" if matches else "no two columns have common names for a pair")
        + f"; the columns of the file are: {', '.join(available)}",
        fix=_no_header(available) + "name them: --text-column NAME --text-pair-column NAME",
    )


def _no_header(available: Sequence[str]) -> str:
    """Return the beginning of a fix for columns whose names are probably a row of data; else nothing."""
    flags = no_header_fix(available)
    return f"if the first line is a row, and no header: {flags}; else " if flags else ""


def _first(names: Sequence[str], available: Sequence[str]) -> str | None:
    return next((name for name in available if name.strip().lower() in names), None)


def _check_available(available: Sequence[str], requested: RequestedColumns) -> None:
    named = [
        ("--text-column", requested.text),
        ("--label-column", requested.label),
        ("--text-pair-column", requested.text_pair),
        ("--group-column", requested.group),
        *(("--metadata-columns", name) for name in requested.metadata),
        *(("--label-columns", name) for name in requested.labels),
    ]
    for flag, name in named:
        if name is not None and name not in available:
            similar = difflib.get_close_matches(name, available, n=1)
            raise UsageError(
                f"the file has no column {name!r}",
                cause=f"its columns are: {', '.join(available)}",
                fix=_no_header(available)
                + (f"{flag} {shlex.quote(similar[0])}" if similar else f"name one of them in {flag}"),
            )


def _check_distinct(columns: Columns, requested: RequestedColumns, available: Sequence[str]) -> None:
    """Refuse a column with two roles: a model that reads its own label learns nothing else."""
    labels = requested.labels or (columns.label,)
    roles = [columns.text, *([columns.text_pair] if columns.text_pair else []), *labels, *columns.metadata]
    for name in roles:
        if roles.count(name) > 1:
            both = "both text and label" if name == columns.text and name in labels else "used for two roles"
            raise UsageError(
                f"column {name!r} cannot be {both}",
                cause=f"the columns of the file are: {', '.join(available)}",
                fix="name a different column in --text-column, --label-column and the other column flags",
            )
