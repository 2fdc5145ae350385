"""The stages of the work on record batches, as metrics and traces measure them."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Protocol


class StageTrace(Protocol):
    """The trace of a record batch, as far as the stages know it."""

    @property
    def ids(self) -> Mapping[str, str]:
        """The ids for the exemplars of histograms."""

    def record(self, stage: str, began: float, ended: float) -> None:
        """Record a time in which a stage worked on the batch, in monotonic seconds."""


class TracedTimer:
    """Observes its duration as that of a stage, with an exemplar, and records the stage in traces."""

    def __init__(
        self,
        observe: Callable[[float, dict[str, str]], None],
        stage: str,
        traces: Sequence[StageTrace],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """
        Args:
            observe: observes seconds with an exemplar.
            stage: the name of the stage.
            traces: the traces of the batches that the stage works on; the exemplar names the first of them.
            clock: returns monotonic seconds.
        """
        self._observe = observe
        self._stage = stage
        self._traces = traces
        self._clock = clock
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._clock()
        self._observe(ended - self._began, dict(self._traces[0].ids))
        for recorded in self._traces:
            recorded.record(self._stage, self._began, ended)
