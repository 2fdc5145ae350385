"""The tasks of a Label Studio JSON export: one row per task, one column per control of the labelling."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trainer.data.files import Table

ANNOTATION_KEYS = ("annotations", "completions")
"""The key of the annotations, in current versions and in versions before 1.0."""

SCALARS = ("rating", "number")

Controls = dict[str, Any]
"""What an annotator entered, by control: spans, choices, or a number."""


def is_label_studio(table: Table) -> bool:
    """Return True if every row is a task with data and annotations."""
    return bool(table.rows) and all(
        isinstance(row.get("data"), Mapping) and _annotations(row) is not None for row in table.rows
    )


def flatten_tasks(table: Table, name: str) -> Table:
    """Return a row for each task with the fields of its data and a column for each control.

    Of several annotations, the one that is marked as ground truth is read, or else the first; cancelled ones
    are not. A task without an annotation has no label.
    """
    candidates = [[a for a in _annotations(row) or () if not a.get("was_cancelled")] for row in table.rows]
    entered = [[_controls(annotation) for annotation in of_row] for of_row in candidates]
    chosen = [_chosen(*of_row) for of_row in zip(candidates, entered, strict=True)]
    names = list(dict.fromkeys(control for controls in chosen if controls for control in controls))
    span_controls = {
        c for controls in chosen if controls for c, value in controls.items() if _is_spans(value)
    }
    rows = []
    for row, controls in zip(table.rows, chosen, strict=True):
        fields = {f"data.{key}" if key in names else key: value for key, value in row["data"].items()}
        absent: Controls = {control: [] if control in span_controls else None for control in names}
        rows.append({**fields, **(dict.fromkeys(names) if controls is None else {**absent, **controls})})
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return replace(
        table, columns=columns, rows=rows, notes=[*table.notes, *_notes(candidates, entered, name)]
    )


def _annotations(row: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    lists = (row[key] for key in ANNOTATION_KEYS if isinstance(row.get(key), list))
    found: list[Any] | None = next(lists, None)
    if found is None or not all(isinstance(a, Mapping) and isinstance(a.get("result"), list) for a in found):
        return None
    return found


def _chosen(annotations: Sequence[Mapping[str, Any]], entered: Sequence[Controls]) -> Controls | None:
    """Return what was entered in the ground truth, or else in the first annotation; None without any."""
    truth = [c for a, c in zip(annotations, entered, strict=True) if a.get("ground_truth")]
    return next(iter([*truth, *entered]), None)


def _controls(annotation: Mapping[str, Any]) -> Controls:
    """Return the values of an annotation by the name of the control that they were entered with."""
    controls: Controls = {}
    for result in annotation["result"]:
        value, control = result.get("value"), result.get("from_name")
        if not isinstance(value, Mapping) or control is None:
            continue
        kind = str(result.get("type"))
        labels = value.get(kind) if kind.endswith("labels") else value.get("labels")
        if labels is not None:
            span = {"start": value.get("start"), "end": value.get("end"), "labels": labels}
            controls.setdefault(control, []).append({**span, "text": value.get("text")})
        elif isinstance(value.get("choices"), list) and "start" not in value:
            controls.setdefault(control, []).extend(value["choices"])
        elif isinstance(value.get("taxonomy"), list):
            controls.setdefault(control, []).extend("/".join(path) for path in value["taxonomy"])
        else:
            controls.update((control, value[key]) for key in SCALARS if key in value)
    return controls


def _is_spans(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _notes(
    candidates: Sequence[Sequence[Mapping[str, Any]]], entered: Sequence[Sequence[Controls]], name: str
) -> list[str]:
    several = [controls for controls in entered if len(controls) > 1]
    differing = sum(any(controls[0] != other for other in controls[1:]) for controls in several)
    without = sum(not of_row for of_row in candidates)
    notes = []
    if several:
        notes.append(
            f"{name}: {len(several)} tasks have several annotations, which differ in {differing} tasks; the "
            "one that is marked as ground truth is read, or else the first"
        )
    if without:
        notes.append(f"{name}: {without} tasks have no annotation that is not cancelled")
    return notes
