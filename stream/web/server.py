"""The worker's port: the page, and /live /ready /info /metrics."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import gzip_accepted

from stream.errors import UsageError
from stream.observe.metrics import Metrics
from stream.web.auth import CHALLENGES, knows
from stream.web.health import Checks, as_json, passed
from stream.web.page import Page

OPEN = ("/live", "/ready")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebPort:
    """Serves health and metrics on the worker's own event loop: a loop that hangs does not answer."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        live: Callable[[], Checks],
        ready: Callable[[], Checks],
        info: Callable[[], Mapping[str, Any]],
        token_file: Path | None = None,
        page: Page | None = None,
    ) -> None:
        """
        Args:
            metrics: what /metrics exposes.
            live: what has to be so for the process to be worth keeping.
            ready: what has to be so for it to label events.
            info: what /info tells, without secrets.
            token_file: file with a token that every path but /live and /ready asks for.
            page: what `/` shows.

        Raises:
            UsageError: the token file cannot be read.
        """
        self._metrics = metrics
        self._live_checks = live
        self._ready_checks = ready
        self._info = info
        self._token = _read_token(token_file) if token_file else None
        self._page = page
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which matters when 0 asked for a free one.

        Raises:
            UsageError: the port is taken.
        """
        app = web.Application(middlewares=[self._guard, _name_the_paths])
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
                cause=exc.strerror or str(exc),
                fix="give another --web-port, or 0 for a free one",
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
        guarded = self._token is not None and request.path not in OPEN
        if guarded and not knows(request.headers.get("Authorization", ""), self._token or ""):
            raise web.HTTPUnauthorized(headers=CHALLENGES)
        return await handler(request)

    async def _live(self, _: web.Request) -> web.Response:
        return _verdict("live", self._live_checks())

    async def _ready(self, _: web.Request) -> web.Response:
        return _verdict("ready", self._ready_checks())

    async def _tell(self, _: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self._info(), default=str), content_type="application/json")

    async def _expose(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        answer = web.Response(body=body, headers={"Content-Type": content_type})
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            answer.enable_compression(web.ContentCoding.gzip)
        return answer


def _verdict(name: str, checks: Checks) -> web.Response:
    return web.Response(
        body=as_json(name, checks),
        status=200 if passed(checks) else 503,
        content_type="application/json",
    )


@web.middleware
async def _name_the_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        paths = sorted(resource.canonical for resource in request.app.router.resources())
        raise web.HTTPNotFound(text=f"there is no {request.path} here, but: {' '.join(paths)}\n") from None


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise UsageError(
            f"cannot read web_token_file {path}", cause=exc.strerror or str(exc), fix="name a readable file"
        ) from None
    if not token:
        raise UsageError(f"web_token_file {path} is empty", fix="write a token into it")
    return token
