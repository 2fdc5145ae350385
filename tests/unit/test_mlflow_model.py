"""The MLflow model of a bundle, called as MLflow calls it."""

from typing import Any

import pandas as pd
import pytest

from stream.mlflow_model import BundleModel, _load_pyfunc
from tests.unit.hub_process import SAVED

TEXT = "where is my parcel"


@pytest.fixture(scope="module")
def model() -> BundleModel:
    return _load_pyfunc(str(SAVED))


def test_every_row_has_a_prediction_or_an_error_in_its_place(model: BundleModel) -> None:
    texts = [TEXT, "  ", "x" * 100_001, TEXT] * 200
    found = model.predict(pd.DataFrame({"text": texts, "other": range(len(texts))}))
    assert len(found) == len(texts)
    assert found[0] == found[3] == found[-1]
    assert {"label", "score", "scores"} <= found[0].keys()
    assert [[*row] for row in found[1:3]] == [["error"], ["error"]]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_a_missing_value_is_no_text(model: BundleModel, missing: Any) -> None:
    rows = pd.DataFrame({"text": [TEXT, missing]}, dtype=object)
    found = model.predict(rows)
    assert "label" in found[0]
    assert "error" in found[1]


def test_a_frame_without_rows_has_no_predictions(model: BundleModel) -> None:
    assert model.predict(pd.DataFrame({"text": []})) == []
