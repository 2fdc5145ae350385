"""The worker's HTTP server: the status page, /live, /ready, /info and /metrics."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import gzip_accepted

from stream.errors import UsageError
from stream.observe.metrics import Metrics
from stream.web.auth import CHALLENGES, is_authorized, read_token
from stream.web.connections import Connection, ConnectionLimits, Connections, Handler
from stream.web.health import Checks, as_json, passed
from stream.web.hosts import AllowedHosts
from stream.web.page import StatusPage
from stream.web.request_log import RequestLog

# Orchestrators call these without credentials.
UNGUARDED = ("/live", "/ready")
MAX_SHOWN_PATH = 200


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
        allowed_hosts: str = "",
        page: StatusPage | None = None,
        limits: ConnectionLimits = ConnectionLimits(),
    ) -> None:
        """
        Args:
            metrics: the metrics that /metrics exposes.
            live: returns the checks of /live.
            ready: returns the checks of /ready.
            info: returns the content of /info, without secrets.
            token_file: file with the token that every path except /live and /ready requires; None for none.
            allowed_hosts: further host names that requests may address, see `AllowedHosts`.
            page: the status page at `/`; None for none.
            limits: the limits of connections and requests.

        Raises:
            UsageError: the token file cannot be read or is empty.
        """
        self._metrics = metrics
        self._live_checks = live
        self._ready_checks = ready
        self._info = info
        self._token = read_token(token_file) if token_file else None
        self._allowed_hosts = allowed_hosts
        self._hosts = AllowedHosts("localhost", allowed_hosts)
        self._page = page
        self._log = RequestLog()
        self._connections = Connections(limits, self._log.connection_limit_reached)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which differs from `port` when that is 0.

        Args:
            host: the address to listen on.
            port: the port to listen on; 0 takes a free one.

        Raises:
            UsageError: the address or port cannot be used.
        """
        self._hosts = AllowedHosts(host, self._allowed_hosts)
        app = web.Application(
            middlewares=[self._connections.track, self._check_host, self._authenticate, _list_paths]
        )
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
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=self._log,
            # Requests have no body: what a client sends as one is neither unpacked nor waited for.
            auto_decompress=False,
            lingering_time=0,
            # `Connection` limits a request as a whole, so that an oversized token gets 401 like any other.
            max_field_size=self._connections.limits.request_bytes,
        )
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(self._connect, host, port)
        except OSError as exc:
            await self.stop()
            raise UsageError(
                f"cannot listen on {host}:{port}",
                cause=exc.strerror or str(exc),
                fix="choose another --web-port, or 0 for a free one",
            ) from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _connect(self) -> Connection:
        assert self._runner is not None
        assert self._runner.server is not None
        return Connection(self._runner.server(), self._connections)

    @web.middleware
    async def _check_host(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in UNGUARDED and not self._hosts.allows(request.headers.getall("Host", [])):
            raise web.HTTPForbidden(
                text="this host name is not allowed; to allow it, add it to web_allowed_hosts\n"
            )
        return await handler(request)

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
        path = request.path[:MAX_SHOWN_PATH].encode(errors="replace").decode()
        raise web.HTTPNotFound(text=f"not found: {path}; paths: {' '.join(paths)}\n") from None
