"""The gate between export and store: what passes, what is refused, and what is left behind."""

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify.parity import compare, infer_all, read_reference, within_tolerance
from stream.classify.tokenise import Tokeniser
from stream.errors import BundleError
from stream.runtime import OnnxRuntime
from tests.real.tiny_bundle import TEXTS, make_tiny_bundle, save_tiny_base
from trainer.package import About, build_bundle, staging_folder
from trainer.parity import AWKWARD, prove, reference_texts, unproven


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def tiny(store: Path) -> Bundle:
    return make_tiny_bundle(store)


def test_a_bundle_is_published_with_what_was_measured(tiny: Bundle, store: Path) -> None:
    opened = open_bundle("tiny", store)
    assert opened == tiny
    entry = opened.manifest.variants["fp32"]
    assert within_tolerance(entry.parity)
    assert entry.parity.max_abs_logit_diff < 1e-4
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


def test_reference_holds_awkward_texts_and_every_length(tiny: Bundle) -> None:
    rows, _ = read_reference(tiny)
    texts = [row.text for row in rows]
    assert set(AWKWARD) <= set(texts)
    lengths = {len(tokens) for tokens in Tokeniser(tiny).encode(rows)}
    assert {3, 4, 6, 10, 18, 34, 63, 64} <= lengths
    assert max(lengths) == tiny.manifest.max_length


def test_at_most_256_real_texts_are_taken_spread_evenly() -> None:
    class Tokenizer:
        def num_special_tokens_to_add(self) -> int:
            return 2

    texts = [f"t{n}" for n in range(1000)]
    taken = [text for text in reference_texts(texts, Tokenizer(), 16) if text.startswith("t")]
    assert taken == texts[::4]


def test_a_graph_with_perturbed_weights_is_refused_and_the_rows_are_named(
    tiny: Bundle, tmp_path: Path
) -> None:
    model = onnx.load(tiny.path / "onnx/model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "classifier.bias":
            moved = onnx.numpy_helper.to_array(tensor) + np.float32([0.5, 0, 0, 0, 0, 0])
            tensor.CopyFrom(onnx.numpy_helper.from_array(moved, tensor.name))
    (tmp_path / "onnx").mkdir()
    onnx.save(model, tmp_path / "onnx/model.onnx")
    for name in ("tokenizer.json", "reference.jsonl", "reference.npz"):
        (tmp_path / name).write_bytes((tiny.path / name).read_bytes())
    with pytest.raises(BundleError) as refused:
        prove(Bundle(tmp_path, tiny.manifest, ""), "fp32")
    assert refused.value.exit_code == 3
    assert refused.value.why.count("by 0.5") == 5
    assert "row " in refused.value.why


def test_a_graph_that_was_not_measured_fails_the_gate() -> None:
    assert not within_tolerance(unproven(3))


def test_logits_that_are_not_finite_publish_nothing_and_leave_nothing(tmp_path: Path) -> None:
    import torch

    model, tokenizer = save_tiny_base(tmp_path / "base")
    with torch.no_grad():
        model.classifier.bias[0] = float("nan")
    store = tmp_path / "store"
    with pytest.raises(BundleError, match="not finite"), staging_folder(store, "broken") as staging:
        build_bundle(staging, model, tokenizer, TEXTS, 64, About("broken"), store)
    assert not store.exists()


def test_worker_and_torch_agree_on_texts_of_any_mix(tiny: Bundle, tmp_path: Path) -> None:
    from stream.classify.inputs import TextInput
    from trainer.inference import torch_logits

    model, tokenizer = save_tiny_base(tmp_path)
    texts = ["?", "refund " * 100, "login\x00\u2028", *TEXTS, "☕" * 90]
    found = infer_all(OnnxRuntime(tiny, "fp32"), Tokeniser(tiny), [TextInput(text) for text in texts])
    reference = torch_logits(model, tokenizer, texts, 64)
    assert within_tolerance(compare(reference, found, tolerance=1e-4, min_label_agreement=1.0))
