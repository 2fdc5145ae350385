"""`labelstream predict --engine ray`: the files of a folder over the actors of a Ray cluster.

A task reads each file in segments, an actor labels a segment and writes its part of
the output. The reader and the predictor are those of one machine, and a segment is a number of their chunks,
so the predictions are equal to those of one machine.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream.errors import UsageError, missing_module
from stream.predict.ray_tasks import SegmentLabeller, SegmentReader

GPU_DEVICES = ("cuda", "tensorrt")
# Readers wait for the actors most of the time, and must not take the core of one.
READER_CPUS = 0.0
MAX_READERS = 4


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """The actors of a run.

    Attributes:
        count: the number of actors.
        cpus: the cores of each actor.
        gpus: the GPUs of each actor.
    """

    count: int
    cpus: int
    gpus: int


def connect(address: str | None) -> None:
    """Connect to a Ray cluster, or start a local one.

    Raises:
        UsageError: Ray is not installed, or the cluster does not answer.
    """
    # By default Ray reports its usage to its developers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as exc:
        raise missing_module("--engine ray needs Ray", exc, "ray") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    local: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **local)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as exc:
        raise UsageError(
            f"cannot connect to Ray at {address or 'a local cluster'}",
            cause=(str(exc).strip() or type(exc).__name__).splitlines()[0],
            fix="check --ray-address, or leave it out for a local cluster",
        ) from None


def disconnect() -> None:
    """Disconnect from the cluster, and end a local one."""
    import ray

    ray.shutdown()


def plan_actors(actors: int | None, device: str) -> ActorPlan:
    """Divide the cores of the cluster among actors.

    Args:
        actors: the number of actors; None for one on each node.
        device: the device of the settings.

    Raises:
        UsageError: the cluster has fewer cores, or GPUs, than actors.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    count = actors or max(1, sum(resources.get("CPU", 0) >= 1 for resources in nodes))
    cores = [int(resources.get("CPU", 0)) for resources in nodes]
    cpus = next((size for size in range(max(cores, default=0), 0, -1) if _fit(cores, size) >= count), 0)
    gpus = 1 if device in GPU_DEVICES else 0
    available = sum(int(resources.get("GPU", 0)) for resources in nodes)
    if not cpus or available < gpus * count:
        what = f"{sum(cores)} cores" if not cpus else f"{available} GPUs"
        raise UsageError(
            f"the Ray cluster cannot run {count} actors",
            cause=f"it has {what}, and each actor needs one",
            fix="lower --actors",
        )
    return ActorPlan(count, cpus, gpus)


def label_segments(
    files: Sequence[Mapping[str, Any]], reader: SegmentReader, labeller: SegmentLabeller, plan: ActorPlan
) -> Iterator[Mapping[str, Any]]:
    """Label files, and yield a report of each segment and of the end of each file.

    Args:
        files: the items of the reader.
        reader: reads the files in tasks.
        labeller: the arguments of the actors.
        plan: the actors.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Each segment is a block of its own, so that one large file is distributed too.
    context.target_max_block_size = 1
    readers = ray.data.TaskPoolStrategy(size=min(MAX_READERS, len(files)))
    segments = ray.data.from_items([*files], override_num_blocks=len(files)).flat_map(
        reader, num_cpus=READER_CPUS, compute=readers
    )
    reports = segments.map_batches(
        _Actor,
        fn_constructor_args=(labeller,),
        batch_size=1,
        num_cpus=plan.cpus,
        num_gpus=plan.gpus,
        compute=ray.data.ActorPoolStrategy(size=plan.count),
    )
    yield from reports.iter_rows()


class _Actor:
    """An actor of Ray: it opens the bundle once and labels segments."""

    def __init__(self, labeller: SegmentLabeller) -> None:
        self._labeller = labeller
        labeller.open()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        names = [*batch]
        items = [dict(zip(names, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        reports = [self._labeller.label(item) for item in items]
        return {name: [report[name] for report in reports] for name in names}


def _fit(cores: list[int], size: int) -> int:
    """Return the number of actors of this many cores that fit on nodes."""
    return sum(available // size for available in cores)
