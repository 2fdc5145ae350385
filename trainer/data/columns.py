"""Which column is which: as the flags say, or guessed where only one guess is possible."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from stream.bundle import Task
from stream.errors import UsageError

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that were named; what is None may be guessed."""

    text: str | None = None
    label: str | None = None
    text_pair: str | None = None
    metadata: tuple[str, ...] = ()
    group: str | None = None
    labels: tuple[str, ...] = ()


def choose_columns(
    present: Sequence[str],
    wanted: Wanted = Wanted(),
    task: Task = "single-label",
    usual: tuple[str, str] | None = None,
) -> Columns:
    """Find the columns.

    Args:
        present: the file's columns.
        wanted: what was named.
        task: decides which names are guessed by, and whether a second text is needed.
        usual: text and label column that the file's format suggests, in place of a guess by name.

    Raises:
        UsageError: a named column is not there, or a guess would be a gamble.
    """
    _check_present(present, wanted)
    text, pair, label = wanted.text, wanted.text_pair, wanted.label
    if usual is not None:
        text, label = text or usual[0], label or usual[1]
    if task == "pair" and (text is None or pair is None):
        text, pair = _guess_pair(text, pair, present)
    taken = {label, pair, *wanted.labels, *wanted.metadata}
    if text is None:
        names = (*WORD_NAMES, *TEXT_NAMES) if task == "token" else TEXT_NAMES
        text = _guess("text", names, [name for name in present if name not in taken], present)
    if wanted.labels:
        label = ", ".join(wanted.labels)
    elif label is None:
        free = [name for name in present if name not in {text, pair, *wanted.metadata}]
        label = _guess("label", _label_names(task), free, present)
    found = Columns(
        text=text,
        label=label,
        text_pair=pair,
        metadata=wanted.metadata,
        id=_first(ID_NAMES, present),
        time=_first(TIME_NAMES, present),
        group=wanted.group,
    )
    _check_apart(found, wanted, present)
    return found


def _label_names(task: Task) -> Sequence[str]:
    names: dict[Task, Sequence[str]] = {
        "multi-label": LABELS_NAMES,
        "regression": NUMBER_NAMES,
        "token": TAG_NAMES,
    }
    return names.get(task, LABEL_NAMES)


def _guess(role: str, names: Sequence[str], candidates: Sequence[str], present: Sequence[str]) -> str:
    matching = [name for name in candidates if name.strip().lower() in names]
    # A column that bears the role's own name leaves no doubt.
    certain = [name for name in matching if name.strip().lower() == role]
    for found in (certain, matching):
        if len(found) == 1:
            return found[0]
    raise UsageError(
        f"which column holds the {role} is not clear",
        cause=(f"{' and '.join(matching)} could be it" if matching else "no column has a usual name for it")
        + f"; the file's columns are: {', '.join(present)}",
        fix=f"name it: --{role}-column NAME",
    )


def _guess_pair(text: str | None, pair: str | None, present: Sequence[str]) -> tuple[str, str]:
    by_name = {name.strip().lower(): name for name in present}
    found = [(by_name[a], by_name[b]) for a, b in PAIR_NAMES if a in by_name and b in by_name]
    fitting = [(a, b) for a, b in found if text in (None, a) and pair in (None, b)]
    if len(fitting) == 1:
        return fitting[0]
    if text and pair:
        return text, pair
    raise UsageError(
        "which columns hold the two texts of a pair is not clear",
        cause=("several could" if fitting else "no two columns have usual names for it")
        + f"; the file's columns are: {', '.join(present)}",
        fix="name them: --text-column NAME --text-pair-column NAME",
    )


def _first(names: Sequence[str], present: Sequence[str]) -> str | None:
    return next((name for name in present if name.strip().lower() in names), None)


def _check_present(present: Sequence[str], wanted: Wanted) -> None:
    named = [
        ("--text-column", wanted.text),
        ("--label-column", wanted.label),
        ("--text-pair-column", wanted.text_pair),
        ("--group-column", wanted.group),
        *(("--metadata-columns", name) for name in wanted.metadata),
        *(("--label-columns", name) for name in wanted.labels),
    ]
    for flag, name in named:
        if name is not None and name not in present:
            near = difflib.get_close_matches(name, present, n=1)
            raise UsageError(
                f"the file has no column {name!r}",
                cause=f"its columns are: {', '.join(present)}",
                fix=f"{flag} {near[0]}" if near else f"name one of them in {flag}",
            )


def _check_apart(found: Columns, wanted: Wanted, present: Sequence[str]) -> None:
    """The label must not be read by the model, nor any column twice."""
    labels = wanted.labels or (found.label,)
    roles = [found.text, *([found.text_pair] if found.text_pair else []), *labels, *found.metadata]
    for name in roles:
        if roles.count(name) > 1:
            both = "both text and label" if name == found.text and name in labels else "two things at once"
            raise UsageError(
                f"column {name!r} cannot be {both}",
                cause=f"the file's columns are: {', '.join(present)}",
                fix="give different columns in --text-column, --label-column and the others",
            )
