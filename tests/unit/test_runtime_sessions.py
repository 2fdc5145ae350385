"""Real sessions of ONNX Runtime and OpenVINO on the CPU; the GPU's are stood in for by fakes that say so."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from stream.bundle import Bundle
from stream.classify.inputs import TextInput
from stream.classify.tokenise import Tokeniser
from stream.errors import DeviceError
from stream.observe.metrics import Metrics
from stream.runtime import Choice, OnnxRuntime, Padded, open_runtimes, opening, warm_shapes
from stream.runtime import onnx as onnx_module
from stream.runtime import openvino as openvino_module
from stream.runtime.base import ALIKE_ON_CPU, Logits
from stream.runtime.machine import ThisMachine
from stream.runtime.onnx import provider_options, run_bound
from stream.runtime.openvino import OpenVinoRuntime, open_streams
from stream.runtime.shapes import Shapes
from stream.settings import Route, load_settings
from stream.verify.parity import infer_all, read_reference
from stream.worker.route_model import load_model, open_model
from tests.real.tiny_bundle import TEXTS, make_tiny_bundle


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def padded(tiny: Bundle) -> Padded:
    tokeniser = Tokeniser(tiny)
    return tokeniser.pad(tokeniser.encode([TextInput(text) for text in TEXTS]))


def test_inferences_side_by_side_share_a_session_and_say_the_same_at_once(
    tiny: Bundle, padded: Padded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "usable_cores", lambda: 4)
    first, second = open_runtimes(tiny, Choice("cpu", "fp32", ""), sessions=2)
    assert (first.device, first.provider, first.pad_multiple) == ("cpu", "CPUExecutionProvider", 1)
    assert (first.max_same_shape_batches, first.padded_cost(5, 3)) == (ALIKE_ON_CPU, 15)
    assert isinstance(first, OnnxRuntime)
    assert isinstance(second, OnnxRuntime)
    assert first._session is second._session
    assert first._session.get_session_options().intra_op_num_threads == 3
    with ThreadPoolExecutor(2) as threads:
        found = [*threads.map(lambda runtime: runtime.infer(padded), [first, second] * 8)]
    for logits in found[1:]:
        np.testing.assert_array_equal(found[0], logits)


@pytest.mark.parametrize(("cores", "inferences"), [(1, 1), (2, 2), (8, 2)])
def test_two_inferences_side_by_side_are_the_default_on_cpu(
    tiny: Bundle, cores: int, inferences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "usable_cores", lambda: cores)
    assert len(open_runtimes(tiny, Choice("cpu", "fp32", ""))) == inferences


def test_bound_inputs_give_the_logits_that_run_gives(tiny: Bundle, padded: Padded) -> None:
    session = onnxruntime.InferenceSession(tiny.path / "onnx/model.onnx", providers=["CPUExecutionProvider"])
    bound = run_bound(session, padded, "cpu", 0)
    np.testing.assert_array_equal(bound, OnnxRuntime(tiny, "fp32").infer(padded))


def test_a_file_that_is_no_graph_is_a_device_error_with_its_reason(tiny: Bundle, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/model.onnx").write_bytes(b"not a graph")
    with pytest.raises(DeviceError, match="could not be loaded on cpu") as told:
        OnnxRuntime(Bundle(tmp_path, tiny.manifest, ""), "fp32")
    assert told.value.cause


class FakeCudaSession:
    """Stands in for an InferenceSession: opens on whatever `works` says and remembers how it was asked."""

    works = "CUDAExecutionProvider"
    asked: list[dict[str, Any]]

    def __init__(self, path: str, **asked: Any) -> None:
        type(self).asked.append(asked)

    def get_providers(self) -> list[str]:
        return [self.works, "CPUExecutionProvider"]

    def get_inputs(self) -> list[Any]:
        return []


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> type[FakeCudaSession]:
    fake = type("Fake", (FakeCudaSession,), {"asked": []})
    monkeypatch.setattr(onnx_module.onnxruntime, "InferenceSession", fake)
    return fake


def test_sessions_go_round_the_gpus(
    tiny: Bundle, fake_cuda: type[FakeCudaSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    opened = open_runtimes(tiny, Choice("cuda", "fp32", ""), sessions=3)
    assert {runtime.pad_multiple for runtime in opened} == {8}
    assert {runtime.max_same_shape_batches for runtime in opened} == {1}, (
        "a batch that fills a GPU is large enough"
    )
    providers = [asked["providers"] for asked in fake_cuda.asked]
    assert [first[0] for first, *_ in providers] == ["CUDAExecutionProvider"] * 3
    assert [first[1]["device_id"] for first, *_ in providers] == ["0", "1", "0"]
    assert {asked["enable_fallback"] for asked in fake_cuda.asked} == {0}


def test_a_quiet_fall_back_to_the_cpu_is_an_error(
    tiny: Bundle, fake_cuda: type[FakeCudaSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_cuda, "works", "CPUExecutionProvider")
    with pytest.raises(DeviceError, match="fell back to CPUExecutionProvider") as told:
        OnnxRuntime(tiny, "fp32", "cuda")
    assert told.value.exit_code == 7


def test_gpu_options_keep_fp32_exact_and_fp16_fast() -> None:
    assert provider_options("cuda", "fp32", 1) == {"device_id": "1", "use_tf32": "0"}
    assert provider_options("tensorrt", "fp16", 0)["trt_fp16_enable"] == "True"
    assert provider_options("tensorrt", "fp32", 0)["trt_fp16_enable"] == "False"
    assert provider_options("cpu", "fp32", 0) == {}


def test_openvino_in_fp32_says_what_torch_said_on_every_stream(tiny: Bundle) -> None:
    rows, reference = read_reference(tiny)
    streams = open_streams(tiny, "fp32", 2)
    assert [(stream.device, stream.provider) for stream in streams] == [("openvino", "OpenVINO CPU")] * 2
    for stream in streams:
        np.testing.assert_allclose(infer_all(stream, Tokeniser(tiny), rows), reference, atol=1e-4)


class FakeRequest:
    """Stands in for an infer request: logits that tell what each token of the input was."""

    def __init__(self, *, of_tokens: bool) -> None:
        self.of_tokens = of_tokens
        self.given: dict[str, Any] = {}

    def infer(self, given: dict[str, Any], share_inputs: bool) -> None:
        self.given = given

    def get_tensor(self, name: str) -> Any:
        ids = self.given["input_ids"].astype(np.float32)
        return SimpleNamespace(data=ids[:, :, None] if self.of_tokens else ids[:, :1])


@pytest.mark.parametrize("of_tokens", [False, True])
def test_openvino_fills_a_batch_up_to_a_shape_that_comes_again_and_answers_for_its_rows(
    of_tokens: bool,
) -> None:
    request: Any = FakeRequest(of_tokens=of_tokens)
    names = ["input_ids", "attention_mask", "metadata"]
    stream = OpenVinoRuntime(request, names, "OpenVINO CPU", shapes=Shapes(64), pad_token_id=9)
    ids = np.arange(1, 16, dtype=np.int64).reshape(5, 3)
    metadata = np.arange(10, dtype=np.float32).reshape(5, 2)
    logits = stream.infer({"input_ids": ids, "attention_mask": np.ones_like(ids), "metadata": metadata})
    np.testing.assert_array_equal(logits, ids[:, :, None] if of_tokens else ids[:, :1])
    filled = np.full((6, 8), 9)
    filled[:, :3] = ids[[0, 1, 2, 3, 4, 4]]
    np.testing.assert_array_equal(request.given["input_ids"], filled)
    np.testing.assert_array_equal(request.given["attention_mask"], [[1, 1, 1, 0, 0, 0, 0, 0]] * 6)
    np.testing.assert_array_equal(request.given["metadata"], metadata[[0, 1, 2, 3, 4, 4]])


def test_openvino_says_the_same_in_shapes_that_come_again(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, reference = read_reference(tiny)
    monkeypatch.setattr(openvino_module, "PLANNED", {"fp32"})
    (stream,) = open_streams(tiny, "fp32", 1)
    assert stream._shapes is not None
    assert stream.kept_shapes == Shapes(tiny.manifest.max_length).small
    tokeniser = Tokeniser(tiny)
    np.testing.assert_allclose(infer_all(stream, tokeniser, rows), reference, atol=1e-4)
    alone = np.concatenate([infer_all(stream, tokeniser, [row]) for row in rows])
    np.testing.assert_allclose(alone, reference, atol=1e-4)


def test_openvino_has_inferred_once_before_threads_share_it(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first calls at once wait for each other inside of its binding, now and then and for ever."""
    called = []
    infer = OpenVinoRuntime.infer

    def noted(self: OpenVinoRuntime, inputs: Padded) -> Logits:
        called.append(inputs["input_ids"].shape)
        return infer(self, inputs)

    monkeypatch.setattr(OpenVinoRuntime, "infer", noted)
    open_streams(tiny, "fp32", 2)
    assert called == [(1, 1)]


async def test_a_model_is_ready_when_the_shapes_that_it_keeps_were_computed(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_module, "PLANNED", {"fp32"})
    padded_cost = set()
    infer = OpenVinoRuntime.infer

    def noted(self: OpenVinoRuntime, inputs: Padded) -> Logits:
        padded_cost.add(inputs["input_ids"].shape)
        return infer(self, inputs)

    monkeypatch.setattr(OpenVinoRuntime, "infer", noted)
    route = Route(name="r", input_topic="t", output_topic="l", bundle=str(tiny.path), variant="fp32")
    settings = load_settings({"device": "openvino", "bundle": str(tiny.path)})
    model = await load_model(route, settings, None, Metrics())
    model.classifier.close()
    assert padded_cost >= set(Shapes(tiny.manifest.max_length).small)


@pytest.mark.parametrize("planned", [set(), {"fp32"}])
async def test_the_planner_is_told_what_the_runtime_computes(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch, planned: set[str]
) -> None:
    monkeypatch.setattr(openvino_module, "PLANNED", planned)
    settings = load_settings({"device": "openvino", "bundle": str(tiny.path)})
    opened = await open_model(str(tiny.path), "fp32", settings, None, Metrics())
    opened.classifier.close()
    assert opened.limits.padded_cost(5, 3) == (6 * 8 if planned else 5 * 3)
    assert opened.limits.max_same_shape_batches == ALIKE_ON_CPU > 1


def test_openvinos_streams_are_not_bound_to_a_core(tiny: Bundle) -> None:
    (stream,) = open_streams(tiny, "fp32", 1)
    assert stream._request.get_compiled_model().get_property("ENABLE_CPU_PINNING") is False


def test_int8_alone_is_worth_filling_up(tiny: Bundle) -> None:
    (stream,) = open_streams(tiny, "fp32", 1)
    assert stream._shapes is None
    assert stream.kept_shapes == ()
    assert set(openvino_module.PLANNED) == {"int8-static"}


def test_openvino_in_bf16_rounds_and_only_that(tiny: Bundle) -> None:
    if not ThisMachine().has_bf16():
        pytest.skip("this CPU has no bf16 instructions")
    rows, reference = read_reference(tiny)
    (stream,) = open_streams(tiny, "bf16", 1)
    moved = np.abs(infer_all(stream, Tokeniser(tiny), rows) - reference).max()
    assert 1e-4 < moved < 0.25


def test_a_result_survives_the_next_inference(tiny: Bundle, padded: Padded) -> None:
    (stream,) = open_streams(tiny, "fp32", 1)
    first = stream.infer(padded)
    kept = first.copy()
    stream.infer({name: array[::-1].copy() for name, array in padded.items()})
    np.testing.assert_array_equal(first, kept)


def test_openvino_that_is_missing_names_its_extra(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError) as told:
        open_streams(tiny, "fp32")
    assert "labelstream[cpu,openvino]" in told.value.fix


@pytest.mark.parametrize(
    ("rows", "tokens", "longest", "multiple"), [(64, 512, 256, 1), (512, 32_768, 509, 8)]
)
def test_warm_shapes_are_few_span_what_the_planner_makes_and_stay_within_its_bounds(
    rows: int, tokens: int, longest: int, multiple: int
) -> None:
    shapes = warm_shapes(rows, tokens, longest, multiple)
    assert len(shapes) == len(set(shapes)) <= 12
    assert all(1 <= r <= rows and w <= longest and (r == 1 or r * w <= tokens) for r, w in shapes)
    assert all(w % multiple == 0 or w == longest for _, w in shapes)
    assert shapes[0][0] * shapes[0][1] == max(r * w for r, w in shapes)
    assert max(w for _, w in shapes) == longest
    assert shapes[-1][0] == 1


def test_a_model_of_short_rows_has_its_one_width(tmp_path: Path) -> None:
    assert warm_shapes(4, 8, 3, 1) == [(2, 3), (1, 3)]
