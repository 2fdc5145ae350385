"""Train every kind of classifier from a file, and compare its bundle with the trained model."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify import Tokeniser
from stream.errors import UsageError
from stream.runtime import OnnxRuntime
from stream.verify import infer_all, read_reference
from tests.real.tiny_bundle import TEXTS, save_tiny_base
from trainer.cli import train
from trainer.model.finetune import StageCallback

pytestmark = pytest.mark.slow
ROWS = 144
KINDS = ("billing", "refund", "delivery", "login", "bug", "cancel")
STARS = ("1", "2", "10")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("kinds")
    save_tiny_base(room / "base")
    rng = random.Random(1)
    texts = [f"{TEXTS[n % 12]} {rng.randrange(10**6)}" for n in range(ROWS)]
    kinds = [n % 12 // 2 for n in range(ROWS)]
    rows = list(zip(texts, kinds, strict=True))

    def write(name: str, header: tuple[str, ...], found: list[tuple[Any, ...]]) -> None:
        with (room / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *found])

    write("single.csv", ("text", "label"), [(text, KINDS[kind]) for text, kind in rows])
    several = [
        (text, KINDS[kind] + (f",{KINDS[(kind + 1) % 6]}" if n % 2 else ""))
        for n, (text, kind) in enumerate(rows)
    ]
    write("several.csv", ("text", "labels"), several)
    write("score.csv", ("text", "other", "score"), [(t, TEXTS[k], 100 + 10 * k) for t, k in rows])
    write("pair.csv", ("premise", "hypothesis", "label"), [(t, TEXTS[k], KINDS[k]) for t, k in rows])
    ages = [(t, STARS[k // 2], 20 + 9 * k + len(t) / 3, ("web", "mail", "")[k % 3]) for t, k in rows]
    write("stars.csv", ("text", "stars", "age", "channel"), ages)
    with (room / "tagged.conll").open("w") as file:
        for text in texts:
            words = [
                (word, "B-thing" if word in ("refund", "app", "parcel", "card") else "O")
                for word in text.split()
            ]
            file.write("".join(f"{word}\t{tag}\n" for word, tag in words) + "\n")
    return room


Train = Callable[..., Bundle]


@pytest.fixture
def trained(room: Path, tmp_path: Path) -> Train:
    def run(file: str, **flags: Any) -> Bundle:
        store = flags.pop("store", tmp_path / "bundles")
        settings = {"epochs": 2, "learning_rate": 2e-3, "seed": 3, "base_model": str(room / "base"), **flags}
        train(str(room / file), name="kind", bundle_store=store, no_results=True, **settings)
        return open_bundle("kind", store)

    return run


def metrics_of(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle.path / "metrics.json").read_text())
    return found


def assert_parity(bundle: Bundle) -> None:
    rows, reference = read_reference(bundle)
    found = infer_all(OnnxRuntime(bundle, "fp32"), Tokeniser(bundle), rows)
    np.testing.assert_allclose(found, reference, atol=1e-3)


def test_several_labels_get_thresholds(trained: Train) -> None:
    bundle = trained("several.csv", task="multi-label", class_weights="sqrt_inverse")
    assert_parity(bundle)
    assert bundle.manifest.thresholds is not None
    assert set(bundle.manifest.thresholds) == set(KINDS)
    metrics = metrics_of(bundle)
    assert metrics["test"]["at_half"].keys() == {"macro_f1", "micro_f1", "intervals"}
    assert metrics["training"]["imbalance"]["class_weights"] == "sqrt_inverse"
    assert metrics["training"]["imbalance"]["weights"].keys() == set(KINDS)


def test_the_metrics_of_a_regression_are_in_the_units_of_the_data(trained: Train) -> None:
    bundle = trained(
        "score.csv", task="regression", label_column="score", text_pair_column="other", head="mlp"
    )
    assert_parity(bundle)
    manifest = bundle.manifest
    assert manifest.labels == ["score"]
    assert manifest.takes_pair
    assert manifest.target is not None
    assert 110 < manifest.target.mean < 140
    metrics = metrics_of(bundle)
    assert metrics["calibration"] is None
    # The targets are between 100 and 150; in standardised units the error would be smaller.
    assert 2 < metrics["test"]["mae"] < 60


def test_adapters_are_merged_into_the_published_model(trained: Train) -> None:
    pytest.importorskip("peft")
    bundle = trained("pair.csv", task="pair", lora=True)
    assert_parity(bundle)
    training = metrics_of(bundle)["training"]
    assert training["lora"]["rank"] == 8
    assert training["parameters_learning"] < training["parameters"]
    assert not list(bundle.path.rglob("adapter*"))


def test_ordinal_labels_with_metadata_are_ordered_as_numbers(trained: Train) -> None:
    bundle = trained(
        "stars.csv",
        ordinal=True,
        label_column="stars",
        metadata_columns=["age,channel"],
        abstain_below=0.4,
        freeze_layers=1,
        layer_decay=0.8,
    )
    assert_parity(bundle)
    manifest = bundle.manifest
    assert manifest.labels == list(STARS)
    assert manifest.values == [1, 2, 10]
    assert manifest.abstain_below == 0.4
    assert [column.kind for column in manifest.metadata or []] == ["numeric", "categorical"]
    test = metrics_of(bundle)["test"]
    assert {"mae", "quadratic_kappa", "answered", "accuracy_answered"} <= test.keys()


@pytest.mark.parametrize("windows", [False, True])
def test_tags_are_scored_by_spans(trained: Train, windows: bool) -> None:
    flags = {"windows": True, "max_length": 14, "stride": 4} if windows else {}
    bundle = trained("tagged.conll", task="token", epochs=12, batch_size=8, learning_rate=5e-3, **flags)
    assert_parity(bundle)
    assert bundle.manifest.labels[:2] == ["O", "B-thing"]
    assert bundle.manifest.spans is not None
    assert bundle.manifest.spans.scheme == "bio"
    metrics = metrics_of(bundle)
    assert metrics["training"]["chosen_by"] == "entity_f1"
    assert metrics["test"]["entity_f1"] > 0.8, (
        "the entity F1 is low although the four entity words are always spans"
    )
    assert metrics["test"]["per_label"].keys() == {"thing"}


def test_long_texts_in_windows_with_all_measures_against_imbalance(trained: Train) -> None:
    bundle = trained(
        "single.csv",
        windows=True,
        max_length=12,
        stride=4,
        pooling="max",
        loss="focal",
        sampling="over",
        augment="all",
    )
    assert_parity(bundle)
    assert bundle.manifest.windows is not None
    assert bundle.manifest.windows.pooling == "max"
    imbalance = metrics_of(bundle)["training"]["imbalance"]
    assert imbalance["augment"] == ["dropout", "swap", "noise"]
    assert imbalance["rows_after"] >= 2 * imbalance["rows_before"]


def test_the_same_seed_gives_the_same_metrics_and_another_does_not(trained: Train, tmp_path: Path) -> None:
    first, second = (trained("single.csv", store=tmp_path / name) for name in "ab")
    assert metrics_of(first) == metrics_of(second)
    assert first.manifest.files["splits.csv"] == second.manifest.files["splits.csv"]
    other = trained("single.csv", store=tmp_path / "c", seed=4)
    assert other.manifest.files["splits.csv"] != first.manifest.files["splits.csv"]


class Interrupted(Exception):
    """An error that ends a training."""


def test_a_resumed_training_has_the_same_metrics_as_an_uninterrupted_one(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained("single.csv", epochs=3, store=tmp_path / "whole")
    kept = tmp_path / "checkpoints"

    def interrupt(_self: StageCallback, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        if state.epoch > 1:
            raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(StageCallback, "on_step_end", interrupt)
        with pytest.raises(Interrupted):
            trained("single.csv", epochs=3, checkpoints=kept)
    assert [folder.name for folder in kept.glob("checkpoint-*")] == ["checkpoint-4"]
    with pytest.raises(UsageError, match="another training"):
        trained("single.csv", epochs=4, resume=kept)
    resumed = trained("single.csv", epochs=3, resume=kept, store=tmp_path / "resumed")
    assert metrics_of(resumed) == metrics_of(whole)


def test_accumulated_batches_and_flags_of_hugging_face(trained: Train) -> None:
    bundle = trained(
        "single.csv", batch_size=8, gradient_accumulation=4, scheduler="cosine", label_smoothing=0.1
    )
    training = metrics_of(bundle)["training"]
    assert (training["gradient_accumulation"], training["scheduler"]) == (4, "cosine")
