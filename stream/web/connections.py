"""Limits on the connections of the web port: their number, the time for a request, and its size.

The web server of aiohttp limits single header lines. It has no limit on the number of connections, and a
client that sends or reads slowly could hold a connection for ever. Each connection gets a protocol of ours
between the transport and aiohttp's, so that no private name of aiohttp is needed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n"
    b"Connection: close\r\n\r\nrequest is too large\r\n"
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of the web port.

    Attributes:
        connections: the maximum number of open connections.
        request_s: the seconds from the first byte of a request, or from the connect, to the end of its
            headers.
        idle_s: the seconds that a connection may wait for its next request.
        write_s: the seconds for which a client may not read its response.
        request_bytes: the maximum size of a request, of its headers and of its body.
    """

    connections: int = 128
    request_s: float = 10.0
    idle_s: float = 75.0
    write_s: float = 10.0
    request_bytes: int = 64 * 2**10


class Connections:
    """The open connections of a server, the least recently used first."""

    def __init__(self, limits: ConnectionLimits, on_full: Callable[[], None]) -> None:
        """
        Args:
            limits: the limits of the server.
            on_full: is called when a connection is closed because there are too many.
        """
        self.limits = limits
        self._on_full = on_full
        self._open: dict[asyncio.Protocol, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "Connection") -> None:
        """Add a connection; beyond the limit, close the one that has been idle longest.

        The new connection is accepted, because it may be an orchestrator that asks for /live.
        """
        if len(self._open) >= self.limits.connections:
            self._on_full()
            idle = (candidate for candidate in self._open.values() if not candidate.busy)
            closed = next(idle, connection)
            self.discard(closed)
            closed.abort()
            if closed is connection:
                return
        self._open[connection.handler] = connection

    def touch(self, connection: "Connection") -> None:
        """Make a connection the most recently used one."""
        if self._open.pop(connection.handler, None) is not None:
            self._open[connection.handler] = connection

    def discard(self, connection: "Connection") -> None:
        """Remove a closed connection."""
        self._open.pop(connection.handler, None)

    @web.middleware
    async def track(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Suspend the time limit of a connection while its request is served; an aiohttp middleware."""
        connection = self._open.get(request.protocol)
        if connection is None:
            return await handler(request)
        connection.begin()
        try:
            return await handler(request)
        finally:
            connection.end()


class Connection(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol, and closes the transport at a limit.

    Attributes:
        handler: aiohttp's protocol.
        busy: True while a request is served.
    """

    def __init__(self, handler: asyncio.Protocol, connections: Connections) -> None:
        self.handler = handler
        self.busy = False
        self._connections = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._restart(self._limits.request_s)
        self.handler.connection_made(transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        first = not self.busy and self._received == 0
        self._received += len(data)
        if self._received > self._limits.request_bytes:
            self._refuse()
            return
        if first:
            self._connections.touch(self)
            self._restart(self._limits.request_s)
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self.handler.eof_received()

    def pause_writing(self) -> None:
        self._write_timer = self._loop.call_later(self._limits.write_s, self.abort)
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self._cancel(self._write_timer)
        self.handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel(self._timer, self._write_timer)
        self._connections.discard(self)
        self.handler.connection_lost(exc)
        self._transport = None

    def begin(self) -> None:
        """Begin to serve a request, whose headers are complete."""
        self.busy = True
        self._received = 0
        self._cancel(self._timer)

    def end(self) -> None:
        """End a request, and wait for the next one."""
        self.busy = False
        self._received = 0
        if self._transport is not None:
            self._connections.touch(self)
            self._restart(self._limits.idle_s)

    def abort(self) -> None:
        """Close the connection at once. What is not sent yet is lost: its client does not read."""
        if self._transport is not None:
            self._transport.abort()

    def _refuse(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if not self.busy:
                self._transport.write(TOO_LARGE)
            self._transport.close()

    def _restart(self, seconds: float) -> None:
        self._cancel(self._timer)
        self._timer = self._loop.call_later(seconds, self.abort)

    def _cancel(self, *timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
