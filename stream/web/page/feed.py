"""Server-sent events: one snapshot per second, built once for all viewers and not at all without any."""

import asyncio
from collections.abc import Callable

from aiohttp import web

MAX_VIEWERS = 32
# A viewer that accepts no data for this long is gone or too slow; its browser reconnects.
WRITE_TIMEOUT_S = 10.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Without this header a reverse proxy buffers the events.
    "X-Accel-Buffering": "no",
}


class Feed:
    """Sends the latest snapshot to every viewer; a slow viewer skips snapshots and delays no other viewer."""

    def __init__(
        self,
        build: Callable[[], bytes],
        *,
        max_viewers: int = MAX_VIEWERS,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        """
        Args:
            build: returns a snapshot as JSON without line breaks.
            max_viewers: the maximum number of viewers; a further viewer gets 503.
            write_timeout_s: the seconds that a viewer may take to accept a snapshot.
        """
        self._build = build
        self._max_viewers = max_viewers
        self._write_timeout_s = write_timeout_s
        self._frame: bytes | None = None
        self._refreshed = asyncio.Event()
        self._viewers: set[asyncio.Task[object]] = set()
        self._closed = False

    @property
    def viewers(self) -> int:
        """The number of connected viewers."""
        return len(self._viewers)

    def refresh(self) -> None:
        """Build and send the next snapshot, if there are viewers."""
        if self._viewers:
            self._frame = b"data: %b\n\n" % self._build()
            self._refreshed.set()
            self._refreshed = asyncio.Event()
        else:
            self._frame = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Stream snapshots to one viewer until the viewer disconnects or the feed closes."""
        if self._closed or len(self._viewers) >= self._max_viewers:
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
            self._frame = b"data: %b\n\n" % self._build()
        frame = self._frame
        while True:
            refreshed = self._refreshed
            async with asyncio.timeout(self._write_timeout_s):
                await response.write(frame)
            await refreshed.wait()
            frame = self._frame or frame

    async def close(self) -> None:
        """Disconnect all viewers, and refuse new ones."""
        self._closed = True
        viewers = [*self._viewers]
        for viewer in viewers:
            viewer.cancel()
        if viewers:
            await asyncio.wait(viewers, timeout=self._write_timeout_s)
