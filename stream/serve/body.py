"""The bodies of requests: their media type, their size and the time in which they arrive."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from stream.deadline import Deadline
from stream.serve.problems import Kind, RequestError

JSON = "application/json"
NDJSON = "application/x-ndjson"
T = TypeVar("T")


def media_type(request: Request) -> str:
    """Return the media type of the body, without parameters; JSON if the request names none."""
    return request.headers.get("content-type", JSON).partition(";")[0].strip().lower()


def check_media_type(request: Request, *accepted: str) -> str:
    """Return the media type of the body.

    A page of another origin cannot send these types without the consent of the server (CORS).

    Raises:
        RequestError: the type is not among the accepted ones, or the body is compressed.
    """
    found = media_type(request)
    encoding = request.headers.get("content-encoding", "identity").lower()
    if found not in accepted:
        raise RequestError(
            Kind.MEDIA_TYPE,
            f"the content type {found[:80]} is not supported",
            fix=f"send Content-Type: {' or '.join(accepted)}",
        )
    if encoding != "identity":
        raise RequestError(
            Kind.MEDIA_TYPE,
            f"the content encoding {encoding[:80]} is not supported",
            fix="send the body without compression",
        )
    return found


async def read_body(request: Request, max_bytes: int, deadline: Deadline) -> bytes:
    """Read a body, and no more than the limit of it.

    Raises:
        RequestError: the body is too large, or does not arrive in time.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline.remaining()):
            async for part in request.stream():
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                parts.append(part)
    except TimeoutError:
        raise RequestError(
            Kind.BODY_TIMEOUT,
            f"the body did not arrive within {deadline.seconds:g} s",
            fix="send the body faster, or raise --request-timeout-s",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise RequestError(Kind.BAD_REQUEST, "the client closed the connection") from None
    return b"".join(parts)


def parse(decode: Callable[[bytes], T], body: bytes, expected: str) -> T:
    """Parse a body.

    Args:
        decode: the decoder of msgspec.
        body: the body.
        expected: the form of the body, for the fix.

    Raises:
        RequestError: the body is not JSON, or does not have this form.
    """
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        # The messages of msgspec name types and positions, and not the content.
        raise unexpected_body(str(exc)[:200] or "it is nested too deeply", expected) from None


def unexpected_body(cause: str, expected: str) -> RequestError:
    """Return the error for a body of another form.

    Args:
        cause: what is wrong, without the content.
        expected: the form of the body, for the fix.
    """
    return RequestError(
        Kind.BAD_REQUEST,
        "the body is not a request of this endpoint",
        cause=cause,
        fix=f"send {expected}; /openapi.json has the schema",
    )


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        Kind.BODY_TOO_LARGE,
        f"the body has more than {max_bytes} bytes",
        fix="send fewer rows at a time, application/x-ndjson, or raise --max-request-bytes",
    )
