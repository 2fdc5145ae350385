"""The choice of device and variant, and the reasons against other pairs."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from stream.bundle import Manifest, Parity, VariantEntry
from stream.errors import DeviceError
from stream.runtime import choose, machine, runnable_choices, usable_devices
from stream.runtime.cores import quota_cores, threads_per_inference
from stream.runtime.machine import LocalMachine, Obstacle, gpu_count

Made = Literal["any", "cpu", "cuda", "openvino"]
PLAIN: dict[str, Made] = {"fp32": "any", "fp16": "cuda", "int8": "cpu"}
STATIC: dict[str, Made] = {**PLAIN, "int8-static": "openvino"}


class FakeMachine:
    """A machine with these devices, on which OpenVINO has bf16 or not."""

    def __init__(self, *devices: str, bf16: bool = False) -> None:
        self.devices = devices
        self.bf16 = bf16

    def obstacle(self, device: str) -> Obstacle | None:
        return None if device in self.devices else Obstacle(f"there is no {device}", f"buy {device}")

    def has_bf16(self) -> bool:
        assert "openvino" in self.devices, "called without openvino"
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
                device=device,
                size_bytes=1,
                parity=parity,
            )
            for name, device in variants.items()
        },
        created_at=datetime.now(UTC),
    )


CPU = FakeMachine("cpu")
GPU = FakeMachine("cpu", "cuda", "tensorrt")
OPENVINO = FakeMachine("cpu", "openvino", bf16=True)
OLD_CPU = FakeMachine("cpu", "openvino")


@pytest.mark.parametrize(
    ("fake_machine", "variants", "device", "variant", "chosen"),
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
def test_auto_chooses_the_fastest_pair_that_machine_and_bundle_allow(
    fake_machine: FakeMachine, variants: dict[str, Made], device: str, variant: str, chosen: str
) -> None:
    choice = choose(manifest(variants), device, variant, fake_machine)
    assert f"{choice.device} {choice.variant}" == chosen


def test_auto_reports_faster_pairs_and_why_they_were_skipped() -> None:
    reason = choose(manifest({"fp32": "any"}), "auto", "auto", CPU).reason
    assert reason.startswith("the fastest that runs here; skipped: ")
    for part in ("cuda fp32 (there is no cuda)", "cpu int8 (the bundle has no int8, only fp32)"):
        assert part in reason
    assert "cpu fp32" not in reason


def test_a_requested_pair_needs_no_further_reason() -> None:
    assert choose(manifest(PLAIN), "cpu", "fp32", CPU).reason == "as requested"


@pytest.mark.parametrize(
    ("fake_machine", "variants", "device", "variant", "cause", "fix"),
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
def test_an_impossible_request_fails_with_cause_fix_and_exit_code_7(
    fake_machine: FakeMachine, variants: dict[str, Made], device: str, variant: str, cause: str, fix: str
) -> None:
    with pytest.raises(DeviceError) as raised:
        choose(manifest(variants), device, variant, fake_machine)
    assert raised.value.exit_code == 7
    assert cause in raised.value.cause
    assert fix in raised.value.fix


def test_runnable_pairs_are_chosen_and_others_have_a_reason() -> None:
    runs, not_run = runnable_choices(manifest(PLAIN), OPENVINO)
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


def test_runnable_choices_exclude_tensorrt() -> None:
    runs, not_run = runnable_choices(manifest({"fp32": "any"}), GPU)
    assert {c.device for c in runs} == {"cpu", "cuda"}
    assert "tensorrt fp32 (only the worker builds engines)" in not_run


def test_usable_devices_are_those_without_an_obstacle() -> None:
    assert usable_devices(OPENVINO) == ["cpu", "openvino"]


def test_the_local_machine_has_a_cpu_and_names_the_fix_for_missing_providers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local = LocalMachine()
    assert local.obstacle("cpu") is None
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    obstacle = local.obstacle("cuda")
    assert obstacle is not None
    assert "CUDAExecutionProvider" in obstacle.cause
    assert "'.[gpu]'" in obstacle.fix


def test_a_missing_driver_is_an_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(machine, "DRIVER_FILES", (tmp_path / "nvidiactl",))
    obstacle = LocalMachine().obstacle("cuda")
    assert obstacle is not None
    assert "driver" in obstacle.cause
    (tmp_path / "nvidiactl").touch()
    assert LocalMachine().obstacle("cuda") is None


def test_missing_openvino_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    obstacle = LocalMachine().obstacle("openvino")
    assert obstacle is not None
    assert "'.[cpu,openvino]'" in obstacle.fix


@pytest.mark.parametrize(("visible", "count"), [("0,1,3", 3), ("GPU-1a,", 1), ("", 1)])
def test_gpus_are_those_in_cuda_visible_devices(
    monkeypatch: pytest.MonkeyPatch, visible: str, count: int
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_count() == count


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000\n", None), ("250000 100000\n", 2), ("50000 100000", 1), ("", None), ("1 0", None)],
)
def test_the_containers_quota_limits_the_cores(cpu_max: str, cores: int | None) -> None:
    assert quota_cores(cpu_max) == cores


def test_callers_and_pool_threads_of_a_session_fill_the_cores() -> None:
    assert [threads_per_inference(8, callers) for callers in (1, 2, 3, 16)] == [8, 7, 6, 1]


@pytest.mark.slow
def test_openvino_and_nncf_run_without_telemetry() -> None:
    code = (
        "import sys; from stream.runtime.machine import import_openvino, disable_openvino_telemetry; "
        "disable_openvino_telemetry(); "
        "import nncf; import_openvino(); print(sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
