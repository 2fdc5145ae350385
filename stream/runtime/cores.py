"""CPU cores and threads: how many the process may use, and the priority of inference threads."""

import os
import sys
import threading
from pathlib import Path
from typing import NamedTuple

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
NICE_INCREMENT = 5


class CoreUse(NamedTuple):
    """How inferences on the CPU use the cores.

    Attributes:
        single_threaded: True if an inference on cpu has one thread, and the default is one inference for each
            core. The logits then do not depend on the number of cores: with several threads, ONNX Runtime
            divides a matrix product among them, and its last bits depend on the division.
        share: the cores that a scheduler gives to this process; None for all that it may use.
    """

    single_threaded: bool = False
    share: int | None = None

    @property
    def cores(self) -> int:
        """The number of cores to use."""
        return min(usable_cores(), self.share or usable_cores())


def usable_cores() -> int:
    """Return the number of cores that this process may use, by its affinity and its container's quota."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota = quota_cores(CGROUP_QUOTA.read_text(encoding="ascii"))
    except OSError:
        quota = None
    return min(available, quota) if quota else available


def quota_cores(cpu_max: str) -> int | None:
    """Return the whole cores that the content of a cgroup's `cpu.max` allows, at least 1; None if unlimited.

    With more threads than that, the kernel stops all of them for the rest of each period.
    """
    quota, _, period = cpu_max.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return max(1, int(quota) // int(period))


def threads_per_inference(cores: int, callers: int) -> int:
    """Return the threads that one inference may use if `callers` share a session's pool and fill the cores.

    A caller computes too, so the pool has one thread fewer than this.
    """
    return max(1, cores - callers + 1)


def lower_thread_priority() -> None:
    """Lower the priority of the current thread, and of threads that it starts, on Linux.

    Inference keeps every core busy for milliseconds at a time. If the event loop waits for a core meanwhile,
    all events are delayed, and soon the model has no work left. A model that is alone on the machine loses
    nothing. Other platforms have no priorities per thread, so nothing is done there.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE_INCREMENT)
