"""The detection of partitions that have work and do not move."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream.errors import StalledError
from stream.kafka.consumer import PartitionProgress

FIX = "restart the worker, as a supervisor does; nothing was lost"


@dataclass(slots=True)
class _Waits:
    """The seconds for which the offsets of a partition have not moved, by the step that is due.

    Attributes:
        progress: the progress at the last check.
        finish_s: seconds with unfinished batches and an unmoved safe offset.
        read_s: seconds with lag, without unfinished batches, while the worker had room for more.
        commit_s: seconds with finished events and an unmoved committed offset, while the broker answered.
    """

    progress: PartitionProgress
    finish_s: float = 0.0
    read_s: float = 0.0
    commit_s: float = 0.0


class StallDetector:
    """Detects a partition that does not move although it has work, also while other partitions progress.

    A partition whose events wait behind those of other partitions, because the model is the bottleneck, is no
    stall: while the worker has no room for more events, the time for reading does not run.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        """
        Args:
            limit_s: the seconds without movement after which a partition is stalled.
            clock: returns monotonic seconds.
        """
        self._limit_s = limit_s
        self._clock = clock
        self._checked_at = clock()
        self._waits: dict[tuple[str, int], _Waits] = {}

    def check(
        self,
        partitions: Mapping[tuple[str, int], PartitionProgress],
        has_room: Callable[[str], bool],
        *,
        broker_answers: bool,
    ) -> StalledError | None:
        """Return the error for the first partition that is stalled, None if there is none.

        Args:
            partitions: the progress of the assigned partitions.
            has_room: returns True if the worker has no queued events of a topic and may read more.
            broker_answers: False while the broker is silent; commits cannot succeed then.
        """
        now = self._clock()
        passed, self._checked_at = now - self._checked_at, now
        self._waits = {
            tp: self._waited(tp, progress, passed, has_room(tp[0]), broker_answers)
            for tp, progress in partitions.items()
        }
        for (topic, partition), waits in self._waits.items():
            if error := self._error(f"{topic}-{partition}", waits):
                return error
        return None

    def _waited(
        self, tp: tuple[str, int], at: PartitionProgress, passed: float, has_room: bool, broker_answers: bool
    ) -> _Waits:
        waits = self._waits.get(tp) or _Waits(at)
        before, waits.progress = waits.progress, at
        moved = at.safe_offset != before.safe_offset
        due = at.committed is None or at.safe_offset > at.committed
        committed = at.committed != before.committed
        waits.finish_s = 0.0 if moved or not at.unfinished else waits.finish_s + passed
        if moved or at.unfinished or not at.lag:
            waits.read_s = 0.0
        elif has_room:
            waits.read_s += passed
        if committed or not due or not broker_answers:
            waits.commit_s = 0.0
        else:
            waits.commit_s += passed
        return waits

    def _error(self, name: str, waits: _Waits) -> StalledError | None:
        at, limit = waits.progress, f"{self._limit_s:g} s"
        if waits.finish_s > self._limit_s:
            return StalledError(
                f"partition {name} has finished no event for {limit}, with {at.lag} events waiting",
                cause=f"the record batch at offset {at.safe_offset} never finished",
                fix=FIX,
            )
        if waits.read_s > self._limit_s:
            return StalledError(
                f"partition {name} was not read for {limit}, with {at.lag} events waiting",
                cause=f"the consumer received no record from offset {at.safe_offset} on",
                fix=FIX,
            )
        if waits.commit_s > self._limit_s:
            return StalledError(
                f"the offsets of partition {name} were not committed for {limit}",
                cause=f"every commit failed; committed is {at.committed}, finished is {at.safe_offset}",
                fix="read the warnings 'commit failed' in the log; " + FIX,
            )
        return None
