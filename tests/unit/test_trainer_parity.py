"""The parity check of exported graphs, and the reference rows it uses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from stream.bundle import (
    Bundle,
    CategoricalColumn,
    MetadataColumn,
    NumericColumn,
    SpanRules,
    Windows,
    open_bundle,
)
from stream.classify import TextInput, Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime
from stream.verify import compare, infer_all, read_lengths, read_reference, within_tolerance
from tests.real.architectures import TAGS, make_architecture
from tests.real.tiny_bundle import LABELS, TEXTS, make_tiny_bundle, save_tiny_base
from trainer.export.agreement import rounded_min_agreement
from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
from trainer.export.package import build_bundle, staging_folder
from trainer.export.parity import (
    FP32_LIMITS,
    ParityLimits,
    ValidationRows,
    check_parity,
    decision_margins,
    measure_parity,
    unmeasured_parity,
)
from trainer.export.reference import EDGE_CASE_TEXTS, edge_case_rows, evenly_spaced, write_reference

ROWS = [TextInput(text) for text in TEXTS]
COLUMNS: list[MetadataColumn] = [
    NumericColumn(name="age", mean=40, std=10),
    CategoricalColumn(name="channel", values=["email", "chat"]),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def tiny(store: Path) -> Bundle:
    return make_tiny_bundle(store)


def build(
    folder: Path, model: Any, tokenizer: Any, inference: InferenceConfig, rows: list[TextInput]
) -> Bundle:
    source = BundleSource(model, tokenizer, inference, BundleInfo("built"), rows, variants=())
    with staging_folder(folder, "built") as staging:
        return build_bundle(source, staging, folder)


def test_a_published_bundle_has_the_measured_parity(tiny: Bundle, store: Path) -> None:
    opened = open_bundle("tiny", store)
    assert opened == tiny
    parity = opened.manifest.variants["fp32"].parity
    assert within_tolerance(parity)
    assert parity.max_abs_logit_diff < 1e-4
    assert parity.device == "cpu"
    assert parity.close_rows == []
    assert opened.manifest.inputs == ["input_ids", "attention_mask", "token_type_ids"]
    names = {"config.json", "tokenizer.json", "README.md", "reference.jsonl", "reference.npz", "metrics.json"}
    assert names <= opened.manifest.files.keys()
    assert [path.name for path in (store / "tiny").glob(".staging*")] == []


def test_the_graph_is_dynamic_in_rows_and_tokens(tiny: Bundle) -> None:
    graph = onnx.load(tiny.path / "onnx/model.onnx").graph
    (logits,) = graph.output
    assert logits.name == "logits"
    for node in graph.input:
        assert node.type.tensor_type.elem_type == onnx.TensorProto.INT64
        assert all(dimension.dim_param for dimension in node.type.tensor_type.shape.dim)


def test_the_reference_has_real_texts_and_edge_cases_of_every_length(tiny: Bundle) -> None:
    rows, _ = read_reference(tiny)
    texts = [row.text for row in rows]
    assert texts[: len(TEXTS)] == TEXTS
    assert {*EDGE_CASE_TEXTS, ""} <= set(texts)
    lengths = {len(tokens) for tokens in Tokeniser(tiny).encode(rows)}
    assert {2, 3, 4, 6, 10, 18, 34, 63, 64} <= lengths
    assert max(lengths) == tiny.manifest.max_length


@pytest.mark.parametrize(
    ("rows", "limit", "taken"), [(10, 4, [0, 3, 6, 9]), (4, 4, [0, 1, 2, 3]), (0, 4, [])]
)
def test_rows_are_evenly_spaced(rows: int, limit: int, taken: list[int]) -> None:
    assert evenly_spaced(rows, limit) == taken


def test_edge_cases_of_pairs_have_each_side_empty_and_unusual(tmp_path: Path) -> None:
    _, tokenizer = save_tiny_base(tmp_path)
    rows = edge_case_rows(tokenizer, 64, pair=True, metadata=COLUMNS)
    sides = {(bool(row.text), bool(row.text_pair)) for row in rows}
    assert sides == {(True, True), (True, False), (False, True), (False, False)}
    assert {row.text for row in rows} >= {*EDGE_CASE_TEXTS} <= {row.text_pair for row in rows}
    metadata = [row.metadata for row in rows]
    assert None in metadata
    assert {"age": 1, "channel": "email"} in metadata
    assert {"age": "never seen before", "channel": "never seen before"} in metadata


def test_a_written_reference_is_read_unchanged(tiny: Bundle, tmp_path: Path) -> None:
    rows = [TextInput("a", "b", {"age": np.float64(3.5), "channel": None}), TextInput("c")]
    write_reference(tmp_path, rows, [np.ones((3, 2), np.float32), np.zeros((1, 2), np.float32)])
    manifest = tiny.manifest.model_copy(update={"task": "token", "labels": ["O", "B-X"]})
    read_rows, logits = read_reference(Bundle(tmp_path, manifest, ""))
    assert read_rows == [TextInput("a", "b", {"age": 3.5, "channel": None}), TextInput("c")]
    assert logits.shape == (4, 2)
    assert read_lengths(Bundle(tmp_path, manifest, ""), 2).tolist() == [3, 1]


def perturbed(tiny: Bundle, folder: Path, by: float) -> Bundle:
    """Return the bundle with another logit of its first label."""
    model = onnx.load(tiny.path / "onnx/model.onnx")
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "unmoved"
    moved = np.array([by, 0, 0, 0, 0, 0], dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(moved, "moved"))
    model.graph.node.append(onnx.helper.make_node("Add", ["unmoved", "moved"], ["logits"]))
    (folder / "onnx").mkdir()
    onnx.save(model, folder / "onnx/model.onnx")
    for name in ("tokenizer.json", "reference.jsonl", "reference.npz"):
        (folder / name).write_bytes((tiny.path / name).read_bytes())
    return Bundle(folder, tiny.manifest, "")


def test_the_error_for_perturbed_weights_names_the_rows(tiny: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as refused:
        check_parity(perturbed(tiny, tmp_path, 0.5), "fp32")
    assert refused.value.exit_code == 3
    assert refused.value.cause.count("by 0.5") == 5
    assert "row " in refused.value.cause


def test_labels_may_change_only_for_margins_below_twice_the_tolerance(tiny: Bundle, tmp_path: Path) -> None:
    _, logits = read_reference(tiny)
    margins = decision_margins(logits, tiny.manifest)
    wide = ParityLimits(float(np.sort(margins)[2]))
    parity, failure = measure_parity(perturbed(tiny, tmp_path, wide.tolerance / 2), "fp32", wide)
    assert failure == ""
    assert parity.min_label_agreement < 1
    close = np.flatnonzero(margins <= 2 * parity.max_abs_logit_diff).tolist()
    assert parity.close_rows == close != []


def test_a_variant_with_a_large_metric_loss_is_refused(tiny: Bundle) -> None:
    calls: list[int] = []

    def worse_each_time(output: Any) -> float:
        calls.append(len(output))
        return 0.9 - 0.02 * (len(calls) - 1)

    limits = replace(FP32_LIMITS, max_metric_loss=0.01)
    parity, failure = measure_parity(tiny, "fp32", limits, ValidationRows(5, worse_each_time))
    assert calls == [5, 5]
    assert parity.metric_loss == pytest.approx(0.02)
    assert "metric loss 0.0200 (allowed 0.01)" in failure
    assert not within_tolerance(parity)
    assert measure_parity(tiny, "fp32", limits, ValidationRows(5, lambda _: 0.9))[1] == ""


def test_the_required_agreement_is_lower_for_edge_cases_than_for_real_rows(
    tiny: Bundle, tmp_path: Path
) -> None:
    rows, logits = read_reference(tiny)
    moved = perturbed(tiny, tmp_path, 0.15)
    perturbed_logits = infer_all(OnnxRuntime(moved, "fp32"), Tokeniser(moved), rows)
    same = logits.argmax(axis=1) == perturbed_logits.argmax(axis=1)
    # All rows whose label changes come after the "real" rows.
    order = np.argsort(~same, kind="stable")
    write_reference(tmp_path, [rows[at] for at in order], logits[order])
    real = int(same.sum())
    assert 0.86 < same.mean() < 1, "the perturbation is too small or too large for this test"
    limits = ParityLimits(1, 1.0)
    parity, failure = measure_parity(moved, "fp32", limits, ValidationRows(real))
    assert failure == ""
    assert parity.validation_agreement == 1
    assert 0.85 < parity.min_label_agreement < 1
    _, failure = measure_parity(moved, "fp32", limits, ValidationRows(len(rows)))
    assert "of the validation rows" in failure


def test_a_batch_of_mixed_lengths_is_measured(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[set[int]] = []
    run = OnnxRuntime.infer

    def watched(self: OnnxRuntime, inputs: Any) -> Any:
        widths.append({*inputs["attention_mask"].sum(axis=1).tolist()})
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntime, "infer", watched)
    measure_parity(tiny, "fp32", FP32_LIMITS)
    assert {2, 64} <= widths[-1]
    assert len(widths[-1]) > 4


def test_margins_depend_on_the_head(tiny: Bundle) -> None:
    logits = np.array([[2, 5, 4], [0, 0, 0]], dtype=np.float32)
    manifest = tiny.manifest.model_copy(update={"labels": ["a", "b", "c"]})
    assert decision_margins(logits, manifest).tolist() == [1, 0]
    several = manifest.model_copy(
        update={"task": "multi-label", "temperature": 2.0, "thresholds": {"a": 0.5, "b": 0.5, "c": 0.75}}
    )
    border = 2 * np.log(3)
    np.testing.assert_allclose(
        decision_margins(logits, several), [[4, 10, 2 * (4 - border)], [0, 0, 2 * border]], rtol=1e-6
    )
    number = manifest.model_copy(update={"task": "regression", "labels": ["n"]})
    assert np.isinf(decision_margins(logits[:, :1], number)).all()


def test_an_unmeasured_graph_fails_the_check() -> None:
    assert not within_tolerance(unmeasured_parity())


def test_non_finite_logits_publish_nothing_and_leave_no_files(tmp_path: Path) -> None:
    import torch

    model, tokenizer = save_tiny_base(tmp_path / "base")
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    store = tmp_path / "store"
    with pytest.raises(BundleError, match="not finite"):
        build(store, model, tokenizer, InferenceConfig("single-label", LABELS, 64), ROWS)
    assert not store.exists()


def test_worker_and_torch_agree_on_mixed_texts(tiny: Bundle, tmp_path: Path) -> None:
    from trainer.model.encoding import Preprocessing
    from trainer.model.inference import torch_logits

    model, tokenizer = save_tiny_base(tmp_path)
    rows = [TextInput(t) for t in ["?", "refund " * 100, "login\x00\u2028", *TEXTS, "☕" * 90]]
    logits = infer_all(OnnxRuntime(tiny, "fp32"), Tokeniser(tiny), rows)
    reference = torch_logits(model, tokenizer, rows, Preprocessing(64))
    assert within_tolerance(compare(reference, logits, tolerance=1e-4, min_label_agreement=1.0))


def test_pairs_metadata_and_regression_are_in_the_manifest(tmp_path: Path) -> None:
    import torch

    from trainer.model.heads import TextClassifier

    classifier, tokenizer = save_tiny_base(tmp_path / "base", labels=["stars"])
    torch.manual_seed(3)
    model = TextClassifier(classifier.bert, pooling="mean", classifier="mlp", metadata=COLUMNS).eval()
    torch.nn.init.normal_(model.classifier[0].weight, std=0.1)  # the weights for metadata start at zero
    inference = InferenceConfig("regression", ["stars"], 64, text_pair=True, metadata=COLUMNS)
    rows = [TextInput(text, TEXTS[0], {"age": 30 + at, "channel": "chat"}) for at, text in enumerate(TEXTS)]
    bundle = build(tmp_path / "store", model, tokenizer, inference, rows)
    manifest = open_bundle(bundle.path).manifest
    assert manifest.inputs == ["input_ids", "attention_mask", "token_type_ids", "metadata"]
    assert (manifest.task, manifest.text_pair, manifest.metadata) == ("regression", True, COLUMNS)
    assert manifest.variants["fp32"].parity.max_abs_logit_diff < 1e-3
    assert read_reference(bundle)[0][0].metadata == {"age": 30, "channel": "chat"}


def test_a_head_that_ignores_its_metadata_is_refused(tmp_path: Path) -> None:
    model, tokenizer = save_tiny_base(tmp_path / "base")
    inference = InferenceConfig("single-label", LABELS, 64, metadata=COLUMNS)
    with pytest.raises(BundleError):
        build(tmp_path / "store", model, tokenizer, inference, ROWS)


@pytest.mark.parametrize("windows", [None, Windows(stride=4, most=4)])
def test_every_token_is_compared_with_torch(tmp_path: Path, windows: Windows | None) -> None:
    model, tokenizer = make_architecture("bert", token=True)
    inference = InferenceConfig("token", TAGS, 32, windows=windows, spans=SpanRules())
    bundle = build(tmp_path, model, tokenizer, inference, ROWS)
    rows, logits = read_reference(bundle)
    lengths = read_lengths(bundle, len(rows))
    assert lengths.sum() == len(logits)
    assert (lengths.max() > 32) == (windows is not None)
    parity = bundle.manifest.variants["fp32"].parity
    assert parity.max_abs_logit_diff < 1e-4
    assert parity.rows > len(logits)


@pytest.mark.parametrize(
    ("required", "decisions", "rounded"),
    [
        (0.98, 96, 94 / 96),
        (0.98, 50, 0.98),
        (0.98, 1000, 0.98),
        (0.98, 3, 2 / 3),
        (1.0, 7, 1.0),
        (0.98, 0, 0.98),
    ],
)
def test_the_required_agreement_is_rounded_to_whole_decisions(
    required: float, decisions: int, rounded: float
) -> None:
    assert rounded_min_agreement(required, decisions) == pytest.approx(rounded)
    assert rounded_min_agreement(None, decisions) is None
