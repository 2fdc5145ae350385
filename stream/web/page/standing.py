"""How a worker stands, in words that need no knowledge of it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["not ready", "standing by", "idle", "keeping up", "catching up", "falling behind"]
# A worker takes on some seconds of work at once; that much waiting is no sign of anything.
SOON_S = 5.0
FEW_EVENTS = 100
MINUTE_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict rests on.

    Attributes:
        waiting_for: what is missing until it is ready, None when nothing is.
        assigned: partitions of this worker.
        waiting: events not yet finished.
        waiting_before: the same, `span_s` earlier.
        span_s: seconds.
        per_s: events finished a second, lately.
        stuck_s: seconds for which events have waited and none was finished.
        paused: partitions that wait for room.
    """

    waiting_for: str | None
    assigned: int
    waiting: int
    waiting_before: int
    span_s: float
    per_s: float
    stuck_s: float = 0.0
    paused: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A verdict, and the sentence that says why."""

    state: State
    reason: str


def judge(facts: Facts) -> Standing:
    """The verdict on a worker."""
    if facts.waiting_for is not None:
        return Standing("not ready", f"Waiting for {facts.waiting_for}.")
    if not facts.assigned:
        return Standing(
            "standing by",
            "Other workers of the group have all partitions; this one takes over when one of them goes.",
        )
    if not facts.waiting and facts.per_s < 0.05:
        return Standing("idle", "Every event that came is finished, and no new ones are coming.")
    waiting = _waiting(facts.waiting)
    if facts.per_s <= 0:
        return _without_progress(facts, waiting)
    if facts.waiting <= max(FEW_EVENTS, SOON_S * facts.per_s):
        return Standing("keeping up", f"Events are finished as they come; {waiting}.")
    return _with_backlog(facts, waiting)


def _without_progress(facts: Facts, waiting: str) -> Standing:
    if facts.stuck_s >= SOON_S:
        return Standing("falling behind", f"None was finished in the last {facts.stuck_s:.0f} s; {waiting}.")
    few = facts.waiting <= FEW_EVENTS
    return Standing("keeping up" if few else "catching up", f"Work on them has begun; {waiting}.")


def _with_backlog(facts: Facts, waiting: str) -> Standing:
    change, span = facts.waiting - facts.waiting_before, f"{facts.span_s:.0f} s ago"
    work = f"{duration(facts.waiting / facts.per_s)} of work at the present rate"
    if change < 0:
        return Standing("catching up", f"{-change:,} fewer than {span}; {waiting}, {work}.")
    more = f"{change:,} more than {span}" if change else f"As many as {span}"
    cause = " Partitions are paused until there is room: the model is the bottleneck." if facts.paused else ""
    return Standing("falling behind", f"{more}; {waiting}, {work}.{cause}")


def _waiting(events: int) -> str:
    if not events:
        return "no event is waiting"
    return f"{events:,} {'event is' if events == 1 else 'events are'} waiting"


def duration(seconds: float) -> str:
    """A length of time for people, in one unit."""
    if seconds < MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR_S:
        return f"{round(seconds / MINUTE_S)} min"
    return f"{seconds / HOUR_S:.1f} h"
