"""The processes of a data-parallel training, as `torchrun` and `accelerate launch` start them.

The launcher sets the environment variables RANK, WORLD_SIZE and LOCAL_WORLD_SIZE; without them a training has
one process.
"""

import os
from datetime import timedelta
from typing import TypeVar

TIMEOUT = timedelta(days=1)

Value = TypeVar("Value")


def process_count() -> int:
    """Return the number of processes that train together, on all machines."""
    return _number("WORLD_SIZE", 1)


def processes_here() -> int:
    """Return the number of these processes on this machine."""
    return _number("LOCAL_WORLD_SIZE", process_count())


def process_rank() -> int:
    """Return the number of this process, from 0."""
    return _number("RANK", 0) if process_count() > 1 else 0


def is_main_process() -> bool:
    """Return whether this process prints, evaluates and publishes."""
    return process_rank() == 0


def connect(device: str) -> None:
    """Join the other processes of the training, which wait for all of them; without others do nothing.

    Args:
        device: the device that the processes train on: cuda, mps or cpu.
    """
    if process_count() == 1 or _connected():
        return
    import torch
    from torch import distributed

    if device == "cuda":
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
    # A process that fails is noticed by the launcher, which ends the others. An evaluation may take long.
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=TIMEOUT)


def from_main(value: Value) -> Value:
    """Return the value that the main process passes, in every process; the others' values are ignored."""
    if not _connected():
        return value
    from torch import distributed

    shared = [value]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def equal_everywhere(value: str) -> bool:
    """Return whether every process passes the same text."""
    if not _connected():
        return True
    from torch import distributed

    found: list[str | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, value)
    return len(set(found)) == 1


def wait_for_all() -> None:
    """Wait until every process has reached this call."""
    if _connected():
        from torch import distributed

        distributed.barrier()


def disconnect() -> None:
    """Leave the group of processes; later calls of this module have no effect on the others."""
    if _connected():
        from torch import distributed

        distributed.destroy_process_group()


def _connected() -> bool:
    if process_count() == 1:
        return False
    from torch import distributed

    return bool(distributed.is_available() and distributed.is_initialized())


def _number(variable: str, default: int) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isdigit() else default
