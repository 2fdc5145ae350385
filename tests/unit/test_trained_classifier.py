"""Rows that `trainer.load(bundle)` refuses, as `labelstream predict` does."""

from typing import Any

import pytest

from stream.bundle import Bundle
from stream.errors import UsageError
from tests.unit.small_bundle import partial_manifest
from trainer.trained_classifier import TrainedClassifier


@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        ("single-label", "My card", "a single text"),
        ("single-label", {"text": "My card"}, "a single text"),
        ("single-label", ["good", ""], "row 2 has no text"),
        ("single-label", [" \n"], "row 1 has no text"),
        ("single-label", [{"txt": "a"}], "row 1 has no text"),
        ("single-label", [{"text": None}], "row 1 has no text"),
        ("single-label", [{"text": 3}], "row 1 has no text"),
        ("single-label", [None], "row 1 is not a text"),
        ("single-label", ["a", 1], "row 2 is not a text"),
        ("single-label", [("a", "b", "c")], "row 1 is not a text"),
        ("single-label", ["a\ud800"], "row 1 holds one half of a surrogate pair"),
        ("pair", ["only one"], "row 1 has no text_pair"),
        ("pair", [("a", "b"), {"text": "a"}], "row 2 has no text_pair"),
        ("pair", [("a", "\udfff")], "row 1 holds one half of a surrogate pair"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "logits"])
def test_a_row_without_its_texts_is_refused_by_its_number(
    tmp_path: Any, task: str, rows: Any, message: str, method: str
) -> None:
    classifier = TrainedClassifier(
        Bundle(tmp_path, partial_manifest(task=task, text_pair=False), ""), None, None
    )
    with pytest.raises(UsageError, match=message):
        getattr(classifier, method)(rows)
