"""The worker's HTTP server: the status page, /live, /ready, /info and /metrics."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import gzip_accepted

from stream.errors import UsageError
from stream.observe.metrics import Metrics
from stream.web.auth import CHALLENGES, is_authorized
from stream.web.health import Checks, as_json, passed
from stream.web.page import StatusPage

# Orchestrators call these without credentials.
UNGUARDED = ("/live", "/ready")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """An HTTP server on the worker's own event loop, so that a blocked loop fails the liveness check."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        live: Callable[[], Checks],
        ready: Callable[[], Checks],
        info: Callable[[], Mapping[str, Any]],
        token_file: Path | None = None,
        page: StatusPage | None = None,
    ) -> None:
        """
        Args:
            metrics: the metrics that /metrics exposes.
            live: returns the checks of /live.
            ready: returns the checks of /ready.
            info: returns the content of /info, without secrets.
            token_file: file with the token that every path except /live and /ready requires; None for none.
            page: the status page at `/`; None for none.

        Raises:
            UsageError: the token file cannot be read or is empty.
        """
        self._metrics = metrics
        self._live_checks = live
        self._ready_checks = ready
        self._info = info
        self._token = _read_token(token_file) if token_file else None
        self._page = page
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which differs from `port` when that is 0.

        Args:
            host: the address to listen on.
            port: the port to listen on; 0 takes a free one.

        Raises:
            UsageError: the address or port cannot be used.
        """
        app = web.Application(middlewares=[self._authenticate, _list_paths])
        app.add_routes(
            [
                web.get("/live", self._serve_live),
                web.get("/ready", self._serve_ready),
                web.get("/info", self._serve_info),
                web.get("/metrics", self._serve_metrics),
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
                fix="choose another --web-port, or 0 for a free one",
            ) from None
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guarded = self._token is not None and request.path not in UNGUARDED
        if guarded and not is_authorized(request.headers.get("Authorization", ""), self._token or ""):
            raise web.HTTPUnauthorized(headers=CHALLENGES)
        return await handler(request)

    async def _serve_live(self, _: web.Request) -> web.Response:
        return _checks_response("live", self._live_checks())

    async def _serve_ready(self, _: web.Request) -> web.Response:
        return _checks_response("ready", self._ready_checks())

    async def _serve_info(self, _: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(self._info(), default=str), content_type="application/json")

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition(request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            response.enable_compression(web.ContentCoding.gzip)
        return response


def _checks_response(name: str, checks: Checks) -> web.Response:
    return web.Response(
        body=as_json(name, checks),
        status=200 if passed(checks) else 503,
        content_type="application/json",
    )


@web.middleware
async def _list_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        paths = sorted(resource.canonical for resource in request.app.router.resources())
        raise web.HTTPNotFound(text=f"not found: {request.path}; paths: {' '.join(paths)}\n") from None


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise UsageError(
            f"cannot read web_token_file {path}",
            cause=exc.strerror or str(exc),
            fix="set web_token_file to a readable UTF-8 file",
        ) from None
    if not token:
        raise UsageError(f"web_token_file {path} is empty", fix="write a token into the file")
    return token
