"""int8 and fp16 from the fp32 graph: what is kept, what is left out, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify.inputs import TextInput
from stream.classify.tokenise import Tokeniser
from stream.runtime import OnnxRuntime
from stream.verify.parity import infer_all, read_reference, within_tolerance
from tests.real.architectures import make_architecture
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from tests.unit.lenient import LENIENT, LENIENT_INT8, LENIENT_STATIC
from trainer.export import static_int8
from trainer.export.graph import export_onnx
from trainer.export.index_arithmetic import index_arithmetic
from trainer.export.package import About, Served, build_bundle, staging_folder
from trainer.export.parity import Terms
from trainer.export.variants import FP16, INT8, INT8_STATIC, VariantRecipe, available_variants
from trainer.quiet import silence_libraries

ROWS = [TextInput(text) for text in TEXTS]


class Told:
    """Keeps what was said, and the stages that were opened."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.stages: dict[str, list[int]] = {}

    def stage(self, name: str, total: int) -> "Counter":
        self.stages[name] = [total, 0]
        return Counter(self.stages[name])


class Counter:
    """Adds what is done to a stage."""

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

    def __call__(self, done: int) -> None:
        self.counts[1] += done


def build(
    folder: Path, *variants: VariantRecipe, calibration: Sequence[TextInput] = ()
) -> tuple[Bundle, Told]:
    silence_libraries()
    told = Told()
    model, tokenizer = save_tiny_base(folder / "base")
    store = folder / "store"
    with staging_folder(store, "v") as staging:
        bundle = build_bundle(
            staging,
            model,
            tokenizer,
            Served("single-label", LABELS, 64),
            ROWS,
            About("v"),
            store,
            told.stage,
            variants=variants,
            warn=told.warnings.append,
            calibration=calibration,
        )
    return bundle, told


def broken(fp32: Path, file: Path, calibration: object) -> None:
    raise ValueError("no such operator\nat all")


def garbage(fp32: Path, file: Path, calibration: object) -> None:
    file.write_bytes(b"not a graph")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Told]:
    return build(tmp_path_factory.mktemp("both"), LENIENT_INT8, FP16)


def test_each_variant_carries_its_file_its_device_and_its_own_proof(both: tuple[Bundle, Told]) -> None:
    bundle, told = both
    assert told.warnings == []
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
    assert differences[0] < differences[1], "fp16 rounds nothing?"
    card = (bundle.path / "README.md").read_text()
    assert all(entry.file in card for entry in variants.values())


def test_every_row_of_every_variant_is_measured(both: tuple[Bundle, Told]) -> None:
    _, told = both
    assert list(told.stages) == ["export", "verify", "verify int8", "verify fp16"]
    assert all(total == done for total, done in told.stages.values())


def test_int8_multiplies_in_int8_and_leaves_the_embeddings(both: tuple[Bundle, Told]) -> None:
    graph = onnx.load(both[0].path / "onnx/model_int8.onnx").graph
    operators = [node.op_type for node in graph.node]
    assert "MatMulInteger" in operators
    assert any(
        "word_embeddings.weight" in tensor.name for tensor in graph.initializer if tensor.data_type == 1
    )
    zero_points = [t for t in graph.initializer if t.name.endswith("_zero_point") and t.dims]
    assert any(t.dims[0] > 1 for t in zero_points), "weights are quantised per tensor"


def test_fp16_keeps_the_graphs_inputs_and_outputs(both: tuple[Bundle, Told]) -> None:
    graph = onnx.load(both[0].path / "onnx/model_fp16.onnx").graph
    assert {node.type.tensor_type.elem_type for node in graph.input} == {onnx.TensorProto.INT64}
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    weights = [t.data_type for t in graph.initializer if len(t.dims) == 2]
    assert set(weights) == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (replace(INT8, terms=Terms(1e-6)), "largest logit difference"),
        (replace(INT8, terms=LENIENT, make=garbage), "it cannot be loaded"),
        (replace(INT8, make=broken), "it cannot be made: ValueError: no such operator"),
    ],
)
def test_a_variant_that_fails_is_left_out_with_one_line_and_fp32_stays(
    tmp_path: Path, recipe: VariantRecipe, said: str
) -> None:
    bundle, told = build(tmp_path, recipe)
    assert list(bundle.manifest.variants) == ["fp32"]
    (warning,) = told.warnings
    assert warning.startswith("variant int8 is left out: ")
    assert said in warning
    assert "\n" not in warning
    assert not (bundle.path / recipe.file).exists()


def test_the_warning_says_by_how_much(tmp_path: Path) -> None:
    _, told = build(tmp_path, replace(FP16, terms=Terms(1e-6)))
    (warning,) = told.warnings
    assert "allowed 1e-06" in warning
    assert "by 0.0" in warning


def test_calibrated_int8_is_one_file_for_both_runtimes_and_blind_to_its_neighbours(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    bundle, told = build(tmp_path, LENIENT_STATIC, calibration=ROWS)
    assert told.warnings == []
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


def test_nothing_to_calibrate_with_leaves_calibrated_int8_out(tmp_path: Path) -> None:
    _, told = build(tmp_path, INT8_STATIC)
    (warning,) = told.warnings
    assert warning.startswith(
        "variant int8-static is left out: it cannot be made: ValueError: there are no texts"
    )


def test_without_nncf_calibrated_int8_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_int8.importlib.util, "find_spec", lambda name: None)
    assert [recipe.name for recipe in available_variants()] == ["int8", "fp16"]


def test_what_becomes_an_index_stays_float32_in_fp16(tmp_path: Path) -> None:
    model, _ = make_architecture("mpnet")
    file = tmp_path / "onnx/model.onnx"
    export_onnx(model, file)
    kept = index_arithmetic(onnx.load(file))
    operators = [node.op_type for node in onnx.load(file).graph.node if node.name in kept]
    assert {"Log", "Div", "Cast"} <= set(operators)
    assert "MatMul" not in operators
