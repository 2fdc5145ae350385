"""The application: routes, and the handlers of /v1/classify, health, metrics and the OpenAPI document."""

from importlib.resources import files
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from stream import __version__
from stream.deadline import Deadline
from stream.serve.body import JSON, NDJSON, check_media_type, read_body
from stream.serve.guard import Guard
from stream.serve.limits import ServeLimits
from stream.serve.ndjson import BulkResponse
from stream.serve.open_inference import OpenInference
from stream.serve.problems import Kind, RequestError
from stream.serve.row_json import events_of, response_json, rows_json
from stream.serve.service import ClassifyService
from stream.settings import Settings
from stream.web.auth import read_token
from stream.web.health import Checks, as_json, passed
from stream.web.hosts import AllowedHosts

MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
OTHER_ENDPOINT = "other"
ERRORS = (RequestError, HTTPException, Exception)
FROM_STARLETTE = {404: Kind.NOT_FOUND, 405: Kind.METHOD_NOT_ALLOWED}


class Handlers:
    """The handlers of all paths but those under /v2."""

    def __init__(self, service: ClassifyService, settings: Settings, limits: ServeLimits) -> None:
        """
        Args:
            service: classifies the rows.
            settings: the limits of a row.
            limits: the limits of requests.
        """
        self._service = service
        self._settings = settings
        self._limits = limits

    async def classify(self, request: Request) -> Any:
        """Answer POST /v1/classify: a response, or an ASGI application for lines of JSON."""
        deadline = Deadline(self._limits.request_timeout_s)
        opened = self._service.check_accepting()
        if check_media_type(request, JSON, NDJSON) == NDJSON:
            return BulkResponse(
                self._service,
                max_line_bytes=self._settings.max_event_bytes,
                idle_s=self._limits.request_timeout_s,
            )
        body = await read_body(request, self._limits.max_request_bytes, deadline)
        rows = await self._service.classify(events_of(body), deadline)
        if NDJSON in request.headers.get("accept", ""):
            return Response(b"".join([row + b"\n" for row in rows_json(rows)]), media_type=NDJSON)
        return Response(response_json(opened, rows), media_type=JSON)

    async def live(self, _: Request) -> Response:
        """Answer GET /live."""
        return _checks("live", self._service.live())

    async def ready(self, _: Request) -> Response:
        """Answer GET /ready."""
        return _checks("ready", self._service.ready())

    async def metrics(self, request: Request) -> Response:
        """Answer GET /metrics."""
        body, content_type = self._service.metrics.model.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def openapi(self, _: Request) -> Response:
        """Answer GET /openapi.json."""
        return Response(orjson.dumps(openapi_document()), media_type=JSON)


def make_app(service: ClassifyService, settings: Settings, limits: ServeLimits) -> ASGIApp:
    """Return the ASGI application.

    Args:
        service: classifies the rows.
        settings: the address, the token and the host names.
        limits: the limits of requests.

    Raises:
        UsageError: the token file cannot be read or is empty.
    """
    routes = _routes(Handlers(service, settings, limits), OpenInference(service, limits))
    # Of the paths of one handler, the first names the endpoint in the metrics.
    endpoints: dict[object, str] = {route.endpoint: route.path for route in reversed(routes)}

    def endpoint_of(scope: Scope) -> str:
        return endpoints.get(scope.get("endpoint"), OTHER_ENDPOINT)

    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(ERRORS, _as_problem))
    return Guard(
        app,
        hosts=AllowedHosts(settings.web_host, settings.web_allowed_hosts),
        token=read_token(settings.web_token_file) if settings.web_token_file else None,
        metrics=service.metrics,
        endpoint_of=endpoint_of,
    )


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the server."""
    document: dict[str, Any] = orjson.loads((files(__package__) / "openapi.json").read_bytes())
    document["info"]["version"] = __version__
    return document


def _routes(own: Handlers, protocol: OpenInference) -> list[Route]:
    return [
        Route("/v1/classify", own.classify, methods=["POST"]),
        Route("/live", own.live),
        Route("/ready", own.ready),
        Route("/metrics", own.metrics),
        Route("/openapi.json", own.openapi),
        Route("/v2", protocol.server),
        Route("/v2/health/live", protocol.live),
        Route("/v2/health/ready", protocol.ready),
        *(Route(path, protocol.model) for path in MODEL_PATHS),
        *(Route(f"{path}/ready", protocol.model_ready) for path in MODEL_PATHS),
        *(Route(f"{path}/infer", protocol.infer, methods=["POST"]) for path in MODEL_PATHS),
    ]


async def _as_problem(request: Request, error: Exception) -> Response:
    """Answer a request with the problem of an error. Starlette also logs an unexpected one."""
    if isinstance(error, RequestError):
        found = error
    elif isinstance(error, HTTPException) and error.status_code in FROM_STARLETTE:
        kind = FROM_STARLETTE[error.status_code]
        message = "there is no such path" if kind is Kind.NOT_FOUND else f"{request.method} is not allowed"
        found = RequestError(kind, message, fix="see /openapi.json for the paths", headers=error.headers)
    else:
        found = RequestError(
            Kind.INTERNAL, "unexpected error", fix="report the traceback in the server's log"
        )
    return found.response(request.url.path)


def _checks(name: str, checks: Checks) -> Response:
    return Response(as_json(name, checks), status_code=200 if passed(checks) else 503, media_type=JSON)
