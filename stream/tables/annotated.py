"""JSON values of annotation tools that hold the cells of a row in a shape of their own."""

from collections.abc import Mapping
from typing import Any

TASK_LISTS = ("annotations", "completions", "predictions")


def as_object(value: Any) -> Any:
    """Return an object for `[text, {"entities": …}]`, an example of spaCy; other values are not modified."""
    match value:
        case [str(text), dict(annotations)]:
            return {"text": text, **annotations}
    return value


def task_cells(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the cells of a row; for a task of Label Studio, also the fields of its `data`."""
    data = cells.get("data")
    is_task = isinstance(data, dict) and any(isinstance(cells.get(key), list) for key in TASK_LISTS)
    return {**cells, **data} if is_task and isinstance(data, dict) else cells
