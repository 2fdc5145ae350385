"""The JSON values that spaCy's examples and annotators for spaCy write, as objects with a text."""

from collections.abc import Sequence
from typing import Any

from stream.tables import as_object


def examples_of(value: Any) -> list[Any]:
    """Return the elements of an array, or of the array in `{"classes": …, "annotations": […]}`, as objects.

    Any other value is a single element.
    """
    match value:
        case {"classes": list(), "annotations": list(elements)}:
            return [as_object(element) for element in elements if element is not None]
        case list(elements):
            return [as_object(element) for element in elements]
    return [value]


def expand_examples(rows: Sequence[Any]) -> list[Any]:
    """Return the elements of a file with a single value on one line, or the rows themselves."""
    return examples_of(rows[0]) if len(rows) == 1 else list(rows)
