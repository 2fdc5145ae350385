"""The choice of device and variant: the requested pair, or the fastest that machine and bundle allow.

The order of preference rests on measurements (docs/adr/0007).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stream.bundle import Manifest, VariantEntry
from stream.errors import DeviceError
from stream.runtime.machine import DEVICES, LocalMachine, Machine, Obstacle

Pair = tuple[str, str]
"""A device and a variant."""

# The pairs that `auto` considers, fastest first.
FASTEST_FIRST: tuple[Pair, ...] = (
    ("cuda", "fp16"),
    ("cuda", "fp32"),
    ("openvino", "int8-static"),
    ("cpu", "int8"),
    ("openvino", "bf16"),
    ("cpu", "fp32"),
    ("openvino", "fp32"),
)
# The pairs that are used only on request: TensorRT builds engines for minutes at every start; on the CPU of
# ONNX Runtime calibrated int8 is no faster than fp32 and fp16 is slower, but parity can be measured anywhere.
ON_REQUEST: tuple[Pair, ...] = (
    ("tensorrt", "fp16"),
    ("tensorrt", "fp32"),
    ("cpu", "int8-static"),
    ("cpu", "fp16"),
)
# The devices that can run a variant, by the device in its manifest entry.
COMPATIBLE_DEVICES = {
    "any": ("cpu", "cuda", "tensorrt", "openvino"),
    "cpu": ("cpu",),
    "cuda": ("cuda", "tensorrt", "cpu"),
    "openvino": ("openvino", "cpu"),
}


# The devices that a variant is made for, by the device in its manifest entry. The other compatible devices
# show the rounding of its numbers, but their kernels were not part of its parity check.
MADE_FOR = {**COMPATIBLE_DEVICES, "cuda": ("cuda", "tensorrt"), "openvino": ("openvino",)}


@dataclass(frozen=True, slots=True)
class Choice:
    """A device and a variant, and the reason for them in one sentence."""

    device: str
    variant: str
    reason: str


def variant_entry(manifest: Manifest, variant: str) -> VariantEntry | None:
    """Return the manifest entry of a variant; bf16 is the fp32 file, rounded by the device."""
    return manifest.variants.get("fp32" if variant == "bf16" else variant)


def is_checked_on(entry: VariantEntry, device: str) -> bool:
    """Return whether the parity check of a variant applies to a device.

    It applies to the devices that the variant is made for, and to the device that the export measured it on.
    Bundles of early versions do not name that device; their checks apply to every compatible device.
    """
    return device in MADE_FOR[entry.device] or entry.parity.device in (None, device)


def choose(manifest: Manifest, device: str, variant: str, machine: Machine | None = None) -> Choice:
    """Resolve `auto`, or check the requested device and variant.

    A variant that failed its parity check, and that the user accepted at export, is chosen only by its name.

    Args:
        manifest: the manifest of the bundle.
        device: cpu, cuda, tensorrt, openvino, or auto for the fastest.
        variant: fp32, fp16, int8, int8-static, bf16, or auto for the fastest.
        machine: the machine to choose for; default: this machine.

    Raises:
        DeviceError: the device cannot be used, or the bundle has no such variant for it.
    """
    machine = machine or LocalMachine()
    check_device(device, machine)
    skipped: list[tuple[Pair, Obstacle]] = []
    for pair in _candidates(device, variant):
        obstacle = find_obstacle(manifest, *pair, machine)
        if obstacle is None and variant == "auto":
            obstacle = _not_for_auto(manifest, pair[1])
        if obstacle is None:
            return Choice(*pair, _reason(device, variant, skipped) + _caveat(manifest, *pair))
        skipped.append((pair, obstacle))
    raise DeviceError(
        f"{manifest.name}@{manifest.version} cannot run with device {device} and variant {variant}",
        cause="; ".join(_by_cause(skipped)) or f"no runtime computes {variant} on {device}",
        fix=skipped[0][1].fix if len(skipped) == 1 else "use --device auto and --variant auto",
    )


def check_device(device: str, machine: Machine | None = None) -> None:
    """Check that the requested device can be used; auto always can.

    Raises:
        DeviceError: the device cannot be used.
    """
    if device != "auto" and (obstacle := (machine or LocalMachine()).obstacle(device)):
        raise DeviceError(f"device {device} is not available", cause=obstacle.cause, fix=obstacle.fix)


def usable_devices(machine: Machine | None = None) -> list[str]:
    """Return the devices that can be used, as far as is known without opening a session."""
    machine = machine or LocalMachine()
    return [device for device in DEVICES if machine.obstacle(device) is None]


def find_obstacle(manifest: Manifest, device: str, variant: str, machine: Machine) -> Obstacle | None:
    """Return the reason why a device cannot run a variant; None if it can."""
    entry = variant_entry(manifest, variant)
    if entry is None:
        present = ", ".join(sorted(manifest.variants))
        return Obstacle(
            f"the bundle has no {variant}, only {present}", "use --variant auto, or export that variant"
        )
    if device not in COMPATIBLE_DEVICES[entry.device]:
        return Obstacle(f"the bundle's {variant} is made for {entry.device}", "use --device auto")
    if obstacle := machine.obstacle(device):
        return obstacle
    if variant == "bf16" and not machine.has_bf16():
        return Obstacle("this CPU has no bf16 instructions", "use --variant fp32, or --variant auto")
    return None


def runnable_choices(manifest: Manifest, machine: Machine | None = None) -> tuple[list[Choice], list[str]]:
    """Find the pairs of the bundle that this machine can run and to which a parity check applies.

    TensorRT is excluded: it would build an engine for minutes for every few shapes of the reference rows.

    Returns:
        A choice for each pair, and one line for each reason why other pairs cannot run.
    """
    machine = machine or LocalMachine()
    choices: list[Choice] = []
    skipped: list[tuple[Pair, Obstacle]] = []
    for pair in FASTEST_FIRST + ON_REQUEST:
        device, variant = pair
        entry = variant_entry(manifest, variant)
        if entry is None or device not in COMPATIBLE_DEVICES[entry.device]:
            continue
        if obstacle := find_obstacle(manifest, device, variant, machine):
            skipped.append((pair, obstacle))
        elif not is_checked_on(entry, device):
            cause = f"its parity was checked on {entry.parity.device}, not on {device}"
            skipped.append((pair, Obstacle(cause, f"use --device {entry.device}")))
        elif device == "tensorrt":
            skipped.append((pair, Obstacle("only the worker builds engines", "run a worker")))
        else:
            choices.append(Choice(device, variant, "this machine can run it"))
    return choices, _by_cause(skipped)


def _not_for_auto(manifest: Manifest, variant: str) -> Obstacle | None:
    if not manifest.is_accepted_by_user(variant):
        return None
    return Obstacle(
        f"the bundle's {variant} did not pass its parity check and was published with --accept-variant",
        f"use --variant {variant}",
    )


def _caveat(manifest: Manifest, device: str, variant: str) -> str:
    """Return what the parity check does not guarantee for a pair, to be appended to the reason."""
    entry = variant_entry(manifest, variant)
    found = ""
    if manifest.is_accepted_by_user(variant):
        found += "; it did not pass its parity check and was published with --accept-variant"
    if entry is not None and not is_checked_on(entry, device):
        found += f"; its parity was checked on {entry.parity.device}, not on {device}"
    return found


def _candidates(device: str, variant: str) -> Iterator[Pair]:
    pairs = FASTEST_FIRST if device == variant == "auto" else FASTEST_FIRST + ON_REQUEST
    for pair in pairs:
        if device in ("auto", pair[0]) and variant in ("auto", pair[1]):
            yield pair


def _reason(device: str, variant: str, skipped: list[tuple[Pair, Obstacle]]) -> str:
    if "auto" not in (device, variant):
        return "as requested"
    requested = " ".join(word for word in (device, variant) if word != "auto")
    reason = f"the fastest {requested} that runs here" if requested else "the fastest that runs here"
    return f"{reason}; skipped: {'; '.join(_by_cause(skipped))}" if skipped else reason


def _by_cause(skipped: Iterable[tuple[Pair, Obstacle]]) -> list[str]:
    """Return each cause once, after the pairs that it applies to."""
    causes: dict[str, list[str]] = {}
    for pair, obstacle in skipped:
        causes.setdefault(obstacle.cause, []).append(" ".join(pair))
    return [f"{', '.join(pairs)} ({cause})" for cause, pairs in causes.items()]
