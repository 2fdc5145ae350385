"""Bulk classification: lines of JSON in, lines of JSON out, at the same time and with bounded memory."""

import asyncio
from collections.abc import AsyncIterator

import orjson
from starlette.types import Message, Receive, Scope, Send

from stream.serve.problems import Kind, RequestError
from stream.serve.row_json import as_event, row_json
from stream.serve.service import ClassifyService
from stream.worker.row_classifier import ClassifiedRow

CHUNK_ROWS = 256
# The chunks of one request that wait for their results or for the client to read them.
CHUNKS_AT_ONCE = 8
MEDIA_TYPE = b"application/x-ndjson"
START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", MEDIA_TYPE), (b"x-accel-buffering", b"no")],
}

Chunk = asyncio.Task[list[ClassifiedRow]]


class BulkResponse:
    """An ASGI response that reads the body of its request while it writes.

    Neither the rows nor the results are collected: a client that does not read its results is not read
    either. A problem in the middle of the response becomes its last line, with the member `problem`.
    """

    def __init__(self, service: ClassifyService, *, max_line_bytes: int, idle_s: float) -> None:
        """
        Args:
            service: classifies the rows.
            max_line_bytes: the maximum length of a row.
            idle_s: the seconds in which the client has to send and to read.
        """
        self._service = service
        self._lines = LineSplitter(max_line_bytes)
        self._idle_s = idle_s
        self._chunks: asyncio.Queue[Chunk | RequestError | None] = asyncio.Queue(CHUNKS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Answer the request."""
        self._service.check_accepting()
        complete = True
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(receive))
            await send(START)
            try:
                await self._write(send)
            except TimeoutError:
                # The client does not read. Without the end of the response, the server closes the connection.
                complete = False
            reading.cancel()
        if complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, receive: Receive) -> None:
        """Read the rows, start their classification, and pass the chunks on to the writer."""
        try:
            async for lines in self._parts(receive):
                for at in range(0, len(lines), CHUNK_ROWS):
                    events = [as_event(line) for line in lines[at : at + CHUNK_ROWS]]
                    await self._chunks.put(await self._service.start_bulk(events))
        except RequestError as exc:
            await self._chunks.put(exc)
        await self._chunks.put(None)

    async def _parts(self, receive: Receive) -> AsyncIterator[list[bytes]]:
        """Yield the lines of each part of the body."""
        while True:
            message = await self._next_message(receive)
            if message["type"] == "http.disconnect":
                return
            yield self._lines.add(message.get("body", b""))
            if not message.get("more_body", False):
                yield self._lines.finish()
                return

    async def _next_message(self, receive: Receive) -> Message:
        receiving = asyncio.ensure_future(receive())
        stopping = asyncio.create_task(self._service.stopping.wait())
        try:
            await asyncio.wait(
                (receiving, stopping), timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED
            )
            if receiving.done():
                return receiving.result()
            self._service.check_accepting()
            raise RequestError(
                Kind.BODY_TIMEOUT,
                f"no line arrived within {self._idle_s:g} s",
                fix="send the lines that have no result again, in a new request",
            )
        finally:
            receiving.cancel()
            stopping.cancel()

    async def _write(self, send: Send) -> None:
        while (chunk := await self._chunks.get()) is not None:
            body, complete = await _body_of(chunk)
            async with asyncio.timeout(self._idle_s):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            if not complete:
                return


async def _body_of(chunk: Chunk | RequestError) -> tuple[bytes, bool]:
    """Return the lines of a chunk, and False if they are a problem, after which no lines follow."""
    try:
        if isinstance(chunk, RequestError):
            raise chunk
        return b"".join([row_json(row) + b"\n" for row in await chunk]), True
    except RequestError as exc:
        return orjson.dumps({"problem": exc.members()}) + b"\n", False


class LineSplitter:
    """Splits a body into lines, without blank ones. It holds one line at most."""

    def __init__(self, max_line_bytes: int) -> None:
        """
        Args:
            max_line_bytes: the maximum length of a line. One byte more is kept of a longer line, so that the
                decoder refuses it; the rest is dropped.
        """
        self._kept_bytes = max_line_bytes + 1
        self._begun = b""

    def add(self, part: bytes) -> list[bytes]:
        """Return the lines that a part of the body completes."""
        first, *rest = part.split(b"\n")
        # The addition copies the begun line, which long lines repeat for each of their parts.
        self._begun = (self._begun + first)[: self._kept_bytes] if self._begun else first[: self._kept_bytes]
        if not rest:
            return []
        lines = [self._begun, *rest[:-1]]
        self._begun = rest[-1][: self._kept_bytes]
        return [stripped[: self._kept_bytes] for line in lines if (stripped := line.strip())]

    def finish(self) -> list[bytes]:
        """Return the last line, if it has no line break and is not blank."""
        last, self._begun = self._begun.strip(), b""
        return [last] if last else []
