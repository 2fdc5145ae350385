"""Opening of inference sessions for a chosen device and variant."""

from stream.bundle import Bundle
from stream.runtime.base import Runtime
from stream.runtime.choice import Choice
from stream.runtime.cores import threads_per_inference, usable_cores
from stream.runtime.machine import gpu_count
from stream.runtime.onnx import OnnxRuntime
from stream.runtime.openvino import open_openvino_runtimes

# The default number of concurrent inferences on a CPU. The threads of a single inference wait for each other
# after every operator, and for any core that another process occupies.
CPU_SESSIONS = 2


def open_runtimes(
    bundle: Bundle, choice: Choice, sessions: int | None = None, *, single_threaded: bool = False
) -> list[Runtime]:
    """Open the chosen variant on the chosen device.

    Args:
        bundle: a verified bundle.
        choice: the result of `choose` for this bundle.
        sessions: the number of concurrent inferences. Default: 1; on cpu and openvino 2, or 1 on a single
            core. On cpu they share one session and its threads, on openvino they are streams of one compiled
            model, on cuda and tensorrt they are distributed over the GPUs.
        single_threaded: True if an inference on cpu has one thread, and the default is one inference for each
            core. The logits then do not depend on the number of cores: with several threads, ONNX Runtime
            divides a matrix product among them, and its last bits depend on the division.

    Returns:
        One runtime for each concurrent inference.

    Raises:
        DeviceError: a session cannot be opened.
    """
    if choice.device == "openvino":
        return [*open_openvino_runtimes(bundle, choice.variant, sessions)]
    if choice.device == "cpu":
        cores = usable_cores()
        count = sessions or (cores if single_threaded else min(CPU_SESSIONS, cores))
        threads = 1 if single_threaded else threads_per_inference(cores, count)
        first = OnnxRuntime(bundle, choice.variant, "cpu", threads)
        return [first, *(first.with_shared_session() for _ in range(count - 1))]
    count = sessions or 1
    gpus = gpu_count()
    return [
        OnnxRuntime(bundle, choice.variant, choice.device, device_id=number % gpus) for number in range(count)
    ]
