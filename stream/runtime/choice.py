"""Which device runs which variant: the fastest pair that machine and bundle allow, or the one asked for.

The order rests on measurements (docs/adr/0007).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stream.bundle import Manifest, VariantEntry
from stream.errors import DeviceError
from stream.runtime.machine import DEVICES, Machine, Problem, ThisMachine

Pair = tuple[str, str]

# What `auto` takes, fastest first.
FASTEST_FIRST: tuple[Pair, ...] = (
    ("cuda", "fp16"),
    ("cuda", "fp32"),
    ("openvino", "int8-static"),
    ("cpu", "int8"),
    ("openvino", "bf16"),
    ("cpu", "fp32"),
    ("openvino", "fp32"),
)
# What has to be named to be taken: TensorRT builds engines for minutes at every start; on the CPU of ONNX
# Runtime calibrated int8 is no faster than fp32, and fp16 slower (they let parity be measured anywhere).
ON_REQUEST: tuple[Pair, ...] = (
    ("tensorrt", "fp16"),
    ("tensorrt", "fp32"),
    ("cpu", "int8-static"),
    ("cpu", "fp16"),
)
MADE_FOR = {
    "any": ("cpu", "cuda", "tensorrt", "openvino"),
    "cpu": ("cpu",),
    "cuda": ("cuda", "tensorrt", "cpu"),
    "openvino": ("openvino", "cpu"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A device, a variant, and in one sentence a fact why these."""

    device: str
    variant: str
    reason: str


def variant_entry(manifest: Manifest, variant: str) -> VariantEntry | None:
    """The manifest's entry that a variant is computed from; bf16 is the fp32 file, rounded by the device."""
    return manifest.variants.get("fp32" if variant == "bf16" else variant)


def choose(manifest: Manifest, device: str, variant: str, machine: Machine | None = None) -> Choice:
    """Resolve `auto`, or check what was asked for.

    Args:
        manifest: of the bundle to be run.
        device: cpu, cuda, tensorrt, openvino, or auto for the fastest.
        variant: fp32, fp16, int8, int8-static, bf16, or auto for the fastest.
        machine: what can be used here; default: this machine.

    Raises:
        DeviceError: the device cannot be used here, or there is no such variant for it.
    """
    machine = machine or ThisMachine()
    check_device(device, machine)
    passed_over: list[tuple[Pair, Problem]] = []
    for pair in _wanted(device, variant):
        wrong = obstacle(manifest, *pair, machine)
        if wrong is None:
            return Choice(*pair, _why(device, variant, passed_over))
        passed_over.append((pair, wrong))
    raise DeviceError(
        f"{manifest.name}@{manifest.version} cannot be run with device {device} and variant {variant}",
        cause="; ".join(_by_reason(passed_over)) or f"no runtime computes {variant} on {device}",
        fix=passed_over[0][1].fix if len(passed_over) == 1 else "use --device auto and --variant auto",
    )


def check_device(device: str, machine: Machine | None = None) -> None:
    """Refuse a device that was asked for and cannot be used; auto always can.

    Raises:
        DeviceError: with the reason and the fix.
    """
    if device != "auto" and (wrong := (machine or ThisMachine()).problem(device)):
        raise DeviceError(f"device {device} is not available", cause=wrong.cause, fix=wrong.fix)


def usable_devices(machine: Machine | None = None) -> list[str]:
    """Devices that nothing speaks against, as far as can be told without opening a session."""
    machine = machine or ThisMachine()
    return [device for device in DEVICES if machine.problem(device) is None]


def obstacle(manifest: Manifest, device: str, variant: str, machine: Machine) -> Problem | None:
    """Why this pair cannot be run; None when nothing speaks against it."""
    entry = variant_entry(manifest, variant)
    if entry is None:
        kept = ", ".join(sorted(manifest.variants))
        return Problem(
            f"the bundle has no {variant}, only {kept}", "use --variant auto, or export that variant"
        )
    if device not in MADE_FOR[entry.device]:
        return Problem(f"the bundle's {variant} is made for {entry.device}", "use --device auto")
    if wrong := machine.problem(device):
        return wrong
    if variant == "bf16" and not machine.has_bf16():
        return Problem("this CPU has no bf16 instructions", "use --variant fp32, or --variant auto")
    return None


def verifiable(manifest: Manifest, machine: Machine | None = None) -> tuple[list[Choice], list[str]]:
    """Every pair of the bundle that can be run here, and one line for each reason why others cannot.

    TensorRT is left to the worker: it would build an engine for minutes for every few shapes of a reference.
    """
    machine = machine or ThisMachine()
    runs: list[Choice] = []
    missed: list[tuple[Pair, Problem]] = []
    for pair in FASTEST_FIRST + ON_REQUEST:
        device, variant = pair
        entry = variant_entry(manifest, variant)
        if entry is None or device not in MADE_FOR[entry.device]:
            continue
        if wrong := obstacle(manifest, device, variant, machine):
            missed.append((pair, wrong))
        elif device == "tensorrt":
            missed.append((pair, Problem("only the worker builds engines", "run a worker")))
        else:
            runs.append(Choice(device, variant, "it can be run here"))
    return runs, _by_reason(missed)


def _wanted(device: str, variant: str) -> Iterator[Pair]:
    pairs = FASTEST_FIRST if device == variant == "auto" else FASTEST_FIRST + ON_REQUEST
    for pair in pairs:
        if device in ("auto", pair[0]) and variant in ("auto", pair[1]):
            yield pair


def _why(device: str, variant: str, passed_over: list[tuple[Pair, Problem]]) -> str:
    if "auto" not in (device, variant):
        return "as asked for"
    named = " ".join(word for word in (device, variant) if word != "auto")
    told = f"the fastest {named} that runs here" if named else "the fastest that runs here"
    return f"{told}; passed over: {'; '.join(_by_reason(passed_over))}" if passed_over else told


def _by_reason(passed_over: Iterable[tuple[Pair, Problem]]) -> list[str]:
    """Each reason once, behind the pairs it holds for."""
    reasons: dict[str, list[str]] = {}
    for pair, wrong in passed_over:
        reasons.setdefault(wrong.cause, []).append(" ".join(pair))
    return [f"{', '.join(pairs)} ({cause})" for cause, pairs in reasons.items()]
