"""Opening of inference sessions for a chosen device and variant."""

from stream.bundle import Bundle
from stream.runtime.base import Runtime
from stream.runtime.choice import Choice
from stream.runtime.cores import CoreUse, threads_per_inference
from stream.runtime.machine import gpu_count
from stream.runtime.onnx import OnnxRuntime
from stream.runtime.openvino import open_openvino_runtimes

# The default number of concurrent inferences on a CPU. The threads of a single inference wait for each other
# after every operator, and for any core that another process occupies.
CPU_SESSIONS = 2


def open_runtimes(
    bundle: Bundle, choice: Choice, sessions: int | None = None, use: CoreUse | None = None
) -> list[Runtime]:
    """Open the chosen variant on the chosen device.

    Args:
        bundle: a verified bundle.
        choice: the result of `choose` for this bundle.
        sessions: the number of concurrent inferences. Default: 1; on cpu and openvino 2, or 1 on a single
            core. On cpu they share one session and its threads, on openvino they are streams of one compiled
            model, on cuda and tensorrt they are distributed over the GPUs.
        use: how inferences on the CPU use the cores; default: several threads on all cores.

    Returns:
        One runtime for each concurrent inference.

    Raises:
        DeviceError: a session cannot be opened.
    """
    use = use or CoreUse()
    if choice.device == "openvino":
        return [*open_openvino_runtimes(bundle, choice.variant, sessions, use.cores)]
    if choice.device == "cpu":
        count = sessions or (use.cores if use.single_threaded else min(CPU_SESSIONS, use.cores))
        threads = 1 if use.single_threaded else threads_per_inference(use.cores, count)
        first = OnnxRuntime(bundle, choice.variant, "cpu", threads)
        return [first, *(first.with_shared_session() for _ in range(count - 1))]
    count = sessions or 1
    gpus = gpu_count()
    return [
        OnnxRuntime(bundle, choice.variant, choice.device, device_id=number % gpus) for number in range(count)
    ]
