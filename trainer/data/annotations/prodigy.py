"""The rows of Prodigy: a row without the answer "accept" has no annotation."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trainer.data.files import Table

ANSWERS = ("accept", "reject", "ignore")
HASHES = frozenset({"_input_hash", "_task_hash"})
TASK_LISTS = ("spans", "options", "tokens")
ANNOTATIONS = ("spans", "label", "labels", "accept", "cats")


def is_prodigy(table: Table) -> bool:
    """Return True if every row has an answer of Prodigy, and a row has another member that Prodigy writes."""
    return _has_answers(table) and any(map(_is_task, table.rows))


def note_answers(table: Table, name: str) -> Table:
    """Return the table with a note if its answers are those of Prodigy but its rows are not."""
    if not _has_answers(table):
        return table
    note = f"{name}: the column answer is not read: no row has the members that Prodigy writes beside it"
    return replace(table, notes=[*table.notes, note])


def _has_answers(table: Table) -> bool:
    return bool(table.rows) and all(row.get("answer") in ANSWERS for row in table.rows)


def _is_task(row: Mapping[str, Any]) -> bool:
    """Return whether a row has a hash, or a list of objects, of Prodigy."""
    # A column of another table may have one of these names, but its cells are not lists of objects.
    lists = (row.get(key) for key in TASK_LISTS)
    return not HASHES.isdisjoint(row) or any(
        isinstance(value, list) and value and isinstance(value[0], Mapping) for value in lists
    )


def clear_rejected(table: Table, name: str) -> Table:
    """Return the table without the annotations of rows that were rejected or ignored.

    Prodigy writes no `spans` for an accepted text without spans; such a row gets an empty list.
    """
    has_spans = "spans" in table.columns
    rows = []
    for row in table.rows:
        if row["answer"] != "accept":
            rows.append({**row, **{key: None for key in ANNOTATIONS if key in row}})
        elif has_spans and row.get("spans") is None:
            rows.append({**row, "spans": []})
        else:
            rows.append(row)
    counts = Counter(row["answer"] for row in table.rows)
    notes = [
        f"{name}: {counts[answer]} rows have the answer {answer} and no label"
        for answer in ANSWERS[1:]
        if counts[answer]
    ]
    return replace(table, rows=rows, notes=[*table.notes, *notes])
