"""Which device and variant are taken, and what is said of those that are not."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from stream.bundle import Manifest, Parity, VariantEntry
from stream.errors import DeviceError
from stream.runtime import choose, machine, usable_devices, verifiable
from stream.runtime.cores import quota_cores, threads_of_each
from stream.runtime.machine import Problem, ThisMachine, gpu_count

Made = Literal["any", "cpu", "cuda", "openvino"]
PLAIN: dict[str, Made] = {"fp32": "any", "fp16": "cuda", "int8": "cpu"}
STATIC: dict[str, Made] = {**PLAIN, "int8-static": "openvino"}


class FakeMachine:
    """A machine with these devices; on it OpenVINO has bf16 or not."""

    def __init__(self, *devices: str, bf16: bool = False) -> None:
        self.devices = devices
        self.bf16 = bf16

    def problem(self, device: str) -> Problem | None:
        return None if device in self.devices else Problem(f"there is no {device}", f"buy {device}")

    def has_bf16(self) -> bool:
        assert "openvino" in self.devices, "asked without openvino"
        return self.bf16


def manifest(variants: dict[str, Made]) -> Manifest:
    parity = Parity(rows=1, max_abs_logit_diff=0, tolerance=1, label_agreement=1, min_label_agreement=1)
    return Manifest(
        name="m",
        version="1",
        task="single-label",
        labels=["a", "b"],
        max_length=8,
        inputs=["input_ids"],
        variants={
            name: VariantEntry(
                file=f"{name}.onnx",
                precision=name.removesuffix("-static"),
                device=made,
                size_bytes=1,
                parity=parity,
            )  # type: ignore[arg-type]
            for name, made in variants.items()
        },
        created_at=datetime.now(UTC),
    )


CPU = FakeMachine("cpu")
GPU = FakeMachine("cpu", "cuda", "tensorrt")
OPENVINO = FakeMachine("cpu", "openvino", bf16=True)
OLD_CPU = FakeMachine("cpu", "openvino")


@pytest.mark.parametrize(
    ("there", "variants", "device", "variant", "taken"),
    [
        (CPU, PLAIN, "auto", "auto", "cpu int8"),
        (CPU, {"fp32": "any"}, "auto", "auto", "cpu fp32"),
        (GPU, PLAIN, "auto", "auto", "cuda fp16"),
        (GPU, {"fp32": "any", "int8": "cpu"}, "auto", "auto", "cuda fp32"),
        (OPENVINO, PLAIN, "auto", "auto", "cpu int8"),
        (OPENVINO, {"fp32": "any"}, "auto", "auto", "openvino bf16"),
        (OPENVINO, STATIC, "auto", "auto", "openvino int8-static"),
        (CPU, STATIC, "auto", "auto", "cpu int8"),
        (CPU, STATIC, "auto", "int8-static", "cpu int8-static"),
        (OLD_CPU, {"fp32": "any"}, "auto", "auto", "cpu fp32"),
        (GPU, PLAIN, "cpu", "auto", "cpu int8"),
        (GPU, PLAIN, "tensorrt", "auto", "tensorrt fp16"),
        (GPU, PLAIN, "auto", "fp32", "cuda fp32"),
        (OPENVINO, PLAIN, "openvino", "auto", "openvino bf16"),
        (OLD_CPU, PLAIN, "openvino", "auto", "openvino fp32"),
        (OPENVINO, PLAIN, "auto", "bf16", "openvino bf16"),
        (CPU, PLAIN, "auto", "fp16", "cpu fp16"),
    ],
)
def test_the_fastest_pair_is_taken_that_machine_and_bundle_allow(
    there: FakeMachine, variants: dict[str, Made], device: str, variant: str, taken: str
) -> None:
    choice = choose(manifest(variants), device, variant, there)
    assert f"{choice.device} {choice.variant}" == taken


def test_auto_says_what_would_have_been_faster_and_why_it_was_not_taken() -> None:
    told = choose(manifest({"fp32": "any"}), "auto", "auto", CPU).reason
    assert told.startswith("the fastest that runs here; passed over: ")
    for said in ("cuda fp32 (there is no cuda)", "cpu int8 (the bundle has no int8, only fp32)"):
        assert said in told
    assert "cpu fp32" not in told


def test_what_was_asked_for_needs_no_reason() -> None:
    assert choose(manifest(PLAIN), "cpu", "fp32", CPU).reason == "as asked for"


@pytest.mark.parametrize(
    ("there", "variants", "device", "variant", "cause", "fix"),
    [
        (CPU, PLAIN, "cuda", "auto", "there is no cuda", "buy cuda"),
        (CPU, PLAIN, "openvino", "bf16", "there is no openvino", "buy openvino"),
        (CPU, {"fp32": "any"}, "cpu", "int8", "the bundle has no int8, only fp32", "export that variant"),
        (CPU, PLAIN, "auto", "bf16", "openvino bf16 (there is no openvino)", "buy openvino"),
        (GPU, PLAIN, "cuda", "int8", "no runtime computes int8 on cuda", "--device auto"),
        (GPU, PLAIN, "cuda", "bf16", "no runtime computes bf16 on cuda", "--device auto"),
        (OPENVINO, PLAIN, "openvino", "int8", "no runtime computes int8 on openvino", "--device auto"),
        (OLD_CPU, PLAIN, "auto", "bf16", "this CPU has no bf16 instructions", "--variant auto"),
    ],
)
def test_what_cannot_be_had_ends_with_the_reason_the_mend_and_code_7(
    there: FakeMachine, variants: dict[str, Made], device: str, variant: str, cause: str, fix: str
) -> None:
    with pytest.raises(DeviceError) as told:
        choose(manifest(variants), device, variant, there)
    assert told.value.exit_code == 7
    assert cause in told.value.cause
    assert fix in told.value.fix


def test_verify_runs_what_can_be_run_and_names_the_rest() -> None:
    runs, not_run = verifiable(manifest(PLAIN), OPENVINO)
    assert [f"{c.device} {c.variant}" for c in runs] == [
        "cpu int8",
        "openvino bf16",
        "cpu fp32",
        "openvino fp32",
        "cpu fp16",
    ]
    assert not_run == [
        "cuda fp16, cuda fp32 (there is no cuda)",
        "tensorrt fp16, tensorrt fp32 (there is no tensorrt)",
    ]


def test_verify_builds_no_tensorrt_engines() -> None:
    runs, not_run = verifiable(manifest({"fp32": "any"}), GPU)
    assert {c.device for c in runs} == {"cpu", "cuda"}
    assert "tensorrt fp32 (only the worker builds engines)" in not_run


def test_usable_devices_are_those_without_a_problem() -> None:
    assert usable_devices(OPENVINO) == ["cpu", "openvino"]


def test_this_machine_has_a_cpu_and_says_how_to_get_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ThisMachine()
    assert here.problem("cpu") is None
    monkeypatch.setattr(machine.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    lacking = here.problem("cuda")
    assert lacking is not None
    assert "CUDAExecutionProvider" in lacking.cause
    assert "labelstream[gpu]" in lacking.fix


def test_a_gpu_package_without_a_driver_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(machine, "DRIVER_FILES", (tmp_path / "nvidiactl",))
    lacking = ThisMachine().problem("cuda")
    assert lacking is not None
    assert "driver" in lacking.cause
    (tmp_path / "nvidiactl").touch()
    assert ThisMachine().problem("cuda") is None


def test_openvino_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    lacking = ThisMachine().problem("openvino")
    assert lacking is not None
    assert "labelstream[cpu,openvino]" in lacking.fix


@pytest.mark.parametrize(("visible", "count"), [("0,1,3", 3), ("GPU-1a,", 1), ("", 1)])
def test_gpus_are_those_that_cuda_may_see(monkeypatch: pytest.MonkeyPatch, visible: str, count: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_count() == count


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000\n", None), ("250000 100000\n", 2), ("50000 100000", 1), ("", None), ("1 0", None)],
)
def test_a_containers_quota_bounds_the_threads(cpu_max: str, cores: int | None) -> None:
    assert quota_cores(cpu_max) == cores


def test_the_callers_of_a_session_and_its_pool_fill_the_cores() -> None:
    assert [threads_of_each(8, callers) for callers in (1, 2, 3, 16)] == [8, 7, 6, 1]


@pytest.mark.slow
def test_openvino_and_nncf_tell_nobody_of_their_use() -> None:
    code = (
        "import sys; from stream.runtime.machine import load_openvino, keep_quiet; keep_quiet(); "
        "import nncf; load_openvino(); print(sys.modules['openvino_telemetry'])"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "None"
