"""The variants that `auto` chooses on the usual kinds of machines, for the summary of an export."""

from dataclasses import dataclass

from stream.bundle import Manifest
from stream.runtime.choice import Choice, choose
from stream.runtime.machine import Obstacle


@dataclass(frozen=True, slots=True)
class KindOfMachine:
    """A kind of machine: its name, its devices, and whether OpenVINO computes in bf16 on it."""

    name: str
    devices: tuple[str, ...]
    bf16: bool = False

    def obstacle(self, device: str) -> Obstacle | None:
        """Return None for a device of this kind of machine."""
        if device in self.devices:
            return None
        return Obstacle(f"{self.name} has no {device}", "use --device auto")

    def has_bf16(self) -> bool:
        """Return True if OpenVINO computes in bf16."""
        return self.bf16


USUAL_MACHINES = (
    KindOfMachine("CPU with ONNX Runtime", ("cpu",)),
    KindOfMachine("CPU with OpenVINO", ("cpu", "openvino")),
    KindOfMachine("CPU with OpenVINO and bf16", ("cpu", "openvino"), bf16=True),
    KindOfMachine("NVIDIA GPU", ("cpu", "cuda")),
)


def usual_choices(manifest: Manifest) -> dict[str, Choice]:
    """Return the choice of `--device auto --variant auto` for each usual kind of machine, by its name."""
    found = {machine.name: choose(manifest, "auto", "auto", machine) for machine in USUAL_MACHINES}
    plain, bf16 = (found[name] for name in ("CPU with OpenVINO", "CPU with OpenVINO and bf16"))
    if (plain.device, plain.variant) == (bf16.device, bf16.variant):
        del found["CPU with OpenVINO and bf16"]
    return found
