"""The outermost layer of the server: host names, the token, and the metrics of requests."""

from collections.abc import Callable
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.serve.http_metrics import HttpMetrics
from stream.serve.problems import Kind, RequestError
from stream.web.auth import CHALLENGES, is_authorized
from stream.web.hosts import AllowedHosts

# Orchestrators call these without credentials.
UNGUARDED = ("/live", "/ready", "/v2/health/live", "/v2/health/ready")


class Guard:
    """An ASGI middleware that checks requests before a route sees them, and observes all of them."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: AllowedHosts,
        token: str | None,
        metrics: HttpMetrics,
        endpoint_of: Callable[[Scope], str],
    ) -> None:
        """
        Args:
            app: the application.
            hosts: the host names that requests may address.
            token: the token that requests must carry, None for none.
            metrics: receives every request.
            endpoint_of: returns the name of the endpoint that served a request.
        """
        self._app = app
        self._hosts = hosts
        self._token = token
        self._metrics = metrics
        self._endpoint_of = endpoint_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        started, status = monotonic(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._answer(scope, receive, send_and_note)
        finally:
            self._metrics.observe_request(self._endpoint_of(scope), status, monotonic() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in UNGUARDED:
            try:
                self._check(scope)
            except RequestError as exc:
                await exc.response(scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if not self._hosts.allows(_headers(scope, b"host")):
            raise RequestError(
                Kind.HOST_NOT_ALLOWED,
                "this host name is not allowed",
                fix="add it to web_allowed_hosts",
            )
        if self._token is not None:
            given = _headers(scope, b"authorization")
            if len(given) != 1 or not is_authorized(given[0], self._token):
                raise RequestError(
                    Kind.UNAUTHORIZED,
                    "the request carries no valid token",
                    fix="send Authorization: Bearer, with the token in web_token_file",
                    headers=dict(CHALLENGES[:1]),
                )


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("utf-8", "surrogateescape") for key, value in scope["headers"] if key == name]
