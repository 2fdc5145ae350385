"""The worker's port: /live /ready /info /metrics."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import gzip_accepted

from stream.errors import UsageError
from stream.observe.metrics import Metrics

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
    ) -> None:
        """
        Args:
            metrics: what /metrics exposes.
            is_ready: whether bundles are warm and the group has assigned partitions or keeps us in reserve.
            info: what /info tells, without secrets.
            token_file: file with a bearer token that every path but /live and /ready asks for.

        Raises:
            UsageError: the token file cannot be read.
        """
        self._metrics = metrics
        self._is_ready = is_ready
        self._info = info
        self._token = _read_token(token_file) if token_file else None
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
        if self._token is not None and request.path not in ("/live", "/ready"):
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._is_ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _tell(self, _: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self._info(), default=str), content_type="application/json")

    async def _expose(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        answer = web.Response(body=body, headers={"Content-Type": content_type})
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            answer.enable_compression(web.ContentCoding.gzip)
        return answer


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
