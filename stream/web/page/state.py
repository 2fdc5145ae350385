"""The state of a worker, in words for readers who do not know its internals."""

from dataclasses import dataclass
from typing import Literal

StateName = Literal["not ready", "standby", "idle", "keeping up", "catching up", "falling behind"]
# A worker holds some seconds of work in flight, so a lag of that size is normal.
NORMAL_LAG_S = 5.0
FEW_EVENTS = 100
MINUTE_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class StateInputs:
    """The figures that the state is derived from.

    Attributes:
        waiting_for: what is missing until the worker is ready; None when it is ready.
        assigned: the number of partitions assigned to the worker.
        waiting: the number of events not yet finished.
        waiting_before: the same number `span_s` seconds earlier.
        span_s: the seconds between the two numbers.
        per_s: the events finished per second, recently.
        stuck_s: the seconds for which events have been waiting without one being finished.
        paused: the number of assigned partitions that are paused.
        blocked: the number of offsets behind open transactions.
    """

    waiting_for: str | None
    assigned: int
    waiting: int
    waiting_before: int
    span_s: float
    per_s: float
    stuck_s: float = 0.0
    paused: int = 0
    blocked: int = 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The name of a state, and a sentence with the reason."""

    name: StateName
    reason: str


def derive_state(inputs: StateInputs) -> WorkerState:
    """Return the state of a worker."""
    if inputs.waiting_for is not None:
        return WorkerState("not ready", f"Waiting for {inputs.waiting_for}.")
    if not inputs.assigned:
        return WorkerState(
            "standby",
            "Other workers of the group have all partitions. This one takes over when one of them leaves.",
        )
    if not inputs.waiting and inputs.per_s < 0.05:
        return WorkerState("idle", _idle_reason(inputs.blocked))
    waiting = _waiting(inputs.waiting)
    if inputs.per_s <= 0:
        return _without_progress(inputs, waiting)
    if inputs.waiting <= max(FEW_EVENTS, NORMAL_LAG_S * inputs.per_s):
        return WorkerState("keeping up", f"Events are finished as they arrive; {waiting}.")
    return _with_backlog(inputs, waiting)


def _idle_reason(blocked: int) -> str:
    if blocked:
        return f"All readable events are finished; {blocked:,} more wait behind an open transaction."
    return "All events are finished, and no new ones are arriving."


def _without_progress(inputs: StateInputs, waiting: str) -> WorkerState:
    if inputs.stuck_s >= NORMAL_LAG_S:
        return WorkerState(
            "falling behind", f"No event was finished in the last {inputs.stuck_s:.0f} s; {waiting}."
        )
    few = inputs.waiting <= FEW_EVENTS
    return WorkerState("keeping up" if few else "catching up", f"Work on the events has begun; {waiting}.")


def _with_backlog(inputs: StateInputs, waiting: str) -> WorkerState:
    change, span = inputs.waiting - inputs.waiting_before, f"{inputs.span_s:.0f} s ago"
    work = f"{duration(inputs.waiting / inputs.per_s)} of work at the current rate"
    if change < 0:
        return WorkerState("catching up", f"{-change:,} fewer than {span}; {waiting}, {work}.")
    more = f"{change:,} more than {span}" if change else f"As many as {span}"
    cause = " Partitions are paused because the queue is full: the model is the bottleneck."
    return WorkerState("falling behind", f"{more}; {waiting}, {work}.{cause if inputs.paused else ''}")


def _waiting(events: int) -> str:
    if not events:
        return "no event is waiting"
    return f"{events:,} {'event is' if events == 1 else 'events are'} waiting"


def duration(seconds: float) -> str:
    """Return a length of time for people, in one unit."""
    if seconds < MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR_S:
        return f"{round(seconds / MINUTE_S)} min"
    return f"{seconds / HOUR_S:.1f} h"
