"""From a choice to open sessions, one for each thread that will own one."""

from stream.bundle import Bundle
from stream.runtime.base import Runtime
from stream.runtime.choice import Choice
from stream.runtime.cores import share, usable_cores
from stream.runtime.machine import gpu_count
from stream.runtime.onnx import OnnxRuntime
from stream.runtime.openvino import open_streams


def open_runtimes(bundle: Bundle, choice: Choice, sessions: int | None = None) -> list[Runtime]:
    """Open the chosen variant on the chosen device.

    Args:
        bundle: a checked bundle.
        choice: what `choose` returned for it.
        sessions: how many inferences may run side by side. Default: 1; on openvino 2, or 1 on a single core.
            On cpu they divide the cores, on cuda and tensorrt they go round the GPUs, on openvino they are
            streams of one compiled model.

    Returns:
        A runtime for each thread that will own one.

    Raises:
        DeviceError: the device does not open.
    """
    if choice.device == "openvino":
        return [*open_streams(bundle, choice.variant, sessions)]
    count = sessions or 1
    if choice.device == "cpu":
        threads = share(usable_cores(), count)
        return [OnnxRuntime(bundle, choice.variant, "cpu", threads) for _ in range(count)]
    gpus = gpu_count()
    return [
        OnnxRuntime(bundle, choice.variant, choice.device, device_id=number % gpus) for number in range(count)
    ]
