"""A server that reads Redis commands and answers with scripted bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.real.process import Folder

Command = Sequence[bytes]
Answer = Callable[[Command], bytes | Sequence[bytes]]
"""Returns the reply to a command, or its parts, sent one by one; empty bytes end the connection."""


class ScriptedRedis:
    """The server, on a unix socket.

    Attributes:
        url: the address for clients.
        commands: the commands that arrived.
        part_interval_s: the seconds before each part of a reply that has several.
    """

    def __init__(self, answer: Answer, socket: Path, part_interval_s: float) -> None:
        self._answer = answer
        self._socket = socket
        self.url = f"unix://{socket}"
        self.commands: list[Command] = []
        self.part_interval_s = part_interval_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the commands of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
            while True:
                command = await self._read(reader)
                self.commands.append(command)
                reply = self._answer(command)
                if isinstance(reply, bytes):
                    reply = [reply]
                for number, part in enumerate(reply):
                    if number:
                        await asyncio.sleep(self.part_interval_s)
                    if not part:
                        writer.close()
                        return
                    writer.write(part)
                    await writer.drain()
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Command:
        count = int((await reader.readuntil(b"\r\n"))[1:])
        words = []
        for _ in range(count):
            size = int((await reader.readuntil(b"\r\n"))[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
        return words


@asynccontextmanager
async def scripted_redis(answer: Answer, part_interval_s: float = 0.0) -> AsyncIterator[ScriptedRedis]:
    """Run a scripted server in this event loop."""
    folder = Folder("scripted")
    scripted = ScriptedRedis(answer, folder.path / "redis.sock", part_interval_s)
    server = await asyncio.start_unix_server(scripted.serve, folder.path / "redis.sock", limit=2**24)
    try:
        yield scripted
    finally:
        server.close()
        folder.remove()


def bulk(value: bytes) -> bytes:
    """Return a value in the protocol of Redis."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(*elements: bytes) -> bytes:
    """Return an array of encoded elements in the protocol of Redis."""
    return b"*%d\r\n%b" % (len(elements), b"".join(elements))
