"""Server-sent events: one snapshot a second, computed once for all viewers, and not at all without any."""

import asyncio
from collections.abc import Callable

from aiohttp import web

MOST_VIEWERS = 32
# Longer than that without taking what was sent: the viewer is gone or too slow, and connects again.
WRITE_S = 10.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # A reverse proxy would hold the events back until its buffer is full.
    "X-Accel-Buffering": "no",
}


class Feed:
    """Sends the latest snapshot to everyone who looks; a slow viewer misses some and holds up nobody."""

    def __init__(
        self, compose: Callable[[], bytes], *, most_viewers: int = MOST_VIEWERS, write_s: float = WRITE_S
    ) -> None:
        """
        Args:
            compose: makes a snapshot, JSON without line breaks.
            most_viewers: served at once.
            write_s: seconds that a viewer may take to accept what is sent.
        """
        self._compose = compose
        self._most_viewers = most_viewers
        self._write_s = write_s
        self._frame: bytes | None = None
        self._renewed = asyncio.Event()
        self._viewers: set[asyncio.Task[object]] = set()
        self._closed = False

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    def renew(self) -> None:
        """Make the next snapshot, if anyone looks."""
        if self._viewers:
            self._frame = b"data: %b\n\n" % self._compose()
            self._renewed.set()
            self._renewed = asyncio.Event()
        else:
            self._frame = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The answer to a viewer: it ends when the viewer goes or the feed closes."""
        if self._closed or len(self._viewers) >= self._most_viewers:
            return web.Response(status=503, text="too many viewers\n", headers={"Retry-After": "5"})
        task = asyncio.current_task()
        assert task is not None
        response = web.StreamResponse(headers=HEADERS)
        self._viewers.add(task)
        try:
            await response.prepare(request)
            if request.method != "HEAD":
                await self._send(response)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._viewers.discard(task)
        return response

    async def _send(self, response: web.StreamResponse) -> None:
        if self._frame is None:
            self._frame = b"data: %b\n\n" % self._compose()
        frame = self._frame
        while True:
            renewed = self._renewed
            async with asyncio.timeout(self._write_s):
                await response.write(frame)
            await renewed.wait()
            frame = self._frame or frame

    async def close(self) -> None:
        """Let go of all viewers at once; nobody is let in any more."""
        self._closed = True
        viewers = [*self._viewers]
        for viewer in viewers:
            viewer.cancel()
        if viewers:
            await asyncio.wait(viewers, timeout=self._write_s)
