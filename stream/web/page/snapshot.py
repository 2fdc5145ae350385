"""The data of the page at one moment."""

from dataclasses import dataclass
from typing import Any

import orjson

from stream.web.page.history import Percentiles
from stream.web.page.recent import DeadLetterSample, LabelCounts, LabelledSample
from stream.web.page.state import WorkerState


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route, its bundle and its recent labels; bundle, variant and provider are None until it is loaded."""

    name: str
    input_topic: str
    output_topic: str
    dead_topic: str
    review_topic: str
    bundle: str | None
    variant: str | None
    provider: str | None
    label_counts: LabelCounts


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """The number of events of a partition that are not yet finished."""

    topic: str
    partition: int
    events: int


@dataclass(frozen=True, slots=True)
class TierView:
    """A cache tier's lookups over the window and since the worker's start.

    Attributes:
        ratio: hits divided by lookups over the window; None without lookups.
        ratio_total: the same ratio since the worker's start.
    """

    tier: str
    hits: int
    lookups: int
    ratio: float | None
    hits_total: int
    lookups_total: int
    ratio_total: float | None


@dataclass(frozen=True, slots=True)
class Batches:
    """Inferences over the window: batches per second, and means per batch, None without batches."""

    per_s: float
    rows: float | None
    fill: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data of the page; rates are events per second, durations seconds, `at_ms` is since the epoch.

    Attributes:
        throughput: events finished per second over the last five minutes, oldest first.
        durations: percentiles over `window_s` of the age of events and of every stage.
        lag: the partitions with the largest lag; `lag_more` partitions are left out.
        blocked_total: offsets behind open transactions, which cannot be read yet and are not part of the lag.
    """

    at_ms: int
    version: str
    host: str
    group: str
    state: WorkerState
    outcomes: dict[str, int]
    per_s: float
    per_s_window: float
    throughput: list[float]
    window_s: float
    durations: dict[str, Percentiles]
    lag_total: int
    lag: list[PartitionLag]
    lag_more: int
    blocked_total: int
    routes: list[RouteView]
    cache: list[TierView]
    batches: Batches
    queue_events: int
    queue_bytes: int
    in_flight_events: int
    assigned: int
    paused: int
    rebalances: int
    events: list[LabelledSample]
    shows_texts: bool
    dead_reasons: dict[str, int]
    dead: list[DeadLetterSample]


def as_json(snapshot: Snapshot) -> bytes:
    """Return the snapshot as a JSON object; named tuples become objects."""

    def plain(value: Any) -> Any:
        return value._asdict() if hasattr(value, "_asdict") else str(value)

    return orjson.dumps(snapshot, default=plain)
