"""Device and variant, one after the other, for callers that open a session of ONNX Runtime themselves."""

from stream.bundle import Manifest
from stream.errors import DeviceError
from stream.runtime.choice import FASTEST_FIRST, obstacle
from stream.runtime.machine import ThisMachine


def choose_device(wanted: str) -> str:
    """Resolve `auto` to cuda or cpu; refuse a device that cannot be used.

    Raises:
        DeviceError: the wanted device cannot be used here.
    """
    if wanted == "auto":
        return "cpu" if ThisMachine().problem("cuda") else "cuda"
    if wrong := ThisMachine().problem(wanted):
        raise DeviceError(f"device {wanted} is not available", why=wrong.why, mend=wrong.mend)
    return wanted


def choose_variant(manifest: Manifest, wanted: str, device: str) -> str:
    """The wanted variant, or the fastest that the bundle has for the device.

    Raises:
        DeviceError: the bundle lacks the wanted variant.
    """
    if wanted != "auto":
        if wanted in manifest.variants:
            return wanted
        raise DeviceError(
            f"the bundle {manifest.name}@{manifest.version} has no variant {wanted}",
            why=f"it has: {', '.join(sorted(manifest.variants))}",
            mend="use --variant auto, or export that variant",
        )
    for where, variant in FASTEST_FIRST:
        if where == device and obstacle(manifest, device, variant, ThisMachine()) is None:
            return variant
    return next(iter(manifest.variants))
