"""The status page's HTTP routes: its files, the event stream, and the scrapes behind them."""

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
from stream.web.page.feed import Feed
from stream.web.page.history import History
from stream.web.page.noscript import noscript_html
from stream.web.page.recent import RecentOutcomes
from stream.web.page.scrape import scrape
from stream.web.page.snapshot import as_json
from stream.web.page.snapshot_builder import SnapshotBuilder

INTERVAL_S = 1.0
INDEX = "index.html"
NOSCRIPT_MARK = "<!-- main figures -->"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class StatusPage:
    """Serves `/`, the files under `/page/`, and the snapshots at `/stream`."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        recent: RecentOutcomes,
        *,
        waiting_for: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """
        Args:
            settings: the worker's settings.
            metrics: the worker's metrics.
            recent: the sampled outcomes.
            waiting_for: returns what is missing until the worker is ready; None when it is ready.
            clock: returns monotonic seconds.
            now_ms: returns the milliseconds since the epoch.
        """
        self._metrics = metrics
        self._clock = clock
        self._history = History(scrape(metrics, clock()))
        self._builder = SnapshotBuilder(
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
        self.feed = Feed(lambda: as_json(self._builder.snapshot()))
        self._ticking: asyncio.Task[None] | None = None

    def attach(self, app: web.Application) -> None:
        """Add the routes to an application, and scrape while it runs."""
        app.add_routes(
            [
                web.get("/", self._serve_index),
                web.get("/page/{name}", self._serve_file),
                web.get("/stream", self.feed.serve),
            ]
        )
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._stop)

    def tick(self) -> None:
        """Scrape the metrics, and refresh the snapshot if there are viewers."""
        self._history.append(scrape(self._metrics, self._clock()))
        self.feed.refresh()

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

    async def _serve_index(self, _: web.Request) -> web.Response:
        figures = noscript_html(self._builder.snapshot())
        html = self._files[INDEX].decode().replace(NOSCRIPT_MARK, figures)
        return web.Response(
            text=html, content_type="text/html", headers={**HEADERS, "Cache-Control": "no-store"}
        )

    async def _serve_file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = self._files.get(name)
        if body is None or name == INDEX:
            raise web.HTTPNotFound
        tag = sha256(body).hexdigest()[:16]
        # The browser revalidates at every visit, so that the page and its scripts are of the same version.
        headers = {**HEADERS, "Cache-Control": "no-cache", "ETag": f'"{tag}"'}
        if any(known.value == tag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
