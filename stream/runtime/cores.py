"""CPU cores and threads: how many the process may use, and the priority of inference threads."""

import os
import sys
import threading
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
NICE_INCREMENT = 5

_limit: int | None = None


def limit_cores(count: int) -> None:
    """Let this process use at most this many cores, for a scheduler that gives it a share of a machine."""
    global _limit
    _limit = count


def usable_cores() -> int:
    """Return the number of cores that this process may use.

    Its affinity, the quota of its container and `limit_cores` limit it.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota = quota_cores(CGROUP_QUOTA.read_text(encoding="ascii"))
    except OSError:
        quota = None
    return min(filter(None, (available, quota, _limit)))


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
