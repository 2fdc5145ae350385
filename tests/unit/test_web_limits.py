"""The web port under slow, many, large and malformed requests, over raw sockets."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from stream.observe.metrics import Metrics
from stream.web.connections import ConnectionLimits
from stream.web.health import Check
from stream.web.hosts import AllowedHosts
from stream.web.request_log import FULL, REFUSED, RequestLog
from stream.web.server import WebServer

WAIT_S = 20.0
FAST = ConnectionLimits(connections=16, request_s=0.3, idle_s=0.3, write_s=0.3)
TOKEN = "s3cret"


class Port:
    """A running server, and raw connections to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(WAIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    async def ask(self, request: bytes) -> bytes:
        """Return the answer to a request on a new connection, up to the end of the connection."""
        reader, writer = await self.connect()
        writer.write(request)
        async with asyncio.timeout(WAIT_S):
            answer = bytearray()
            try:
                while part := await reader.read(65_536):
                    answer += part
            except ConnectionResetError:
                pass
        return bytes(answer)

    async def status(
        self, path: str = "/live", *lines: str, host: str = "localhost", method: str = "GET"
    ) -> int:
        """Return the status code of a request with these header lines."""
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""]
        answer = await self.ask("\r\n".join(head).encode("latin-1"))
        return int(answer.split()[1])

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def serving(
    limits: ConnectionLimits = ConnectionLimits(), info: Callable[[], Any] = dict, **options: Any
) -> AsyncIterator[Port]:
    server = WebServer(
        Metrics(),
        live=lambda: {"loop": Check(True, "the event loop runs")},
        ready=lambda: {"broker": Check(True, "the broker answers")},
        info=info,
        limits=limits,
        **options,
    )
    port = Port(await server.start("127.0.0.1", 0))
    try:
        yield port
    finally:
        port.close()
        await server.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    return tmp_path / "token"


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(WAIT_S):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_connection_without_a_request_is_closed() -> None:
    async with serving(FAST) as port:
        reader, _ = await port.connect()
        assert await is_closed(reader)


async def test_a_request_that_arrives_byte_by_byte_is_closed() -> None:
    """The limit is for the whole request: each byte on its own would be in time."""
    async with serving(ConnectionLimits(request_s=0.3, idle_s=WAIT_S, request_bytes=2**30)) as port:
        reader, writer = await port.connect()
        writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: ")
        closed = asyncio.create_task(is_closed(reader))
        async with asyncio.timeout(WAIT_S):
            while not closed.done():
                writer.write(b"a")
                await asyncio.sleep(0)
        assert await closed


async def test_an_idle_connection_is_closed_after_its_answer() -> None:
    async with serving(FAST) as port:
        reader, writer = await port.connect()
        writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), WAIT_S)
        assert answer.startswith(b"HTTP/1.1 200")


async def test_a_connection_serves_several_requests_within_the_limit() -> None:
    limits = ConnectionLimits(request_s=WAIT_S, idle_s=WAIT_S)
    async with serving(limits) as port:
        reader, writer = await port.connect()
        for _ in range(50):
            writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 4_000 + b"\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
            assert head.startswith(b"HTTP/1.1 200"), "the size limit is for one request"
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)


BIG = 30_000_000


@pytest.mark.parametrize(("write_s", "complete"), [(0, False), (WAIT_S, True)])
async def test_a_client_that_does_not_read_is_closed(write_s: float, complete: bool) -> None:
    """Without any time to read, the server closes while its first write is still pending."""
    limits = ConnectionLimits(write_s=write_s)
    async with serving(limits, info=lambda: {"text": "x" * BIG}) as port:
        received = len(await port.ask(b"GET /info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        assert (received > BIG) == complete


async def test_liveness_answers_beside_300_idle_connections() -> None:
    limits = ConnectionLimits(request_s=3_600)
    async with serving(limits) as port:
        readers = [(await port.connect())[0] for _ in range(300)]
        assert await port.status("/live") == 200
        oldest = readers[: 300 - limits.connections]
        assert all(await asyncio.gather(*map(is_closed, oldest))), "the oldest are closed first"
        assert not any(reader.at_eof() for reader in readers[-limits.connections // 2 :])


async def test_a_used_connection_outlives_idle_ones() -> None:
    limits = ConnectionLimits(connections=8, request_s=WAIT_S, idle_s=WAIT_S)
    async with serving(limits) as port:
        reader, writer = await port.connect()
        for _ in range(30):
            await port.connect()
            writer.write(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        # Each header is within the limits of aiohttp; together they are not within ours.
        b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + (b"X: " + b"y" * 2_000 + b"\r\n") * 100 + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"GET /live HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0",
    ],
    ids=lambda given: f"{given[:20]!a} {given[-9:]!a} {len(given)}",
)
async def test_malformed_and_oversized_requests_are_refused(request_bytes: bytes) -> None:
    async with serving() as port:
        answer = await port.ask(request_bytes)
        assert answer == b"" or answer.split()[1].startswith(b"4"), answer[:100]
        assert await port.status("/live") == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW"])
async def test_other_methods_are_refused(method: str) -> None:
    async with serving() as port:
        assert await port.status("/live", method=method) in (400, 405)


@pytest.mark.parametrize("framing", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
async def test_a_body_is_not_read(framing: str) -> None:
    """The connection ends after a small part of the body, and not by a time limit."""
    async with serving() as port:
        reader, writer = await port.connect()
        writer.write(f"POST /info HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        sent = 0
        try:
            while sent < 100_000_000:
                writer.write(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
                sent += 0xFFFF
                await asyncio.wait_for(writer.drain(), WAIT_S)
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        assert sent < 100_000_000
        assert await port.status("/live") == 200
        del reader


MALFORMED = [
    "Bearer s3cr\xe9t",
    "Bearer \xff\xfe",
    "Basic \xff",
    "Basic !!!!",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b"user:\xff\xfe").decode(),
    "Basic",
    "Basic =",
    "Bearer " + "a" * 40_000,
    "Basic " + "YQ==" * 10_000,
    "Digest username=x",
    "Negotiate",
    "\xff",
    ",",
    "Bearer Bearer s3cret",
]


@pytest.mark.parametrize("authorization", MALFORMED, ids=lambda given: ascii(given[:30]))
async def test_a_malformed_authorization_is_401(authorization: str, token_file: Path) -> None:
    async with serving(token_file=token_file) as port:
        assert await port.status("/info", f"Authorization: {authorization}") == 401
        assert await port.status("/info", f"Authorization: Bearer {TOKEN}") == 200


async def test_a_token_that_is_not_ascii_works(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("schlüssel")
    async with serving(token_file=tmp_path / "token") as port:
        sent = "schlüssel".encode().decode("latin-1")
        assert await port.status("/info", f"Authorization: Bearer {sent}") == 200
        assert await port.status("/info", "Authorization: Bearer schl\xfcssel") == 401, "Latin-1"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("worker.localhost", 200),
        ("labels.example.com", 200),
        ("evil.example.com", 403),
        ("labels.example.com.evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.7", 403),
        ("worker", 403),
        ("localhost@evil.example", 403),
        ("", 403),
        ("\xff", 403),
    ],
)
async def test_only_allowed_host_names_are_answered(host: str, status: int) -> None:
    async with serving(allowed_hosts="labels.example.com, other.example.com:443") as port:
        assert await port.status("/info", host=host) == status
        assert await port.status("/metrics", host=host) == status
        for path in ("/live", "/ready"):
            assert await port.status(path, host=host) == 200, "orchestrators send any host"


async def test_two_host_headers_are_refused() -> None:
    async with serving() as port:
        assert await port.status("/info", "Host: evil.example.com") in (400, 403)


async def test_a_request_without_a_host_comes_from_no_browser() -> None:
    async with serving() as port:
        assert (await port.ask(b"GET /info HTTP/1.0\r\n\r\n")).split()[1] == b"200"


@pytest.mark.parametrize("bound_to", ["0.0.0.0", "::", "192.0.2.7", ""])
def test_beyond_loopback_addresses_and_names_of_services_are_allowed(bound_to: str) -> None:
    hosts = AllowedHosts(bound_to, "labels.example.com:8443")
    for host in ("10.1.2.3:8080", "[2001:db8::1]:8080", "worker:8080", "localhost", "labels.example.com"):
        assert hosts.allows([host]), host
    for host in ("evil.example.com", "worker.evil.example", "1.2.3.4.evil.example", "a b", "http://worker"):
        assert not hosts.allows([host]), host


def test_a_star_allows_every_name() -> None:
    assert AllowedHosts("127.0.0.1", "*").allows(["evil.example.com"])


async def test_malformed_requests_are_logged_once_and_without_their_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as port:
        for _ in range(40):
            answer = await port.ask(b"GET /live HTTP/1.1\r\nAuthorization Bearer s3cret\r\n\r\n")
            assert b" 400 " in answer
    lines = [record for record in caplog.records if "aiohttp" in record.name or "web" in record.name]
    assert [record.getMessage() for record in lines] == [REFUSED]
    assert lines[0].levelname == "WARNING"
    assert "s3cret" not in caplog.text
    assert "Traceback" not in caplog.text


def fail() -> dict[str, Any]:
    raise RuntimeError("broken info")


async def test_an_error_of_a_handler_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(info=fail) as port:
        assert [await port.status("/info") for _ in range(3)] == [500] * 3
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info
    assert "broken info" in caplog.text


def test_a_log_line_is_repeated_after_half_a_minute_with_the_number_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    log = RequestLog(lambda: now)
    for second in range(60):
        now = float(second)
        log.connection_limit_reached()
    assert [(record.getMessage(), record.skipped) for record in caplog.records] == [  # type: ignore[attr-defined]
        (FULL, 0),
        (FULL, 29),
    ]


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
async def test_a_token_file_that_everyone_can_read_is_warned_of_once(
    token_file: Path, mode: int, warned: bool
) -> None:
    from structlog.testing import capture_logs

    token_file.chmod(mode)
    with capture_logs() as lines:
        async with serving(token_file=token_file) as port:
            for _ in range(3):
                await port.status("/info")
    assert [line["log_level"] for line in lines] == ["warning"] * warned
    assert TOKEN not in str(lines)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 100_000])
def test_a_token_file_without_a_token_is_a_usage_error(content: bytes, tmp_path: Path) -> None:
    from stream.errors import UsageError
    from stream.web.auth import read_token

    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UsageError, match="web_token_file"):
        read_token(tmp_path / "token")
