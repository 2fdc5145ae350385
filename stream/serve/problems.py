"""Errors of requests, as problem details (RFC 9457)."""

from collections.abc import Mapping
from enum import Enum

import orjson
from starlette.responses import Response

from stream.errors import LabelstreamError

MEDIA_TYPE = "application/problem+json"
OPEN_INFERENCE_PREFIX = "/v2"


class Kind(Enum):
    """The kinds of problems: the last part of `type`, and the status."""

    BAD_REQUEST = ("bad-request", 400)
    UNAUTHORIZED = ("unauthorized", 401)
    HOST_NOT_ALLOWED = ("host-not-allowed", 403)
    NOT_FOUND = ("not-found", 404)
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405)
    BODY_TIMEOUT = ("body-timeout", 408)
    BODY_TOO_LARGE = ("body-too-large", 413)
    TOO_MANY_ROWS = ("too-many-rows", 413)
    MEDIA_TYPE = ("unsupported-media-type", 415)
    QUEUE_FULL = ("queue-full", 429)
    INTERNAL = ("internal", 500)
    NOT_READY = ("not-ready", 503)
    STOPPING = ("stopping", 503)
    MODEL_FAILED = ("model-failed", 503)
    DEADLINE = ("deadline", 504)

    @property
    def slug(self) -> str:
        """The last part of the member `type`."""
        return self.value[0]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[1]


class RequestError(LabelstreamError):
    """A request that is answered with a problem."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        cause: str = "",
        fix: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            kind: the kind of the problem.
            message: the failure, in one line.
            cause: the cause, in one line.
            fix: what the client does about it, in one line.
            headers: further headers of the response.
        """
        super().__init__(message, cause=cause, fix=fix)
        self.kind = kind
        self.headers = headers or {}

    def members(self, path: str = "") -> dict[str, object]:
        """Return the members of the problem.

        Args:
            path: the path of the request; the Open Inference Protocol requires the member `error`.
        """
        found: dict[str, object] = {
            "type": f"urn:labelstream:problem:{self.kind.slug}",
            "title": self.message,
            "status": self.kind.status,
            "detail": self.cause or self.message,
            "fix": self.fix,
        }
        if path.startswith(OPEN_INFERENCE_PREFIX):
            found["error"] = f"{self.message}: {self.cause}" if self.cause else self.message
        return found

    def response(self, path: str) -> Response:
        """Return the response to a request of this path."""
        return Response(
            orjson.dumps(self.members(path)),
            status_code=self.kind.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )
