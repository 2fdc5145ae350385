"""The page on the worker's port: its files, its stream, and the readings behind them."""

import asyncio
import mimetypes
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

from stream.observe.metrics import Metrics
from stream.settings import Settings
from stream.web.page.composer import Composer
from stream.web.page.feed import Feed
from stream.web.page.first_look import first_look
from stream.web.page.history import History
from stream.web.page.readings import read
from stream.web.page.recent import Recent
from stream.web.page.snapshot import as_json

INTERVAL_S = 1.0
INDEX = "index.html"
FIRST_LOOK = "<!-- first look -->"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Page:
    """`/`, the files under `/page/`, and `/stream`."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        recent: Recent,
        *,
        waiting_for: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        Args:
            settings: the worker's.
            metrics: the worker's.
            recent: sampled outcomes.
            waiting_for: what is missing until the worker is ready, None when nothing is.
            clock: monotonic seconds.
            now_ms: milliseconds since the epoch.
        """
        self._metrics = metrics
        self._clock = clock
        self._history = History(read(metrics, clock()))
        self._composer = Composer(
            settings,
            metrics,
            self._history,
            recent,
            waiting_for=waiting_for,
            host=socket.gethostname(),
            now_ms=now_ms,
        )
        self._files = {
            item.name: item.read_bytes() for item in files(__package__).joinpath("static").iterdir()
        }
        self.feed = Feed(lambda: as_json(self._composer.snapshot()))
        self._ticking: asyncio.Task[None] | None = None

    def attach(self, app: web.Application) -> None:
        """Add routes, and begin and end with the application."""
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/page/{name}", self._file),
                web.get("/stream", self.feed.serve),
            ]
        )
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._stop)

    def tick(self) -> None:
        """Read the counters; renew the snapshot if anyone looks."""
        self._history.note(read(self._metrics, self._clock()))
        self.feed.renew()

    async def _start(self, _: web.Application) -> None:
        self._ticking = asyncio.create_task(self._run())

    async def _stop(self, _: web.Application) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking
        await self.feed.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.tick()

    async def _index(self, _: web.Request) -> web.Response:
        html = self._files[INDEX].decode().replace(FIRST_LOOK, first_look(self._composer.snapshot()))
        return web.Response(
            text=html, content_type="text/html", headers={**HEADERS, "Cache-Control": "no-store"}
        )

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = self._files.get(name)
        if body is None or name == INDEX:
            raise web.HTTPNotFound
        tag = sha256(body).hexdigest()[:16]
        # Asked for again at every visit: a page of one version with the code of another would not work.
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": f'"{tag}"'}
        if any(known.value == tag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
