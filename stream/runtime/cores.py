"""How many threads suit this machine."""

import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and below that its container's CPU quota."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed = quota_cores(CGROUP_QUOTA.read_text(encoding="ascii"))
    except OSError:
        allowed = None
    return min(there, allowed) if allowed else there


def quota_cores(cpu_max: str) -> int | None:
    """Whole cores that the content of a cgroup's `cpu.max` allows, at least one; None: as many as there are.

    More threads than the quota pays for are stopped together for the rest of each period.
    """
    quota, _, period = cpu_max.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return max(1, int(quota) // int(period))


def threads_of_each(cores: int, callers: int) -> int:
    """Threads that one inference may use, when so many callers share a session's pool and fill the cores.

    A caller computes as well, so the pool has one thread less than this.
    """
    return max(1, cores - callers + 1)
