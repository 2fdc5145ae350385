"""The worker's port: the page, and /live /ready /info /metrics."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from stream.errors import UsageError
from stream.observe.access import CHALLENGES, knows
from stream.observe.metrics import Metrics
from stream.observe.page import Page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebPort:
    """Serves health and metrics on the worker's own event loop: a loop that hangs does not answer."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        is_ready: Callable[[], bool],
        info: Callable[[], Mapping[str, Any]],
        token_file: Path | None = None,
        page: Page | None = None,
    ) -> None:
        """
        Args:
            metrics: what /metrics exposes.
            is_ready: whether bundles are warm and the group has assigned partitions or keeps us in reserve.
            info: what /info tells, without secrets.
            token_file: file with a token that every path but /live and /ready asks for.
            page: what `/` shows.

        Raises:
            UsageError: the token file cannot be read.
        """
        self._metrics = metrics
        self._is_ready = is_ready
        self._info = info
        self._token = _read_token(token_file) if token_file else None
        self._page = page
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which matters when 0 asked for a free one.

        Raises:
            UsageError: the port is taken.
        """
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/live", self._live),
                web.get("/ready", self._ready),
                web.get("/info", self._tell),
                web.get("/metrics", self._expose),
            ]
        )
        if self._page is not None:
            self._page.attach(app)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except OSError as exc:
            await self.stop()
            raise UsageError(
                f"cannot listen on {host}:{port}",
                why=exc.strerror or str(exc),
                mend="give another --web-port, or 0 for a free one",
            ) from None
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guarded = self._token is not None and request.path not in ("/live", "/ready")
        if guarded and not knows(request.headers.get("Authorization", ""), self._token or ""):
            raise web.HTTPUnauthorized(headers=CHALLENGES)
        return await handler(request)

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._is_ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _tell(self, _: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self._info(), default=str), content_type="application/json")

    async def _expose(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise UsageError(
            f"cannot read web_token_file {path}", why=exc.strerror or str(exc), mend="name a readable file"
        ) from None
    if not token:
        raise UsageError(f"web_token_file {path} is empty", mend="write a token into it")
    return token
