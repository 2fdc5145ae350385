"""The model card: its metadata as the Hub's library reads it, and what its sections state."""

from typing import Any

import pytest
from huggingface_hub import ModelCard

from stream.bundle import Manifest, read_bundle
from stream.errors import UsageError
from tests.real.hub_handler import card_errors
from tests.unit.hub_process import SAVED
from trainer.export.card import model_card
from trainer.export.card_metadata import CardDetails, base_model_id, check_details

METRICS: dict[str, Any] = {
    "training": {
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "learning_rate": 1e-4,
        "batch_size": 32,
        "seed": 42,
        "best_epoch": 2,
        "epochs_run": 3,
        "chosen_by": "macro_f1",
    },
    "leaks": {"equal": {"test in train": 3}, "near": {}},
    "calibration": {"test": {"ece_before": 0.08, "ece_after": 0.021}},
    "test": {
        "rows": 150,
        "accuracy": 0.912345,
        "macro_f1": 0.8,
        "micro_f1": float("nan"),
        "intervals": {"accuracy": [0.88, 0.94]},
        "per_label": {
            "billing": {"precision": 0.9, "recall": 0.9, "f1": 0.9, "support": 130},
            "<script>|`x`": {"precision": 0.1, "recall": 0.1, "f1": 0.1, "support": 4},
        },
    },
}
DATA = {
    "file": "tickets [2].csv",
    "sha256": "sha256:" + "a" * 64,
    "rows": 1000,
    "splits": {"train": 800, "validation": 100, "test": 100},
    "class_counts": {"billing": 990, "<script>|`x`": 10},
}


def manifest(**fields: Any) -> Manifest:
    return read_bundle(SAVED).manifest.model_copy(update={"data": DATA, **fields})


def test_the_metadata_reads_back_with_results_of_the_test_split() -> None:
    details = CardDetails("owner/tickets", "mit", languages=("en",))
    card = ModelCard(model_card(manifest(), METRICS, details, weights=True))
    data = card.data.to_dict()
    assert card_errors(data) == []
    assert data["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert data["pipeline_tag"] == "text-classification"
    assert data["tags"] == ["labelstream", "onnx"]
    (result,) = data["model-index"][0]["results"]
    assert result["dataset"] == {"name": "tickets [2].csv", "type": "tickets-2-.csv", "split": "test"}
    found = {metric["name"]: (metric["type"], metric["value"]) for metric in result["metrics"]}
    # A value that is not a number is left out.
    assert found == {"accuracy": ("accuracy", 0.9123), "macro-F1": ("f1", 0.8)}


def test_data_of_the_hub_is_linked_and_a_token_model_has_its_own_pipeline() -> None:
    data = {**DATA, "hub_id": "owner/reports:de"}
    text = model_card(manifest(task="token", data=data), METRICS, own_code=True, weights=True)
    card = ModelCard(text)
    assert card.data.get("pipeline_tag") == "token-classification"
    assert card.data.get("datasets") == ["owner/reports"]
    (result, *_) = card.data.get("eval_results") or []
    assert (result.dataset_type, result.dataset_config) == ("owner/reports", "de")
    assert "custom_code" in card.data.get("tags")
    assert "trust_remote_code=True" in text


def test_the_limits_name_rare_labels_leaks_and_calibration() -> None:
    text = model_card(manifest(), METRICS, CardDetails(languages=("en",)))
    limits = text[text.index("## Limitations") : text.index("## Parity")]
    assert "only 150 rows" in limits
    assert "1 of 2 labels have fewer than 50 rows in the data: `` <script>|`x` ``" in limits
    assert "Rows of the test split that repeat a text of the train split: 3." in limits
    assert "calibration error on the test rows 0.021" in limits
    assert "languages of the training texts are not stated" not in limits
    for heading in ("Intended use", "How to use", "Training data", "Training procedure", "Evaluation"):
        assert f"\n## {heading}\n" in text


def test_names_are_shown_and_never_markup() -> None:
    text = model_card(manifest(labels=["a", "<script>|`x`"]), METRICS)
    assert "| \\<script\\>\\|\\`x\\` | 0.100 |" in text
    assert "`` <script>|`x` ``" in text


def test_a_model_without_measurements_says_so() -> None:
    text = model_card(manifest(data={}), {"exported": {"model": "my-model"}})
    card = ModelCard(text)
    assert card.data.get("eval_results") is None
    assert card.data.get("base_model") is None
    assert "holds no evaluation" in text
    assert "Not known: the model was exported from my-model" in text
    assert "not calibrated" in text


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"training": {"base_model": "folder"}}, ""),
        ({"training": {"base_model": "tickets@3"}}, ""),
        (
            {"training": {"base_model": "bert-base-uncased", "base_model_id": "bert-base-uncased"}},
            "bert-base-uncased",
        ),
        ({"training": {"base_model": f"hf://owner/name@{'0' * 40}"}}, "owner/name"),
        ({"exported": {"model": "owner/name"}}, "owner/name"),
        ({}, ""),
    ],
)
def test_only_a_base_model_of_the_hub_is_linked(metrics: dict[str, Any], expected: str) -> None:
    assert base_model_id(metrics) == expected


def test_a_licence_without_an_identifier_has_a_name_and_a_link() -> None:
    check_details(CardDetails(license="other", license_name="own", license_link="LICENSE.md"))
    for details in (
        CardDetails(license="other"),
        CardDetails(license="mit", license_name="own"),
        CardDetails(languages=("zh-CN",)),
        CardDetails(base_model="a b"),
    ):
        with pytest.raises(UsageError) as refused:
            check_details(details)
        assert refused.value.fix
