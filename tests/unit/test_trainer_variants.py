"""int8 and fp16 from the fp32 graph: what is kept, what is left out, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify.parity import within_tolerance
from tests.real.tiny_bundle import TEXTS, save_tiny_base
from trainer.package import About, build_bundle, staging_folder
from trainer.quiet import silence_libraries
from trainer.variants import FP16, INT8, VariantRecipe

# A model of random weights and 32 columns has no margin between its labels: int8 moves more of them.
LENIENT = replace(INT8, tolerance=50, min_label_agreement=0.1)


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


def build(folder: Path, *variants: VariantRecipe) -> tuple[Bundle, Told]:
    silence_libraries()
    told = Told()
    model, tokenizer = save_tiny_base(folder / "base")
    store = folder / "store"
    with staging_folder(store, "v") as staging:
        bundle = build_bundle(
            staging,
            model,
            tokenizer,
            TEXTS,
            64,
            About("v"),
            store,
            told.stage,
            variants=variants,
            warn=told.warnings.append,
        )
    return bundle, told


def broken(fp32: Path, file: Path) -> None:
    raise ValueError("no such operator\nat all")


def garbage(fp32: Path, file: Path) -> None:
    file.write_bytes(b"not a graph")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Told]:
    return build(tmp_path_factory.mktemp("both"), LENIENT, FP16)


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
        (replace(INT8, tolerance=1e-6), "largest logit difference"),
        (replace(INT8, tolerance=50, min_label_agreement=1.0, make=garbage), "it cannot be loaded"),
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
    _, told = build(tmp_path, replace(FP16, tolerance=1e-6))
    (warning,) = told.warnings
    assert "allowed 1e-06" in warning
    assert "by 0.0" in warning
