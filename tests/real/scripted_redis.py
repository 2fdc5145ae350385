"""A server that reads Redis commands and answers with scripted bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

Command = Sequence[bytes]
Answer = Callable[[Command], bytes | Sequence[bytes]]
"""Returns the reply to a command, or its parts, sent one by one; empty bytes end the connection."""


class ScriptedRedis:
    """The server.

    Attributes:
        url: the address for clients.
        connections: the number of connections that were made.
        commands: the commands that arrived.
        part_interval_s: the seconds before each part of a reply that has several.
    """

    def __init__(self, answer: Answer, part_interval_s: float) -> None:
        self._answer = answer
        self.url = ""
        self.connections = 0
        self.commands: list[Command] = []
        self.part_interval_s = part_interval_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the commands of one connection."""
        self.connections += 1
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
    """Run a scripted server on a port of loopback, in this event loop."""
    scripted = ScriptedRedis(answer, part_interval_s)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, limit=2**24)
    scripted.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    try:
        yield scripted
    finally:
        server.close()


def bulk(value: bytes) -> bytes:
    """Return a value in the protocol of Redis."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def array(*elements: bytes) -> bytes:
    """Return an array of encoded elements in the protocol of Redis."""
    return b"*%d\r\n%b" % (len(elements), b"".join(elements))
