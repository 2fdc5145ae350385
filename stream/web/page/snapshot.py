"""Everything that the page shows at one moment, as data."""

from dataclasses import dataclass
from typing import Any

import orjson

from stream.web.page.history import Percentiles
from stream.web.page.recent import DeadLetterSample, Labelled, Tally
from stream.web.page.standing import Standing


@dataclass(frozen=True, slots=True)
class RouteView:
    """A route, the bundle that it runs, and the labels it gave lately; no bundle while none is loaded."""

    name: str
    input_topic: str
    output_topic: str
    dead_topic: str
    bundle: str | None
    variant: str | None
    provider: str | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """Events of a partition that are not finished yet."""

    topic: str
    partition: int
    events: int


@dataclass(frozen=True, slots=True)
class TierView:
    """A cache tier's look-ups over the window, and since the start.

    Attributes:
        ratio: hits by look-ups over the window, None without any.
        ratio_total: the same since the start.
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
    """Inferences over the window: means are None when there were none."""

    per_s: float
    rows: float | None
    fill: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the page shows: rates in events a second, durations in seconds, `at_ms` since the epoch.

    Attributes:
        line: events finished a second over the last five minutes, oldest first.
        durations: of the age of events and of every stage, over `window_s`.
        lag: the partitions with most events waiting; `lag_more` partitions are left out.
    """

    at_ms: int
    version: str
    host: str
    group: str
    standing: Standing
    outcomes: dict[str, int]
    per_s: float
    per_s_window: float
    line: list[float]
    window_s: float
    durations: dict[str, Percentiles]
    lag_total: int
    lag: list[PartitionLag]
    lag_more: int
    routes: list[RouteView]
    cache: list[TierView]
    batches: Batches
    queue_events: int
    queue_bytes: int
    in_flight_events: int
    assigned: int
    paused: int
    rebalances: int
    events: list[Labelled]
    shows_texts: bool
    dead_reasons: dict[str, int]
    dead: list[DeadLetterSample]


def as_json(snapshot: Snapshot) -> bytes:
    """A snapshot as a JSON object; its parts are objects too."""

    def plain(value: Any) -> Any:
        return value._asdict() if hasattr(value, "_asdict") else str(value)

    return orjson.dumps(snapshot, default=plain)
