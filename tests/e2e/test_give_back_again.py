"""What becomes of a bundle's PyTorch model: pipelines, further training, checkpoints and another export."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trainer
from stream.bundle import Bundle, open_bundle
from stream.classify import Tokeniser, sigmoid, softmax
from stream.errors import BundleError, UsageError
from stream.runtime import OnnxRuntime
from stream.verify import infer_all, read_reference
from tests.real.given_back import KINDS, METADATA, build_given_back
from tests.real.tiny_bundle import TEXTS
from trainer.cli import export, train
from trainer.export.pretrained import load_pretrained
from trainer.model.base_location import resolve_base_model

pytestmark = pytest.mark.slow
CLOSE = 1e-5
BundleOf = Callable[[str], Bundle]


@pytest.fixture(autouse=True)
def _fp32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Omit the other variants, which these tests do not need."""
    monkeypatch.setattr("trainer.export.variants.RECIPES", ())
    monkeypatch.setattr("trainer.export.package.available_variants", tuple)


def onnx_logits(bundle: Bundle, kind: str) -> np.ndarray:
    return infer_all(OnnxRuntime(bundle, "fp32"), Tokeniser(bundle), KINDS[kind].rows)


@pytest.mark.parametrize(("kind", "activation"), [("single", softmax), ("several", sigmoid)])
def test_a_pipeline_has_the_scores_of_the_bundle_at_its_temperature(
    bundle_of: BundleOf, kind: str, activation: Callable[[Any], Any]
) -> None:
    from transformers import pipeline

    bundle, own = bundle_of(kind), KINDS[kind].own
    pipe = pipeline("text-classification", model=str(bundle.path), trust_remote_code=own, device="cpu")
    texts = [row.text for row in KINDS[kind].rows]
    settings = pipe.model.config.labelstream
    assert settings["temperature"] == bundle.manifest.temperature
    assert settings.get("thresholds") == bundle.manifest.thresholds
    expected = trainer.load(bundle.path).predict(texts)
    raw = pipe(texts, function_to_apply="none", top_k=None, truncation=True)
    plain = pipe(texts, top_k=None, truncation=True)
    for row, rescaled, scores in zip(expected, raw, plain, strict=True):
        if kind == "single":
            assert row["label"] == scores[0]["label"]
        logits = np.array([found["score"] for found in rescaled], dtype=np.float32)
        divided = activation(logits / settings["temperature"])
        named = dict(zip([found["label"] for found in rescaled], divided, strict=True))
        assert row["scores"] == pytest.approx(named, abs=CLOSE)
        # Without the temperature, the activation of the pipeline is that of the head.
        assert [found["score"] for found in scores] == pytest.approx(
            sorted(activation(logits))[::-1], abs=CLOSE
        )


def test_a_pipeline_tags_tokens_with_the_tags_of_the_bundle(bundle_of: BundleOf) -> None:
    from transformers import pipeline

    bundle = bundle_of("token")
    pipe = pipeline("token-classification", model=str(bundle.path), ignore_labels=[], device="cpu")
    rows = KINDS["token"].rows[:3]
    logits = trainer.load(bundle.path).logits(rows)
    for row, of_row in zip(rows, logits, strict=True):
        expected = [bundle.manifest.labels[at] for at in of_row.argmax(axis=1)[1:-1]]
        tags = [found["entity"] for found in pipe(row.text)]
        assert tags[: len(expected)] == expected


@pytest.mark.parametrize("kind", ["pair", "windows and metadata"])
def test_a_model_that_transformers_saved_again_becomes_an_equal_bundle(
    bundle_of: BundleOf, tmp_path: Path, kind: str
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    bundle, own = bundle_of(kind), KINDS[kind].own
    model = AutoModelForSequenceClassification.from_pretrained(bundle.path, trust_remote_code=own)
    model.save_pretrained(tmp_path / "saved")
    AutoTokenizer.from_pretrained(bundle.path, trust_remote_code=own).save_pretrained(tmp_path / "saved")
    export(str(tmp_path / "saved"), bundle_store=tmp_path, name="again")
    again = open_bundle("again", tmp_path)
    check_equal(again, bundle, kind)


def test_a_bundle_is_exported_again_with_its_settings_texts_and_metrics(
    bundle_of: BundleOf, tmp_path: Path
) -> None:
    bundle = bundle_of("ordinal")
    export(str(bundle.path), bundle_store=tmp_path)
    again = open_bundle("ordinal", tmp_path)
    check_equal(again, bundle, "ordinal")
    assert read_reference(again)[0] == read_reference(bundle)[0]
    assert again.manifest.metrics["exported"] == {"model": "ordinal@1"}
    export("ordinal@1", bundle_store=tmp_path, name="short", max_length=8, no_weights=True)
    short = open_bundle("short", tmp_path)
    assert (short.manifest.max_length, short.manifest.values) == (8, bundle.manifest.values)
    assert not (short.path / "model.safetensors").exists()


def check_equal(again: Bundle, bundle: Bundle, kind: str) -> None:
    np.testing.assert_allclose(onnx_logits(again, kind), onnx_logits(bundle, kind), atol=CLOSE)
    for name in (
        "task",
        "labels",
        "max_length",
        "temperature",
        "values",
        "thresholds",
        "metadata",
        "windows",
    ):
        assert getattr(again.manifest, name) == getattr(bundle.manifest, name), name
    assert again.manifest.takes_pair == bundle.manifest.takes_pair


def write_rows(file: Path, labels: list[str]) -> None:
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("text", "text_pair", "label", "age", "channel"))
        for n in range(96):
            metadata = METADATA[n % 4] or {}
            label = labels[n % len(labels)]
            writer.writerow(
                (f"{TEXTS[n % 12]} {n}", TEXTS[n % 5], label, 20 + n % 50, metadata.get("channel", ""))
            )


def continued(bundle: Bundle, folder: Path, **flags: Any) -> Bundle:
    """Train with a learning rate that hardly changes the weights of the bundle."""
    write_rows(folder / "rows.csv", bundle.manifest.labels)
    settings = {"epochs": 1, "learning_rate": 1e-9, "text_column": "text", "label_column": "label", **flags}
    settings |= {"bundle_store": folder, "no_results": True}
    train(str(folder / "rows.csv"), base_model=str(bundle.path), name="k", **settings)
    return open_bundle("k", folder)


def test_training_continues_from_a_bundle_of_pairs(
    bundle_of: BundleOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForSequenceClassification

    bundle = bundle_of("pair")
    assert bundle.manifest.labels != sorted(bundle.manifest.labels), "the order is not that of new data"
    kept = tmp_path / "kept"
    found = continued(bundle, tmp_path, task="pair", max_length=12, checkpoints=kept)
    assert "kept from pair@1" in capsys.readouterr().out
    np.testing.assert_allclose(onnx_logits(found, "pair"), onnx_logits(bundle, "pair"), atol=1e-4)
    (checkpoint,) = kept.glob("checkpoint-*")
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    assert model.config.labelstream["task"] == "pair", "a checkpoint states how its logits are read"
    assert model.config.labelstream["temperature"] == 1.0, "the temperature is fitted after the training"
    assert_same_weights(model, trainer.load(found.path).model)


def test_training_continues_with_windows_metadata_and_an_own_head(
    bundle_of: BundleOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    bundle, kept = bundle_of("windows and metadata"), tmp_path / "kept"
    found = continued(
        bundle,
        tmp_path,
        metadata_columns=["age,channel"],
        windows=True,
        stride=4,
        max_windows=4,
        max_length=12,
        checkpoints=kept,
    )
    assert "kept from windows-and-metadata@1" in capsys.readouterr().out
    assert found.manifest.metadata == bundle.manifest.metadata
    kind = "windows and metadata"
    np.testing.assert_allclose(onnx_logits(found, kind), onnx_logits(bundle, kind), atol=1e-4)
    (checkpoint,) = kept.glob("checkpoint-*")
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, trust_remote_code=True)
    assert_same_weights(model.model, trainer.load(found.path).model)
    assert AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=True)("refund")["input_ids"]
    settings = load_pretrained(resolve_base_model(str(checkpoint))).settings
    assert settings is not None
    assert (settings.windows, settings.metadata) == (bundle.manifest.windows, bundle.manifest.metadata)


def assert_same_weights(ours: Any, theirs: Any) -> None:
    states = ours.state_dict(), theirs.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], atol=1e-6, err_msg=name)


def test_a_bundle_without_weights_serves_but_gives_no_model_back(bundle_of: BundleOf, tmp_path: Path) -> None:
    bundle = build_given_back(KINDS["single"], tmp_path / "store", "bare", weights=False)
    assert not (bundle.path / "model.safetensors").exists()
    np.testing.assert_allclose(
        onnx_logits(bundle, "single"), onnx_logits(bundle_of("single"), "single"), atol=CLOSE
    )
    with pytest.raises(UsageError, match="holds no PyTorch weights") as refused:
        trainer.load(bundle.path)
    assert "--no-weights" in refused.value.fix


def test_changed_weights_are_refused_by_everyone_but_a_worker(bundle_of: BundleOf, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(bundle_of("single").path, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=r"model\.safetensors in the bundle .* was changed"):
        trainer.load(folder)
    assert open_bundle(folder, weights=False).manifest.name == "single"
