"""Manifests, model cards and listings of bundles with thousands of labels."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from stream.bundle import (
    Bundle,
    CategoricalColumn,
    Manifest,
    Parity,
    VariantEntry,
    open_bundle,
    publication,
    read_bundle,
)
from stream.bundle.manifest import FILE_NAME, MAX_MANIFEST_BYTES
from stream.commands.bundles import app
from stream.errors import BundleError
from tests.real.kinds import BY_NAME, make_bundle_of
from trainer.evaluation.metrics import evaluate_multi, evaluate_single
from trainer.export.card import model_card
from trainer.export.metrics_files import manifest_summary, write_metrics
from trainer.report import most_confused

KIB = 2**10
ROWS = 600


def names(count: int) -> list[str]:
    return [f"label {number:05} of a real catalogue of products" for number in range(count)]


def single_metrics(labels: list[str]) -> dict[str, Any]:
    random = np.random.default_rng(1)
    targets = random.integers(0, len(labels), ROWS)
    probabilities = random.random((ROWS, len(labels)))
    section = evaluate_single(probabilities, targets, labels, resamples=0)
    weights = dict.fromkeys(labels, 1.0)
    training = {"seed": 42, "base_model": "m", "imbalance": {"class_weights": "inverse", "weights": weights}}
    return {"training": training, "leaks": {"equal": {}}, "validation": section, "test": section}


def multi_metrics(labels: list[str]) -> dict[str, Any]:
    random = np.random.default_rng(1)
    targets = random.integers(0, 2, (ROWS, len(labels)))
    thresholds = dict.fromkeys(labels, 0.5)
    section = evaluate_multi(random.random(targets.shape), targets, labels, thresholds, resamples=0)
    return {"validation": section, "test": section}


def manifest(labels: list[str], metrics: dict[str, Any], **fields: Any) -> Manifest:
    parity = Parity(
        rows=1_030,
        max_abs_logit_diff=0.123456789,
        tolerance=1.23456789,
        label_agreement=0.987654321,
        min_label_agreement=0.98,
        close_rows=[*range(1_030)],
    )
    variants = {
        name: VariantEntry(file=f"onnx/{name}.onnx", precision="int8", size_bytes=10**8, parity=parity)
        for name in ("fp32", "int8", "int8-static", "fp16")
    }
    return Manifest(
        name="catalogue",
        task=fields.pop("task", "single-label"),
        labels=labels,
        max_length=256,
        inputs=["input_ids"],
        variants=variants,
        data={"class_counts": dict.fromkeys(labels, 1_234)},
        metrics=manifest_summary(metrics),
        created_at=datetime.now(UTC),
        **fields,
    )


def size(found: Manifest) -> int:
    return len(found.model_dump_json(indent=2, exclude_none=True))


def test_a_manifest_of_1500_classes_has_less_than_300_kib() -> None:
    labels = names(1_500)
    columns = [CategoricalColumn(name="brand", values=[f"brand {number}" for number in range(1_000)])]
    found = manifest(
        labels, single_metrics(labels), metadata=columns, values=[float(n) for n in range(1_500)]
    )
    assert size(found) < 300 * KIB


def test_a_manifest_of_1500_thresholds_has_less_than_384_kib() -> None:
    labels = names(1_500)
    thresholds = dict.fromkeys(labels, 0.123456789012345)
    found = manifest(labels, multi_metrics(labels), task="multi-label", thresholds=thresholds)
    assert size(found) < 384 * KIB


def test_the_size_grows_by_a_line_for_each_label_and_not_by_their_square() -> None:
    few, many = (size(manifest(names(count), single_metrics(names(count)))) for count in (1_000, 4_000))
    assert (many - few) / 3_000 < 3 * len(names(1)[0])


def test_the_summary_keeps_every_number_and_drops_tables_at_any_depth() -> None:
    labels = names(3)
    metrics = single_metrics(labels)
    summary = manifest_summary(metrics)
    assert summary["training"] == {
        "seed": 42,
        "base_model": "m",
        "imbalance": {"class_weights": "inverse"},
    }
    for split in ("validation", "test"):
        dropped = {"per_label", "per_label_intervals", "confusion", "confusion_cells"}
        assert set(metrics[split]) - set(summary[split]) == dropped
        assert summary[split]["macro_f1"] == metrics[split]["macro_f1"]


@pytest.mark.parametrize("count", [3, 150])
def test_confusion_csv_has_every_cell_with_rows(tmp_path: Path, count: int) -> None:
    labels = [f'{number}, "quoted"\nlabel' for number in range(count)]
    metrics = single_metrics(labels)
    write_metrics(tmp_path, metrics, labels)
    with (tmp_path / "confusion.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    random = np.random.default_rng(1)
    targets = random.integers(0, count, ROWS)
    predicted = random.random((ROWS, count)).argmax(axis=1)
    expected = np.zeros((count, count), dtype=int)
    np.add.at(expected, (targets, predicted), 1)
    for split in ("validation", "test"):
        found = np.zeros_like(expected)
        for row in rows:
            if row["split"] == split:
                found[labels.index(row["label"]), labels.index(row["predicted"])] += int(row["rows"])
        np.testing.assert_array_equal(found, expected)
    stored = orjson.loads((tmp_path / "metrics.json").read_bytes())
    assert "confusion_cells" not in stored["test"]
    assert set(stored["test"]["per_label"]) == set(labels)
    assert stored["test"].get("confusion") == (expected.tolist() if count <= 100 else None)


def test_the_metrics_of_1500_classes_have_less_than_1_mib(tmp_path: Path) -> None:
    labels = names(1_500)
    write_metrics(tmp_path, single_metrics(labels), labels)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1_024 * KIB


def test_metrics_without_a_confusion_give_no_file(tmp_path: Path) -> None:
    write_metrics(tmp_path, {"exported": {"model": "m"}, "calibration": None}, ["a"])
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_most_confused_names_the_most_frequent_wrong_label() -> None:
    assert most_confused([(0, 0, 9), (0, 1, 2), (0, 2, 3), (1, 1, 5), (2, 0, 1)]) == {0: (3, 2), 2: (1, 0)}


def test_the_model_card_shows_the_weakest_of_many_labels() -> None:
    labels = names(1_500)
    metrics = single_metrics(labels)
    metrics["test"]["per_label"][labels[1_234]]["f1"] = -1.0
    del metrics["training"]
    card = model_card(manifest(labels, metrics), metrics)
    assert len(card) < 32 * KIB
    assert "The 50 of 1500 labels with the lowest F1" in card
    assert f"| {labels[1_234]} |" in card
    assert "and 1010 more, which labelstream.json lists" in card


def test_show_and_diff_print_the_first_of_many_labels(tmp_path: Path) -> None:
    one = make_bundle_of(BY_NAME["single"], tmp_path)
    two = make_bundle_of(BY_NAME["single"], tmp_path)
    labels = names(1_500)
    thresholds = dict.fromkeys(labels, 0.5)
    changed = two.manifest.model_copy(update={"labels": labels, "thresholds": thresholds})
    (two.path / FILE_NAME).write_text(changed.model_dump_json(exclude_none=True))
    shown = CliRunner().invoke(app, ["show", str(two.path)]).stdout
    compared = CliRunner().invoke(app, ["diff", str(one.path), str(two.path)]).stdout
    for output in (shown, compared):
        assert labels[0] in output
        assert labels[1_400] not in output
        assert "1,450 more; --json prints all" in output
        assert len(output) < 16 * KIB
    assert labels[1_400] in CliRunner().invoke(app, ["show", str(two.path), "--json"]).stdout


def bundle_of_size(folder: Path, count: int) -> Bundle:
    bundle = make_bundle_of(BY_NAME["single"], folder)
    file = bundle.path / FILE_NAME
    file.write_bytes(file.read_bytes() + b" " * (count - file.stat().st_size))
    return bundle


def test_a_manifest_beyond_the_limit_is_refused_by_name(tmp_path: Path) -> None:
    limit = MAX_MANIFEST_BYTES
    read_bundle(bundle_of_size(tmp_path, limit).path)
    bundle = bundle_of_size(tmp_path, limit + 1)
    for read in (read_bundle, open_bundle):
        with pytest.raises(BundleError, match=str(bundle.path / FILE_NAME)) as raised:
            read(bundle.path)
        assert f"{limit + 1:,} bytes; the limit is {limit:,}" in raised.value.cause
        assert raised.value.exit_code == 3


def test_a_manifest_of_an_earlier_version_with_matrices_is_read(tmp_path: Path) -> None:
    bundle = make_bundle_of(BY_NAME["single"], tmp_path)
    file = bundle.path / FILE_NAME
    fields = orjson.loads(file.read_bytes())
    fields["metrics"] = {"validation": {"confusion": [[0] * 1_000] * 1_000}, "test": {"macro_f1": 0.5}}
    file.write_bytes(orjson.dumps(fields))
    assert open_bundle(bundle.path).manifest.metrics["test"]["macro_f1"] == 0.5


def test_a_bundle_whose_manifest_no_reader_accepts_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "MAX_MANIFEST_BYTES", 1_000)
    with pytest.raises(BundleError, match="cannot be published") as raised:
        make_bundle_of(BY_NAME["single"], tmp_path)
    assert "the limit is 1,000" in raised.value.cause
    assert not [path for path in (tmp_path / "single").iterdir() if not path.name.startswith(".staging")]
