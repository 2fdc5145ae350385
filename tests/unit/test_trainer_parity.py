"""The gate between export and store: what passes, what is refused, and what is left behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from stream.bundle import Bundle, SpanRules, open_bundle
from stream.bundle.manifest import CategoricalColumn, MetadataColumn, NumericColumn, Windows
from stream.classify.inputs import TextInput
from stream.classify.parity import compare, infer_all, read_lengths, read_reference, within_tolerance
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime
from tests.real.architectures import TAGS, make_architecture
from tests.real.tiny_bundle import LABELS, TEXTS, make_tiny_bundle, save_tiny_base
from trainer.export.margins import decision_margins
from trainer.export.package import About, Served, build_bundle, staging_folder
from trainer.export.parity import FP32_TERMS, Terms, Validation, least_share, measure, prove, unproven
from trainer.export.reference import AWKWARD, awkward_rows, spread, write_reference

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


def build(folder: Path, model: Any, tokenizer: Any, served: Served, rows: list[TextInput]) -> Bundle:
    with staging_folder(folder, "built") as staging:
        return build_bundle(staging, model, tokenizer, served, rows, About("built"), folder, variants=())


def test_a_bundle_is_published_with_what_was_measured(tiny: Bundle, store: Path) -> None:
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


def test_reference_holds_real_and_awkward_texts_of_every_length(tiny: Bundle) -> None:
    rows, _ = read_reference(tiny)
    texts = [row.text for row in rows]
    assert texts[: len(TEXTS)] == TEXTS
    assert {*AWKWARD, ""} <= set(texts)
    lengths = {len(tokens) for tokens in Tokeniser(tiny).encode(rows)}
    assert {2, 3, 4, 6, 10, 18, 34, 63, 64} <= lengths
    assert max(lengths) == tiny.manifest.max_length


@pytest.mark.parametrize(("rows", "most", "taken"), [(10, 4, [0, 3, 6, 9]), (4, 4, [0, 1, 2, 3]), (0, 4, [])])
def test_rows_are_thinned_evenly(rows: int, most: int, taken: list[int]) -> None:
    assert spread(rows, most) == taken


def test_awkward_pairs_have_each_side_empty_and_awkward(tmp_path: Path) -> None:
    _, tokenizer = save_tiny_base(tmp_path)
    rows = awkward_rows(tokenizer, 64, pair=True, metadata=COLUMNS)
    sides = {(bool(row.text), bool(row.text_pair)) for row in rows}
    assert sides == {(True, True), (True, False), (False, True), (False, False)}
    assert {row.text for row in rows} >= {*AWKWARD} <= {row.text_pair for row in rows}
    metadata = [row.metadata for row in rows]
    assert None in metadata
    assert {"age": 1, "channel": "email"} in metadata
    assert {"age": "never seen before", "channel": "never seen before"} in metadata


def test_the_reference_is_read_as_it_was_written(tiny: Bundle, tmp_path: Path) -> None:
    rows = [TextInput("a", "b", {"age": np.float64(3.5), "channel": None}), TextInput("c")]
    write_reference(tmp_path, rows, [np.ones((3, 2), np.float32), np.zeros((1, 2), np.float32)])
    manifest = tiny.manifest.model_copy(update={"task": "token", "labels": ["O", "B-X"]})
    found, logits = read_reference(Bundle(tmp_path, manifest, ""))
    assert found == [TextInput("a", "b", {"age": 3.5, "channel": None}), TextInput("c")]
    assert logits.shape == (4, 2)
    assert read_lengths(Bundle(tmp_path, manifest, ""), 2).tolist() == [3, 1]


def perturbed(tiny: Bundle, folder: Path, by: float) -> Bundle:
    """The bundle with another bias of its first label."""
    model = onnx.load(tiny.path / "onnx/model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "classifier.bias":
            moved = onnx.numpy_helper.to_array(tensor) + np.float32([by, 0, 0, 0, 0, 0])
            tensor.CopyFrom(onnx.numpy_helper.from_array(moved, tensor.name))
    (folder / "onnx").mkdir()
    onnx.save(model, folder / "onnx/model.onnx")
    for name in ("tokenizer.json", "reference.jsonl", "reference.npz"):
        (folder / name).write_bytes((tiny.path / name).read_bytes())
    return Bundle(folder, tiny.manifest, "")


def test_a_graph_with_perturbed_weights_is_refused_and_the_rows_are_named(
    tiny: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(BundleError) as refused:
        prove(perturbed(tiny, tmp_path, 0.5), "fp32")
    assert refused.value.exit_code == 3
    assert refused.value.why.count("by 0.5") == 5
    assert "row " in refused.value.why


def test_labels_may_change_only_where_the_margin_is_smaller_than_twice_the_tolerance(
    tiny: Bundle, tmp_path: Path
) -> None:
    _, logits = read_reference(tiny)
    margins = decision_margins(logits, tiny.manifest)
    wide = Terms(float(np.sort(margins)[2]))
    parity, over = measure(perturbed(tiny, tmp_path, wide.tolerance / 2), "fp32", wide)
    assert over == ""
    assert parity.min_label_agreement < 1
    close = np.flatnonzero(margins <= 2 * parity.max_abs_logit_diff).tolist()
    assert parity.close_rows == close != []


def test_a_variant_that_costs_the_metric_too_much_is_refused(tiny: Bundle) -> None:
    calls: list[int] = []

    def worse_each_time(output: Any) -> float:
        calls.append(len(output))
        return 0.9 - 0.02 * (len(calls) - 1)

    terms = replace(FP32_TERMS, max_metric_loss=0.01)
    parity, over = measure(tiny, "fp32", terms, Validation(5, worse_each_time))
    assert calls == [5, 5]
    assert parity.metric_loss == pytest.approx(0.02)
    assert "the metric is 0.0200 worse (allowed 0.01)" in over
    assert not within_tolerance(parity)
    assert measure(tiny, "fp32", terms, Validation(5, lambda _: 0.9))[1] == ""


def test_awkward_rows_may_change_sides_more_often_than_real_ones(tiny: Bundle, tmp_path: Path) -> None:
    rows, logits = read_reference(tiny)
    moved = perturbed(tiny, tmp_path, 0.15)
    found = infer_all(OnnxRuntime(moved, "fp32"), Tokeniser(moved), rows)
    same = logits.argmax(axis=1) == found.argmax(axis=1)
    # Rows in an order in which all that change stand behind the "real" ones.
    order = np.argsort(~same, kind="stable")
    write_reference(tmp_path, [rows[at] for at in order], logits[order])
    real = int(same.sum())
    assert 0.86 < same.mean() < 1, "the perturbation moves too little or too much for this test"
    terms = Terms(1, 1.0)
    parity, over = measure(moved, "fp32", terms, Validation(real))
    assert over == ""
    assert parity.validation_agreement == 1
    assert 0.85 < parity.min_label_agreement < 1
    _, over = measure(moved, "fp32", terms, Validation(len(rows)))
    assert "of the validation rows" in over


def test_a_batch_of_mixed_lengths_is_measured(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[set[int]] = []
    run = OnnxRuntime.infer

    def watched(self: OnnxRuntime, inputs: Any) -> Any:
        widths.append({*inputs["attention_mask"].sum(axis=1).tolist()})
        return run(self, inputs)

    monkeypatch.setattr(OnnxRuntime, "infer", watched)
    measure(tiny, "fp32", FP32_TERMS)
    assert {2, 64} <= widths[-1]
    assert len(widths[-1]) > 4


def test_margins_follow_the_head(tiny: Bundle) -> None:
    logits = np.float32([[2, 5, 4], [0, 0, 0]])
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


def test_a_graph_that_was_not_measured_fails_the_gate() -> None:
    assert not within_tolerance(unproven())


def test_logits_that_are_not_finite_publish_nothing_and_leave_nothing(tmp_path: Path) -> None:
    import torch

    model, tokenizer = save_tiny_base(tmp_path / "base")
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    store = tmp_path / "store"
    with pytest.raises(BundleError, match="not finite"):
        build(store, model, tokenizer, Served("single-label", LABELS, 64), ROWS)
    assert not store.exists()


def test_worker_and_torch_agree_on_texts_of_any_mix(tiny: Bundle, tmp_path: Path) -> None:
    from trainer.model.encoding import Preprocessing
    from trainer.model.inference import torch_logits

    model, tokenizer = save_tiny_base(tmp_path)
    rows = [TextInput(t) for t in ["?", "refund " * 100, "login\x00\u2028", *TEXTS, "☕" * 90]]
    found = infer_all(OnnxRuntime(tiny, "fp32"), Tokeniser(tiny), rows)
    reference = torch_logits(model, tokenizer, rows, Preprocessing(64))
    assert within_tolerance(compare(reference, found, tolerance=1e-4, min_label_agreement=1.0))


def test_pairs_metadata_and_regression_travel_with_their_facts(tmp_path: Path) -> None:
    import torch

    from trainer.model.heads import TextClassifier

    classifier, tokenizer = save_tiny_base(tmp_path / "base", labels=["stars"])
    torch.manual_seed(3)
    model = TextClassifier(classifier.bert, pooling="mean", classifier="mlp", metadata=COLUMNS).eval()
    torch.nn.init.normal_(model.classifier[0].weight, std=0.1)  # those for metadata begin at zero
    served = Served("regression", ["stars"], 64, text_pair=True, metadata=COLUMNS)
    rows = [TextInput(text, TEXTS[0], {"age": 30 + at, "channel": "chat"}) for at, text in enumerate(TEXTS)]
    bundle = build(tmp_path / "store", model, tokenizer, served, rows)
    manifest = open_bundle(bundle.path).manifest
    assert manifest.inputs == ["input_ids", "attention_mask", "token_type_ids", "metadata"]
    assert (manifest.task, manifest.text_pair, manifest.metadata) == ("regression", True, COLUMNS)
    assert manifest.variants["fp32"].parity.max_abs_logit_diff < 1e-3
    assert read_reference(bundle)[0][0].metadata == {"age": 30, "channel": "chat"}


def test_a_head_that_ignores_its_metadata_is_refused(tmp_path: Path) -> None:
    model, tokenizer = save_tiny_base(tmp_path / "base")
    served = Served("single-label", LABELS, 64, metadata=COLUMNS)
    with pytest.raises(BundleError):
        build(tmp_path / "store", model, tokenizer, served, ROWS)


@pytest.mark.parametrize("windows", [None, Windows(stride=4, most=4)])
def test_tokens_are_held_against_torch_one_by_one(tmp_path: Path, windows: Windows | None) -> None:
    model, tokenizer = make_architecture("bert", token=True)
    served = Served("token", TAGS, 32, windows=windows, spans=SpanRules())
    bundle = build(tmp_path, model, tokenizer, served, ROWS)
    rows, logits = read_reference(bundle)
    lengths = read_lengths(bundle, len(rows))
    assert lengths.sum() == len(logits)
    assert (lengths.max() > 32) == (windows is not None)
    parity = bundle.manifest.variants["fp32"].parity
    assert parity.max_abs_logit_diff < 1e-4
    assert parity.rows > len(logits)


@pytest.mark.parametrize(
    ("asked", "decisions", "least"),
    [
        (0.98, 96, 94 / 96),
        (0.98, 50, 0.98),
        (0.98, 1000, 0.98),
        (0.98, 3, 2 / 3),
        (1.0, 7, 1.0),
        (0.98, 0, 0.98),
    ],
)
def test_a_share_is_asked_in_whole_decisions(asked: float, decisions: int, least: float) -> None:
    assert least_share(asked, decisions) == pytest.approx(least)
    assert least_share(None, decisions) is None
