"""The run of the server: listen, load the model, answer requests, and stop after those in flight."""

import asyncio
import math
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager

import structlog
import uvicorn

from stream import __version__
from stream.errors import Fatal, UsageError
from stream.observe.metrics import ModelMetrics
from stream.serve.app import make_app
from stream.serve.connection import BoundedProtocol
from stream.serve.http_metrics import HttpMetrics
from stream.serve.limits import KEEP_ALIVE_S, MAX_CONNECTIONS, ServeLimits
from stream.serve.service import ClassifyService
from stream.settings import Settings

BACKLOG = 1_024

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, without its signal handlers: those end the process by the signal, after the stop."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the handlers as they are."""
        yield


async def run_server(bundle: str, settings: Settings, limits: ServeLimits) -> signal.Signals | None:
    """Serve a bundle until SIGTERM or SIGINT, and return the signal.

    The server listens while the model is being loaded, so that /live answers from the start.

    Args:
        bundle: the reference of the bundle.
        settings: the settings of the model and of the web port.
        limits: the limits of requests.

    Raises:
        UsageError: the address cannot be used, or a limit or the token file is invalid.
        BundleError: the bundle is missing, changed, or cannot be served.
        DeviceError: the device does not exist, or has stopped working.
    """
    limits.check()
    metrics = ModelMetrics()
    metrics.build.labels(__version__).set(1)
    errors: list[Fatal] = []
    received: list[signal.Signals] = []
    ended = asyncio.Event()

    def fail(error: Fatal) -> None:
        errors.append(error)
        ended.set()

    def stop(number: signal.Signals) -> None:
        received.append(number)
        ended.set()

    service = ClassifyService(settings, limits, HttpMetrics(metrics), fail)
    server = _server(service, settings, limits)
    listening = _listen(settings.web_host, settings.web_port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    serving = asyncio.create_task(server.serve([listening]))
    log.info("listening", url=f"http://{_authority(listening)}")
    try:
        await _load(service, bundle, ended)
        await ended.wait()
    finally:
        if received:
            log.info("stopping", signal=received[0].name)
        service.begin_stop()
        server.should_exit = True
        await serving
        service.close()
    if errors:
        raise errors[0]
    return received[0] if received else None


async def _load(service: ClassifyService, bundle: str, ended: asyncio.Event) -> None:
    """Load the model; a signal gives it up."""
    loading = asyncio.create_task(service.load(bundle))
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait((loading, ending), return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        ending.cancel()
        await loading
    else:
        loading.cancel()


def _server(service: ClassifyService, settings: Settings, limits: ServeLimits) -> Server:
    config = uvicorn.Config(
        make_app(service, settings, limits),
        # Headers are limited in size by h11, and in time by this protocol.
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        # The handlers of labelstream's log are those of the root logger.
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.drain_deadline_s),
    )
    return Server(config)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UsageError: the address or port cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise UsageError(
            f"cannot listen on {host}:{port}",
            cause=exc.strerror or str(exc),
            fix="choose another --web-port, or 0 for a free one",
        ) from None


def _authority(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
