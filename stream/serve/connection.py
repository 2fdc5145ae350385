"""Limits on the time of a connection, which uvicorn does not have."""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 10.0
WRITE_S = 60.0


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol on h11. It closes a connection whose client sends headers or reads too slowly.

    Attributes:
        headers_s: the seconds from the connect, or from the first byte of a request, to the end of its
            headers.
        write_s: the seconds for which a client may not read its response.
    """

    headers_s = HEADERS_S
    write_s = WRITE_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers_timer = _Timer(self.loop, self.headers_s, self._abort)
        self._write_timer = _Timer(self.loop, self.write_s, self._abort)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first request."""
        super().connection_made(transport)
        self._headers_timer.start()

    def data_received(self, data: bytes) -> None:
        """Pass data on; the time of a request runs until its headers are complete."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._headers_timer.start()
        else:
            self._headers_timer.stop()

    def pause_writing(self) -> None:
        """Start the time in which the client has to read."""
        super().pause_writing()
        self._write_timer.start()

    def resume_writing(self) -> None:
        """End the time in which the client has to read."""
        super().resume_writing()
        self._write_timer.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._headers_timer.stop()
        self._write_timer.stop()
        super().connection_lost(exc)

    def _abort(self) -> None:
        # A close would wait until the client has read what is not sent yet.
        self.transport.abort()


class _Timer:
    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, expire: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expire = expire
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer, unless it runs."""
        if self._handle is None:
            self._handle = self._loop.call_later(self._seconds, self._expire)

    def stop(self) -> None:
        """Stop the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
