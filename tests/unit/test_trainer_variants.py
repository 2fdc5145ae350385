"""The variants int8, int8-static and fp16: contents, parity and skipped variants."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify import TextInput, Tokeniser
from stream.runtime import OnnxRuntime
from stream.verify import infer_all, read_reference, within_tolerance
from tests.real.architectures import make_architecture
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from tests.unit.lenient import LENIENT, LENIENT_INT8, LENIENT_STATIC
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource, InferenceConfig
from trainer.export.graph import capture_graph
from trainer.export.package import build_bundle, staging_folder
from trainer.export.parity import ParityLimits
from trainer.export.variants import (
    FP16,
    INT8,
    INT8_STATIC,
    VariantPlan,
    VariantRecipe,
    available_variants,
    index_arithmetic,
)
from trainer.progress import silence_libraries

ROWS = [TextInput(text) for text in TEXTS]


class RecordingObserver:
    """Records warnings, and the total and completed units of each stage."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.stages: dict[str, list[int]] = {}

    def stage(self, name: str, total: int) -> "Counter":
        self.stages[name] = [total, 0]
        return Counter(self.stages[name])


class Counter:
    """Adds completed units to a stage."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

    def __call__(self, done: int) -> None:
        self.counts[1] += done


def build(
    folder: Path,
    *variants: VariantRecipe,
    calibration: Sequence[TextInput] = (),
    plan: VariantPlan | None = None,
    more_rows: Sequence[str] = (),
) -> tuple[Bundle, RecordingObserver]:
    silence_libraries()
    observed = RecordingObserver()
    model, tokenizer = save_tiny_base(folder / "base")
    store = folder / "store"
    with staging_folder(store, "v") as staging:
        source = BundleSource(
            model,
            tokenizer,
            InferenceConfig("single-label", LABELS, 64),
            BundleInfo("v"),
            ROWS,
            more_rows=[TextInput(text) for text in more_rows],
            calibration=calibration,
            variants=plan or variants,
        )
        observer = BuildObserver(observed.stage, observed.warnings.append)
        bundle = build_bundle(source, staging, store, observer)
    return bundle, observed


def broken(fp32: Path, file: Path, calibration: object) -> None:
    raise ValueError("no such operator\nat all")


def garbage(fp32: Path, file: Path, calibration: object) -> None:
    file.write_bytes(b"not a graph")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, RecordingObserver]:
    return build(tmp_path_factory.mktemp("both"), LENIENT_INT8, FP16)


def test_each_variant_has_its_file_device_and_parity_in_the_manifest(
    both: tuple[Bundle, RecordingObserver],
) -> None:
    bundle, observed = both
    assert observed.warnings == []
    variants = open_bundle(bundle.path).manifest.variants
    assert {name: (v.file, v.precision, v.device) for name, v in variants.items()} == {
        "fp32": ("onnx/model.onnx", "fp32", "any"),
        "int8": ("onnx/model_int8.onnx", "int8", "cpu"),
        "fp16": ("onnx/model_fp16.onnx", "fp16", "cuda"),
    }
    for entry in variants.values():
        assert within_tolerance(entry.parity)
        assert entry.size_bytes == (bundle.path / entry.file).stat().st_size
        assert entry.file in bundle.manifest.files
    differences = [variants[name].parity.max_abs_logit_diff for name in ("fp32", "fp16", "int8")]
    assert differences == sorted(differences)
    assert differences[0] < differences[1], "fp16 has no rounding error"
    card = (bundle.path / "README.md").read_text()
    assert all(entry.file in card for entry in variants.values())


def test_every_row_of_every_variant_is_measured(both: tuple[Bundle, RecordingObserver]) -> None:
    _, observed = both
    assert list(observed.stages) == ["export", "verify", "verify int8", "verify fp16"]
    assert all(total == done for total, done in observed.stages.values())


def test_int8_quantises_matrix_products_but_not_embeddings(both: tuple[Bundle, RecordingObserver]) -> None:
    graph = onnx.load(both[0].path / "onnx/model_int8.onnx").graph
    operators = [node.op_type for node in graph.node]
    assert "MatMulInteger" in operators
    assert any(
        "word_embeddings.weight" in tensor.name for tensor in graph.initializer if tensor.data_type == 1
    )
    zero_points = [t for t in graph.initializer if t.name.endswith("_zero_point") and t.dims]
    assert any(t.dims[0] > 1 for t in zero_points), "the weights are not quantised per channel"


def test_fp16_keeps_the_graphs_inputs_and_outputs(both: tuple[Bundle, RecordingObserver]) -> None:
    graph = onnx.load(both[0].path / "onnx/model_fp16.onnx").graph
    assert {node.type.tensor_type.elem_type for node in graph.input} == {onnx.TensorProto.INT64}
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    weights = {t.data_type for t in graph.initializer if len(t.dims) == 2} - {onnx.TensorProto.INT64}
    assert weights == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (replace(INT8, limits=ParityLimits(1e-6)), "largest logit difference"),
        (replace(INT8, limits=LENIENT, make=garbage), "the runtime cannot load the graph"),
        (replace(INT8, make=broken), "conversion failed: ValueError: no such operator"),
    ],
)
def test_a_failed_variant_is_skipped_with_one_line_and_fp32_stays(
    tmp_path: Path, recipe: VariantRecipe, reason: str
) -> None:
    bundle, observed = build(tmp_path, recipe)
    assert list(bundle.manifest.variants) == ["fp32"]
    (warning,) = observed.warnings
    assert warning.startswith("variant int8 is skipped: ")
    assert reason in warning
    assert "\n" not in warning
    assert not (bundle.path / recipe.file).exists()


def test_the_warning_has_the_measured_difference(tmp_path: Path) -> None:
    _, observed = build(tmp_path, replace(FP16, limits=ParityLimits(1e-6)))
    (warning,) = observed.warnings
    assert "allowed 1e-06" in warning
    assert "by 0.0" in warning


def test_static_int8_is_one_file_for_both_runtimes_and_independent_of_the_batch(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    bundle, observed = build(tmp_path, LENIENT_STATIC, calibration=ROWS)
    assert observed.warnings == []
    entry = bundle.manifest.variants["int8-static"]
    assert (entry.file, entry.precision, entry.device) == ("onnx/model_int8_static.onnx", "int8", "openvino")
    graph = onnx.load(bundle.path / entry.file).graph
    operators = {node.op_type for node in graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert "DynamicQuantizeLinear" not in operators
    tokeniser, runtime = Tokeniser(bundle), OnnxRuntime(bundle, "int8-static")
    rows, _ = read_reference(bundle)
    together = infer_all(runtime, tokeniser, rows[:8])
    alone = np.concatenate([infer_all(runtime, tokeniser, [row]) for row in rows[:8]])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_static_int8_without_calibration_texts_is_skipped(tmp_path: Path) -> None:
    _, observed = build(tmp_path, INT8_STATIC)
    (warning,) = observed.warnings
    assert warning.startswith(
        "variant int8-static is skipped: conversion failed: ValueError: there are no calibration texts"
    )


def test_static_int8_needs_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert [recipe.name for recipe in available_variants()] == ["int8", "fp16"]


def test_fp16_keeps_index_arithmetic_in_float32(tmp_path: Path) -> None:
    model, _ = make_architecture("mpnet")
    file = tmp_path / "onnx/model.onnx"
    capture_graph(model).write(model, file)
    kept = index_arithmetic(onnx.load(file))
    operators = [node.op_type for node in onnx.load(file).graph.node if node.name in kept]
    assert {"Log", "Div", "Cast"} <= set(operators)
    assert "MatMul" not in operators
