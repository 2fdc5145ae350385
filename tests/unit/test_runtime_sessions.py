"""Real sessions of ONNX Runtime and OpenVINO on the CPU, and fake sessions of a GPU."""

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from stream.bundle import Bundle, open_bundle
from stream.classify import TextInput, Tokeniser, check_logits
from stream.errors import BundleError, DeviceError
from stream.observe.metrics import Metrics
from stream.routes import Route
from stream.runtime import (
    Choice,
    Logits,
    OnnxRuntime,
    PaddedBatch,
    open_openvino_runtimes,
    open_runtimes,
    warm_up_shapes,
)
from stream.runtime import cores as cores_of_machine
from stream.runtime import openvino as openvino_module
from stream.runtime.base import CPU_SAME_SHAPE_BATCHES
from stream.runtime.machine import LocalMachine
from stream.runtime.onnx import provider_options, run_with_io_binding
from stream.runtime.openvino import OpenVinoRuntime
from stream.runtime.shapes import ShapeBuckets
from stream.settings import load_settings
from stream.verify import infer_all, read_reference
from stream.worker.route_model import load_model, open_model
from tests.real.kinds import BY_NAME, make_bundle_of
from tests.real.tiny_bundle import TEXTS, make_tiny_bundle
from tests.unit.bad_bundles import graph, member, set_shape


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def padded(tiny: Bundle) -> PaddedBatch:
    tokeniser = Tokeniser(tiny)
    return tokeniser.pad(tokeniser.encode([TextInput(text) for text in TEXTS]))


def test_concurrent_inferences_share_a_session_and_compute_the_same(
    tiny: Bundle, padded: PaddedBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores_of_machine, "usable_cores", lambda: 4)
    first, second = open_runtimes(tiny, Choice("cpu", "fp32", ""), sessions=2)
    assert (first.device, first.provider, first.pad_multiple) == ("cpu", "CPUExecutionProvider", 1)
    assert (first.max_same_shape_batches, first.padded_cost(5, 3)) == (CPU_SAME_SHAPE_BATCHES, 15)
    assert isinstance(first, OnnxRuntime)
    assert isinstance(second, OnnxRuntime)
    assert first._session is second._session
    assert first._session.get_session_options().intra_op_num_threads == 3
    with ThreadPoolExecutor(2) as threads:
        results = [*threads.map(lambda runtime: runtime.infer(padded), [first, second] * 8)]
    for logits in results[1:]:
        np.testing.assert_array_equal(results[0], logits)


@pytest.mark.parametrize(("cores", "inferences"), [(1, 1), (2, 2), (8, 2)])
def test_two_concurrent_inferences_are_the_default_on_cpu(
    tiny: Bundle, cores: int, inferences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores_of_machine, "usable_cores", lambda: cores)
    assert len(open_runtimes(tiny, Choice("cpu", "fp32", ""))) == inferences


def test_io_binding_computes_the_logits_of_a_plain_run(tiny: Bundle, padded: PaddedBatch) -> None:
    session = onnxruntime.InferenceSession(tiny.path / "onnx/model.onnx", providers=["CPUExecutionProvider"])
    bound = run_with_io_binding(session, padded, "cpu", 0)
    np.testing.assert_array_equal(bound, OnnxRuntime(tiny, "fp32").infer(padded))


def unknown_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Guess"


def data_elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="none.data")


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("edit", [None, unknown_operator, data_elsewhere])
def test_an_invalid_graph_is_a_bundle_error_with_a_cause(
    device: str, edit: Callable[[Any], None] | None, tiny: Bundle, tmp_path: Path
) -> None:
    """The bundle is at fault, whichever device it is loaded on."""
    file = tmp_path / "onnx/model.onnx"
    file.parent.mkdir()
    if edit is None:
        file.write_bytes(b"not a graph")
    else:
        model = onnx.load(tiny.path / "onnx/model.onnx")
        edit(model)
        file.write_bytes(model.SerializeToString())
    with pytest.raises(BundleError) as raised:
        open_runtimes(Bundle(tmp_path, tiny.manifest, ""), Choice(device, "fp32", ""), sessions=1)
    assert "onnx/model.onnx" in raised.value.message + raised.value.cause
    assert raised.value.cause


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_graph_that_was_replaced_after_its_check_is_refused(
    device: str, tiny: Bundle, tmp_path: Path
) -> None:
    copied = open_bundle(shutil.copytree(tiny.path, tmp_path / "bundle"))
    file = copied.path / "onnx/model.onnx"
    shutil.copyfile(file, tmp_path / "other")
    (tmp_path / "other").replace(file)
    with pytest.raises(BundleError, match="was changed while it was loaded"):
        open_runtimes(copied, Choice(device, "fp32", ""), sessions=1)


class Columns:
    """A fake runtime with a fixed number of logits, or one that fails."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def infer(self, inputs: PaddedBatch) -> Logits:
        if not self.shape:
            raise RuntimeError("out of memory")
        return np.zeros(self.shape, dtype=np.float32)


@pytest.mark.parametrize(
    ("shape", "fits"), [((1, 6), True), ((1, 5), False), ((1, 7), False), ((1, 3, 6), False), ((), True)]
)
def test_the_logits_of_a_probe_fit_the_labels(tiny: Bundle, shape: tuple[int, ...], fits: bool) -> None:
    """An error of the inference itself is left to the warm-up, which names the device."""
    runtime: Any = Columns(*shape)
    if fits:
        check_logits(runtime, Tokeniser(tiny), tiny)
        return
    with pytest.raises(BundleError, match="does not fit its manifest") as raised:
        check_logits(runtime, Tokeniser(tiny), tiny)
    assert "labels" in raised.value.cause


async def test_a_graph_that_does_not_declare_its_labels_is_checked_at_load(tmp_path: Path) -> None:
    bundle = make_bundle_of(BY_NAME["single"], tmp_path)
    graph(set_shape("logits", "rows", "labels"))(bundle.path)
    settings = load_settings({"device": "cpu", "bundle": str(bundle.path)})
    opened = await open_model(str(bundle.path), "fp32", settings, None, Metrics())
    opened.classifier.close()
    member("labels", ["a", "b"])(bundle.path)
    open_bundle(bundle.path)
    with pytest.raises(BundleError, match="does not fit its manifest"):
        await open_model(str(bundle.path), "fp32", settings, None, Metrics())


class FakeCudaSession:
    """A fake InferenceSession that opens on the provider `works` and records its arguments."""

    works = "CUDAExecutionProvider"
    arguments: list[dict[str, Any]]

    def __init__(self, path: str, **arguments: Any) -> None:
        type(self).arguments.append(arguments)

    def get_providers(self) -> list[str]:
        return [self.works, "CPUExecutionProvider"]

    def get_inputs(self) -> list[Any]:
        return []


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> type[FakeCudaSession]:
    fake = type("Fake", (FakeCudaSession,), {"arguments": []})
    monkeypatch.setattr("onnxruntime.InferenceSession", fake)
    return fake


def test_sessions_are_distributed_over_the_gpus(
    tiny: Bundle, fake_cuda: type[FakeCudaSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    opened = open_runtimes(tiny, Choice("cuda", "fp32", ""), sessions=3)
    assert {runtime.pad_multiple for runtime in opened} == {8}
    assert {runtime.max_same_shape_batches for runtime in opened} == {1}, (
        "a batch that fills a GPU is large enough"
    )
    providers = [arguments["providers"] for arguments in fake_cuda.arguments]
    assert [first[0] for first, *_ in providers] == ["CUDAExecutionProvider"] * 3
    assert [first[1]["device_id"] for first, *_ in providers] == ["0", "1", "0"]
    assert {arguments["enable_fallback"] for arguments in fake_cuda.arguments} == {0}


def test_a_silent_fallback_to_the_cpu_is_an_error(
    tiny: Bundle, fake_cuda: type[FakeCudaSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_cuda, "works", "CPUExecutionProvider")
    with pytest.raises(DeviceError, match="fell back to CPUExecutionProvider") as raised:
        OnnxRuntime(tiny, "fp32", "cuda")
    assert raised.value.exit_code == 7


def test_gpu_options_keep_fp32_exact_and_fp16_fast() -> None:
    assert provider_options("cuda", "fp32", 1) == {"device_id": "1", "use_tf32": "0"}
    assert provider_options("tensorrt", "fp16", 0)["trt_fp16_enable"] == "True"
    assert provider_options("tensorrt", "fp32", 0)["trt_fp16_enable"] == "False"
    assert provider_options("cpu", "fp32", 0) == {}


def test_openvino_in_fp32_computes_the_reference_logits_on_every_stream(tiny: Bundle) -> None:
    rows, reference = read_reference(tiny)
    streams = open_openvino_runtimes(tiny, "fp32", 2)
    assert [(stream.device, stream.provider) for stream in streams] == [("openvino", "OpenVINO CPU")] * 2
    for stream in streams:
        np.testing.assert_allclose(infer_all(stream, Tokeniser(tiny), rows), reference, atol=1e-4)


class FakeRequest:
    """A fake infer request whose logits are the token ids of the input."""

    def __init__(self, *, of_tokens: bool) -> None:
        self.of_tokens = of_tokens
        self.given: dict[str, Any] = {}

    def infer(self, given: dict[str, Any], share_inputs: bool) -> None:
        self.given = given

    def get_tensor(self, name: str) -> Any:
        ids = self.given["input_ids"].astype(np.float32)
        return SimpleNamespace(data=ids[:, :, None] if self.of_tokens else ids[:, :1])


@pytest.mark.parametrize("of_tokens", [False, True])
def test_openvino_pads_a_batch_to_a_bucket_and_returns_the_logits_of_its_rows(
    of_tokens: bool,
) -> None:
    request: Any = FakeRequest(of_tokens=of_tokens)
    names = ["input_ids", "attention_mask", "metadata"]
    stream = OpenVinoRuntime(request, names, "OpenVINO CPU", buckets=ShapeBuckets(64), pad_token_id=9)
    ids = np.arange(1, 16, dtype=np.int64).reshape(5, 3)
    metadata = np.arange(10, dtype=np.float32).reshape(5, 2)
    logits = stream.infer({"input_ids": ids, "attention_mask": np.ones_like(ids), "metadata": metadata})
    np.testing.assert_array_equal(logits, ids[:, :, None] if of_tokens else ids[:, :1])
    padded_ids = np.full((6, 8), 9)
    padded_ids[:, :3] = ids[[0, 1, 2, 3, 4, 4]]
    np.testing.assert_array_equal(request.given["input_ids"], padded_ids)
    np.testing.assert_array_equal(request.given["attention_mask"], [[1, 1, 1, 0, 0, 0, 0, 0]] * 6)
    np.testing.assert_array_equal(request.given["metadata"], metadata[[0, 1, 2, 3, 4, 4]])


def test_openvino_computes_the_same_logits_with_buckets(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, reference = read_reference(tiny)
    monkeypatch.setattr(openvino_module, "BUCKETED_VARIANTS", {"fp32"})
    (stream,) = open_openvino_runtimes(tiny, "fp32", 1)
    assert stream._buckets is not None
    assert stream.bucket_shapes == ShapeBuckets(tiny.manifest.max_length).small_shapes
    tokeniser = Tokeniser(tiny)
    np.testing.assert_allclose(infer_all(stream, tokeniser, rows), reference, atol=1e-4)
    alone = np.concatenate([infer_all(stream, tokeniser, [row]) for row in rows])
    np.testing.assert_allclose(alone, reference, atol=1e-4)


def test_openvino_infers_once_before_threads_share_the_model(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two concurrent first calls can deadlock in the Python binding."""
    called = []
    infer = OpenVinoRuntime.infer

    def recorded(self: OpenVinoRuntime, inputs: PaddedBatch) -> Logits:
        called.append(inputs["input_ids"].shape)
        return infer(self, inputs)

    monkeypatch.setattr(OpenVinoRuntime, "infer", recorded)
    open_openvino_runtimes(tiny, "fp32", 2)
    assert called == [(1, 1)]


async def test_the_warm_up_computes_all_bucket_shapes(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_module, "BUCKETED_VARIANTS", {"fp32"})
    computed = set()
    infer = OpenVinoRuntime.infer

    def recorded(self: OpenVinoRuntime, inputs: PaddedBatch) -> Logits:
        computed.add(inputs["input_ids"].shape)
        return infer(self, inputs)

    monkeypatch.setattr(OpenVinoRuntime, "infer", recorded)
    route = Route(name="r", input_topic="t", output_topic="l", bundle=str(tiny.path), variant="fp32")
    settings = load_settings({"device": "openvino", "bundle": str(tiny.path)})
    model = await load_model(route, settings, None, Metrics())
    model.classifier.close()
    assert computed >= set(ShapeBuckets(tiny.manifest.max_length).small_shapes)


@pytest.mark.parametrize("bucketed", [set(), {"fp32"}])
async def test_the_queue_uses_the_padded_cost_of_the_runtime(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch, bucketed: set[str]
) -> None:
    monkeypatch.setattr(openvino_module, "BUCKETED_VARIANTS", bucketed)
    settings = load_settings({"device": "openvino", "bundle": str(tiny.path)})
    opened = await open_model(str(tiny.path), "fp32", settings, None, Metrics())
    opened.classifier.close()
    assert opened.limits.padded_cost(5, 3) == (6 * 8 if bucketed else 5 * 3)
    assert opened.limits.max_same_shape_batches == CPU_SAME_SHAPE_BATCHES > 1


def test_openvino_streams_are_not_pinned_to_a_core(tiny: Bundle) -> None:
    (stream,) = open_openvino_runtimes(tiny, "fp32", 1)
    assert stream._request.get_compiled_model().get_property("ENABLE_CPU_PINNING") is False


def test_only_static_int8_uses_buckets(tiny: Bundle) -> None:
    (stream,) = open_openvino_runtimes(tiny, "fp32", 1)
    assert stream._buckets is None
    assert stream.bucket_shapes == ()
    assert set(openvino_module.BUCKETED_VARIANTS) == {"int8-static"}


def test_openvino_in_bf16_differs_by_rounding_only(tiny: Bundle) -> None:
    if not LocalMachine().has_bf16():
        pytest.skip("this CPU has no bf16 instructions")
    rows, reference = read_reference(tiny)
    (stream,) = open_openvino_runtimes(tiny, "bf16", 1)
    difference = np.abs(infer_all(stream, Tokeniser(tiny), rows) - reference).max()
    assert 1e-4 < difference < 0.25


def test_the_next_inference_does_not_change_a_result(tiny: Bundle, padded: PaddedBatch) -> None:
    (stream,) = open_openvino_runtimes(tiny, "fp32", 1)
    first = stream.infer(padded)
    kept = first.copy()
    stream.infer({name: array[::-1].copy() for name, array in padded.items()})
    np.testing.assert_array_equal(first, kept)


def test_missing_openvino_names_its_extra(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(DeviceError) as raised:
        open_openvino_runtimes(tiny, "fp32")
    assert "'.[cpu,openvino]'" in raised.value.fix


@pytest.mark.parametrize(
    ("rows", "tokens", "longest", "multiple"), [(64, 512, 256, 1), (512, 32_768, 509, 8)]
)
def test_warm_up_shapes_are_few_and_within_the_limits_of_a_batch(
    rows: int, tokens: int, longest: int, multiple: int
) -> None:
    shapes = warm_up_shapes(rows, tokens, longest, multiple)
    assert len(shapes) == len(set(shapes)) <= 12
    assert all(1 <= r <= rows and w <= longest and (r == 1 or r * w <= tokens) for r, w in shapes)
    assert all(w % multiple == 0 or w == longest for _, w in shapes)
    assert shapes[0][0] * shapes[0][1] == max(r * w for r, w in shapes)
    assert max(w for _, w in shapes) == longest
    assert shapes[-1][0] == 1


def test_a_model_with_short_rows_has_one_width(tmp_path: Path) -> None:
    assert warm_up_shapes(4, 8, 3, 1) == [(2, 3), (1, 3)]
