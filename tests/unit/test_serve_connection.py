"""The time limits of a connection, on a uvicorn in the event loop of the test."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from stream.serve.connection import BoundedProtocol
from stream.serve.server import Server
from tests.real.wait import until_async

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = bytes(64 * 2**20)


class Impatient(BoundedProtocol):
    """Closes a connection at once."""

    headers_s = write_s = 0.05


async def large_answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer with more than the buffers of a socket hold."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": LARGE if scope["path"] == "/large" else b"ok"})


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Server]]:
    """Start a server, and connect to it."""
    config = uvicorn.Config(large_answer, http=Impatient, ws="none", lifespan="off", log_config=None)
    server, listening = Server(config), socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    yield reader, writer, server
    writer.close()
    server.should_exit = True
    await serving


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Return True once the server has closed the connection."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_client_without_a_request_is_disconnected() -> None:
    async with connection() as (reader, _, _):
        assert await is_closed(reader)


async def test_a_client_that_does_not_finish_its_headers_is_disconnected() -> None:
    async with connection() as (reader, writer, _):
        writer.write(REQUEST)
        assert await reader.readuntil(b"ok\r\n0\r\n\r\n")
        writer.write(REQUEST[:-2])
        assert await is_closed(reader)


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    async with connection() as (_, writer, server):
        writer.write(REQUEST.replace(b"/ ", b"/large "))

        async def served() -> bool:
            return server.server_state.total_requests > 0 and not server.server_state.connections

        await until_async(served, 20, "the end of the connection")
