"""From a choice to open sessions, one for each thread that will own one."""

from stream.bundle import Bundle
from stream.runtime.base import Runtime
from stream.runtime.choice import Choice
from stream.runtime.cores import threads_of_each, usable_cores
from stream.runtime.machine import gpu_count
from stream.runtime.onnx import OnnxRuntime
from stream.runtime.openvino import open_streams

# Inferences side by side on a CPU. One that all cores share has them wait for each other after every
# operator, and for whichever of them another process has taken.
CPU_SESSIONS = 2


def open_runtimes(bundle: Bundle, choice: Choice, sessions: int | None = None) -> list[Runtime]:
    """Open the chosen variant on the chosen device.

    Args:
        bundle: a checked bundle.
        choice: what `choose` returned for it.
        sessions: how many inferences may run side by side. Default: 1; on cpu and openvino 2, or 1 on a
            single core. On cpu they share one session and its threads, on openvino they are streams of one
            compiled model, on cuda and tensorrt they go round the GPUs.

    Returns:
        A runtime for each thread that will own one.

    Raises:
        DeviceError: the device does not open.
    """
    if choice.device == "openvino":
        return [*open_streams(bundle, choice.variant, sessions)]
    if choice.device == "cpu":
        cores = usable_cores()
        count = sessions or min(CPU_SESSIONS, cores)
        first = OnnxRuntime(bundle, choice.variant, "cpu", threads_of_each(cores, count))
        return [first, *(first.beside() for _ in range(count - 1))]
    count = sessions or 1
    gpus = gpu_count()
    return [
        OnnxRuntime(bundle, choice.variant, choice.device, device_id=number % gpus) for number in range(count)
    ]
