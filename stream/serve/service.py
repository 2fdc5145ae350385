"""The model behind the server: its loading, the admission of rows, their deadline, and its health."""

import asyncio
from collections.abc import Callable, Sequence

from stream.classify import Prediction
from stream.deadline import Deadline
from stream.errors import Fatal
from stream.serve.admission import Admission
from stream.serve.http_metrics import HttpMetrics
from stream.serve.limits import ServeLimits
from stream.serve.problems import Kind, RequestError
from stream.settings import Settings
from stream.web.health import Check, Checks, check_bundles, check_sessions, passed
from stream.wording import count_of
from stream.worker.route_model import OpenModel, open_model, warm_up
from stream.worker.row_classifier import ClassifiedRow, RowClassifier, as_record

ROUTE = "http"


class ClassifyService:
    """Classifies the rows of all requests with one classifier, so that they share batches.

    Attributes:
        stopping: is set when the server begins to stop.
        metrics: the metrics of the server.
    """

    def __init__(
        self,
        settings: Settings,
        limits: ServeLimits,
        metrics: HttpMetrics,
        on_fatal: Callable[[Fatal], None],
    ) -> None:
        """
        Args:
            settings: the settings of the model and of rows.
            limits: the limits of requests.
            metrics: receives the rows.
            on_fatal: is called with an error after which the process has to end.
        """
        self.metrics = metrics
        self.stopping = asyncio.Event()
        self._settings = settings
        self._limits = limits
        self._on_fatal = on_fatal
        self._rows: RowClassifier | None = None
        self._failed = False
        self._tasks: set[asyncio.Task[list[ClassifiedRow]]] = set()
        self._admission = Admission(limits.max_queue_rows, self._backlog_s)
        metrics.watch_queue(lambda: self._admission.rows)

    async def load(self, bundle: str) -> None:
        """Load a bundle, warm it up, and accept requests.

        Raises:
            BundleError: the bundle is missing, changed, or cannot be served.
            DeviceError: the device does not exist or does not answer.
        """
        metrics = self.metrics.model
        opened = await open_model(bundle, self._settings.variant, self._settings, None, metrics)
        await warm_up(opened, ROUTE, metrics)
        self.start(opened)

    def start(self, opened: OpenModel) -> None:
        """Accept requests for an open model."""
        self._rows = RowClassifier(opened, self._settings)
        self.metrics.model.ready.set(1)

    def close(self) -> None:
        """End the threads of the model."""
        if self._rows is not None:
            self._rows.opened.classifier.close()

    def begin_stop(self) -> None:
        """Accept no further rows; those that were accepted are finished."""
        self.stopping.set()
        self.metrics.model.ready.set(0)

    @property
    def model(self) -> OpenModel:
        """The model.

        Raises:
            RequestError: it is still being loaded.
        """
        if self._rows is None:
            raise RequestError(
                Kind.NOT_READY,
                "the model is being loaded",
                fix="repeat the request when /ready answers 200",
                headers={"Retry-After": "1"},
            )
        return self._rows.opened

    def live(self) -> Checks:
        """Return the checks of /live."""
        longest_s = self._rows.opened.classifier.longest_inference_s if self._rows is not None else 0.0
        return {"sessions": check_sessions(longest_s, self._settings.stall_exit_s)}

    def ready(self) -> Checks:
        """Return the checks of /ready."""
        accepting = not self.stopping.is_set() and not self._failed
        return {
            "bundle": check_bundles(int(self._rows is not None), 1),
            "requests": Check(accepting, "requests are accepted" if accepting else "the server is stopping"),
        }

    @property
    def is_ready(self) -> bool:
        """True if every check of /ready passes."""
        return passed(self.ready())

    def check_accepting(self) -> OpenModel:
        """Return the model.

        Raises:
            RequestError: the server is loading, stopping, or has failed.
        """
        if self.stopping.is_set() or self._failed:
            raise RequestError(
                Kind.STOPPING,
                "the server is stopping",
                fix="repeat the request, on another instance if there is one",
                headers={"Retry-After": "1"},
            )
        return self.model

    async def classify(self, events: Sequence[bytes], deadline: Deadline) -> list[ClassifiedRow]:
        """Classify the rows of a request that `check_accepting` accepted, also after the stop began.

        Args:
            events: the events of the rows, in JSON.
            deadline: the end of the request.

        Raises:
            RequestError: the request has too many rows, the queue is full, the deadline has passed, or the
                model has stopped working.
        """
        if len(events) > self._limits.max_rows:
            raise RequestError(
                Kind.TOO_MANY_ROWS,
                f"the request has {count_of(len(events), 'row')}",
                cause=f"{self._limits.max_rows} are allowed",
                fix="send several requests, or application/x-ndjson, which has no limit",
            )
        self._admission.enter(len(events))
        task = self._start(events)
        # The rows of an abandoned request stay in the queue, so they count until they are finished.
        await asyncio.wait((task,), timeout=deadline.remaining())
        if not task.done():
            raise RequestError(
                Kind.DEADLINE,
                f"the rows were not classified within {deadline.seconds:g} s",
                cause=f"rows in the queue: {self._admission.rows}",
                fix="send fewer rows, repeat the request later, or raise --request-timeout-s",
            )
        return task.result()

    async def start_bulk(self, events: Sequence[bytes]) -> "asyncio.Task[list[ClassifiedRow]]":
        """Wait until the queue has room for rows of a bulk request, and start to classify them.

        Raises:
            RequestError: the server is not ready.
        """
        self.check_accepting()
        await self._admission.enter_bulk(len(events))
        return self._start(events)

    def _start(self, events: Sequence[bytes]) -> "asyncio.Task[list[ClassifiedRow]]":
        task = asyncio.get_running_loop().create_task(self._classify(events))
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        return task

    def _finish(self, task: "asyncio.Task[list[ClassifiedRow]]") -> None:
        self._tasks.discard(task)
        # Retrieving the exception keeps asyncio from logging it if the request was abandoned.
        if not task.cancelled():
            task.exception()

    async def _classify(self, events: Sequence[bytes]) -> list[ClassifiedRow]:
        assert self._rows is not None
        try:
            rows = await self._rows.classify([as_record(at, event) for at, event in enumerate(events)])
        except Fatal as exc:
            self._failed = True
            self._on_fatal(exc)
            raise RequestError(
                Kind.MODEL_FAILED,
                "the model has stopped working",
                cause=exc.message,
                fix="repeat the request on another instance; this one ends, for its supervisor to restart it",
            ) from exc
        finally:
            self._admission.leave(len(events))
        labelled = sum(isinstance(row.result, Prediction) for row in rows)
        self.metrics.count_rows(labelled, len(rows) - labelled)
        return rows

    def _backlog_s(self) -> float:
        return self._rows.opened.classifier.backlog_s if self._rows is not None else 0.0
