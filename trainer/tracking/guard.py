"""A tracker in a thread of its own: it neither delays the training nor ends it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from stream.bundle import Bundle
from stream.errors import LabelstreamError, UsageError, one_line
from trainer.tracking.base import RunInfo, Status, Tracker
from trainer.tracking.values import without_secrets

START_TIMEOUT_S = 120.0

Call = Callable[[], None]


class GuardedTracker:
    """A tracker whose calls run in order in its own thread; the first failure is reported, and no more.

    After a failure the curves are dropped; the final metrics, the artefacts and the end of the run are still
    tried, because a server may have come back.

    Attributes:
        name: the name of the tracker.
        samples_system: whether the library records CPU, memory and GPU itself.
        run_id: the id of the run, once it has started.
        where: the folder or the URL of the run, once it has started.
        failure: the cause of the first failure; empty if every call has succeeded.
    """

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        """Start the thread.

        Args:
            tracker: the tracker.
            warn: receives one line when a call fails for the first time.
        """
        self.name = tracker.name
        self.samples_system = tracker.samples_system
        self.run_id = ""
        self.where = ""
        self.failure = ""
        self._tracker = tracker
        self._warn = warn
        self._unreachable = False
        self._step = 0
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        # A library that hangs must not keep the process from ending.
        self._thread = Thread(target=self._work, name=f"labelstream-{self.name}", daemon=True)
        self._thread.start()

    def start(self, run: RunInfo) -> None:
        """Start the run, and wait for it.

        Raises:
            UsageError: the library does not start a run, such as for a wrong address or missing credentials.
        """
        started, errors = Event(), list[BaseException]()

        def call() -> None:
            try:
                self.run_id = self._tracker.start(run)
                self.where = without_secrets(self._tracker.location())
            except BaseException as exc:  # noqa: BLE001 # the caller's thread raises it
                errors.append(exc)
            finally:
                started.set()

        self._calls.put(call)
        if not started.wait(START_TIMEOUT_S):
            self._unreachable = True
            raise self._not_started(f"no answer within {START_TIMEOUT_S:.0f} seconds")
        if not errors:
            return
        self._unreachable = True
        if isinstance(errors[0], LabelstreamError):
            raise errors[0]
        raise self._not_started(without_secrets(one_line(errors[0])))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record a point of the curves, by default at the last step."""
        if step is not None:
            # The thread of the system figures passes no step, and must not set an old one again.
            self._step = step
        at, values = self._step, dict(metrics)
        self._submit(lambda: self._tracker.log_metrics(values, at))

    def log_results(self, metrics: Mapping[str, float]) -> None:
        """Record the final metrics."""
        at, values = self._step, dict(metrics)
        self._submit(lambda: self._tracker.log_results(values, at), final=True)

    def log_bundle(self, bundle: Bundle) -> None:
        """Record the published bundle."""
        self._submit(lambda: self._tracker.log_bundle(bundle), final=True)

    def log_files(self, paths: Sequence[Path]) -> None:
        """Record files and folders."""
        self._submit(lambda: self._tracker.log_files(paths), final=True)

    def finish(self, status: Status) -> None:
        """End the run after the calls so far, without waiting for it."""
        self._submit(lambda: self._tracker.finish(status), final=True)
        self._calls.put(None)

    def wait(self, timeout_s: float) -> None:
        """Wait until the run has ended; a run that takes longer is left behind as incomplete."""
        self._thread.join(max(0.0, timeout_s))
        if self._thread.is_alive() and not self.failure:
            self.failure = "it did not end in time"

    def _submit(self, call: Call, *, final: bool = False) -> None:
        self._calls.put(lambda: self._attempt(call, final=final))

    def _attempt(self, call: Call, *, final: bool) -> None:
        if self._unreachable or (self.failure and not final):
            return
        try:
            call()
        except BaseException as exc:  # noqa: BLE001 # libraries raise SystemExit too; the thread goes on
            self._unreachable = final
            cause = without_secrets(one_line(exc))
            if not self.failure:
                self.failure = cause
                self._warn(f"{self.name} has failed, and the training goes on without it: {cause}")

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _not_started(self, cause: str) -> UsageError:
        return UsageError(
            f"{self.name} does not start a run",
            cause=cause,
            fix=f"check its address and credentials, or leave {self.name} out of --report-to",
        )
