"""A server in the process of the test."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from stream.bundle import Bundle
from stream.errors import Fatal
from stream.observe.metrics import ModelMetrics
from stream.serve.app import make_app
from stream.serve.http_metrics import HttpMetrics
from stream.serve.limits import ServeLimits
from stream.serve.service import ClassifyService
from stream.settings import load_settings
from stream.worker.route_model import open_model

BACKLOG_S = 12.3
ROWS = "/v1/classify"


class HeldModel:
    """A classifier whose calls wait until they are released; then it raises an error or classifies."""

    backlog_s = BACKLOG_S
    longest_inference_s = 0.0

    def __init__(self, classifier: Any) -> None:
        self.release = asyncio.Event()
        self.release.set()
        self.error: BaseException | None = None
        self._classifier = classifier

    async def classify(self, inputs: Any) -> Any:
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return await self._classifier.classify(inputs)

    def close(self) -> None:
        self._classifier.close()


@dataclasses.dataclass
class InProcess:
    """A server without a port.

    Attributes:
        client: sends requests to it.
        service: its service.
        model: holds calls of the model.
        fatal: the errors after which the process would end.
    """

    client: httpx.AsyncClient
    service: ClassifyService
    model: HeldModel
    fatal: list[Fatal]


@asynccontextmanager
async def in_process(
    bundle: Bundle, limits: ServeLimits = ServeLimits(), **flags: object
) -> AsyncIterator[InProcess]:
    """Run a server in this event loop."""
    settings = load_settings({"device": "cpu", **flags})
    fatal: list[Fatal] = []
    service = ClassifyService(settings, limits, HttpMetrics(ModelMetrics()), fatal.append)
    opened = await open_model(str(bundle.path), "auto", settings, None, service.metrics.model)
    model: Any = HeldModel(opened.classifier)
    service.start(dataclasses.replace(opened, classifier=model))
    transport = httpx.ASGITransport(make_app(service, settings, limits), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield InProcess(client, service, model, fatal)
    service.close()
