"""`labelstream serve` as a process with a real uvicorn, over real sockets."""

import asyncio
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import aiohttp
import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from stream.bundle import Bundle
from stream.classify import TextInput
from stream.cli import app
from stream.errors import BundleError, Fatal, UsageError
from stream.serve.limits import ServeLimits
from stream.serve.problems import Kind
from stream.serve.server import run_server
from stream.settings import load_settings
from tests.real.kinds import BY_NAME, TEXTS, make_bundle_of
from tests.real.serve import CLASSIFY_PATH, ServerProcess, server_process
from tests.real.wait import until
from tests.unit.test_api import predicted

END_S = 20
BULK_ROWS, BULK_TEXT_CHARS = 12_000, 3_000
ALLOWED_GROWTH_BYTES = 24 * 2**20
SECRET = "swordfish"
TOKEN = {"Authorization": f"Bearer {SECRET}"}
PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle_of(replace(BY_NAME["single"], name="tickets"), tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def server(bundle: Bundle) -> Iterator[ServerProcess]:
    with server_process(bundle.path) as started:
        yield started


def test_the_labels_are_those_of_predict(server: ServerProcess, bundle: Bundle, tmp_path: Path) -> None:
    expected = predicted(bundle, [TextInput(text) for text in TEXTS], tmp_path)
    answer = server.classify({"rows": list(TEXTS)})
    assert answer.json()["results"] == expected
    assert answer.json()["model"]["digest"] == bundle.digest
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda text: server.classify({"text": text}).json()["results"], TEXTS)
        assert [*answers] == [[row] for row in expected]
    headers = {"Accept": "application/x-ndjson"}
    lines = server.classify({"rows": list(TEXTS)}, headers=headers)
    assert [orjson.loads(line) for line in lines.content.splitlines()] == expected


def test_the_endpoints_answer(server: ServerProcess) -> None:
    assert server.get("/live").json()["live"] is True
    assert server.get("/ready").json()["ready"] is True
    assert server.get("/v2").json()["name"] == "labelstream"
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.get("/v2/models/tickets/versions/1/ready").json() == {"name": "tickets", "ready": True}
    described = server.get("/v2/models/tickets").json()
    assert [tensor["name"] for tensor in described["inputs"]] == ["text"]
    assert described["outputs"][2]["parameters"] == {"labels": list(BY_NAME["single"].labels)}
    assert server.get("/openapi.json").json()["openapi"] == "3.1.0"
    families = {family.name for family in text_string_to_metric_families(server.get("/metrics").text)}
    assert {"labelstream_http_requests", "labelstream_http_queue_rows", "labelstream_batch_rows"} <= families
    assert not any("consumer" in name or "partition" in name for name in families)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_documentation_work(server: ServerProcess, tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    commands = "".join(block for block in blocks if "curl" in block).replace("8080", str(server.port))
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=END_S,
        check=True,
    )
    assert done.stdout.count('"label"') == 5
    assert "problem" not in done.stdout


def test_the_documented_metrics_and_problems_are_those_of_the_server(server: ServerProcess) -> None:
    exposed = set(re.findall(r"^# TYPE (labelstream_http_\w+)", server.get("/metrics").text, re.MULTILINE))
    documented = set(re.findall(r"labelstream_http_\w+", PAGE))
    assert documented == {name for name in exposed if not name.endswith("_created")}
    section = PAGE.split("## Errors")[1].split("## Operation")[0]
    assert set(re.findall(r"`([a-z-]+)`", section)) - {"type", "fix", "error"} == {kind.slug for kind in Kind}


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example"])
def test_a_foreign_host_name_is_refused(server: ServerProcess, name: str) -> None:
    assert server.get("/v2", headers={"Host": name}).status_code == 403
    assert server.classify({"text": "a"}, headers={"Host": name}).status_code == 403
    assert server.get("/live", headers={"Host": name}).status_code == 200


async def bulk_rows() -> AsyncIterator[bytes]:
    """Yield lines whose texts repeat, so that the cache of predictions does not grow."""
    padding = "x" * BULK_TEXT_CHARS
    for number in range(BULK_ROWS):
        yield orjson.dumps({"id": number, "text": f"{TEXTS[number % 7]} {padding}"}) + b"\n"


async def test_bulk_lines_are_answered_in_order_with_bounded_memory(server: ServerProcess) -> None:
    before = resident_peak(server)
    headers = {"Content-Type": "application/x-ndjson"}
    ids = []
    async with (
        aiohttp.ClientSession() as session,
        session.post(server.url + CLASSIFY_PATH, data=bulk_rows(), headers=headers) as response,
    ):
        assert response.status == 200
        async for line in response.content:
            found = orjson.loads(line)
            assert "label" in found
            ids.append(found["id"])
    assert ids == [str(number) for number in range(BULK_ROWS)]
    assert BULK_ROWS * BULK_TEXT_CHARS > ALLOWED_GROWTH_BYTES
    assert resident_peak(server) - before < ALLOWED_GROWTH_BYTES


def resident_peak(server: ServerProcess) -> int:
    """Return the largest resident memory of the server so far, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def test_the_first_results_arrive_before_the_last_rows_are_sent(server: ServerProcess) -> None:
    reader, writer = await open_request(server, "application/x-ndjson", b"Transfer-Encoding: chunked")
    for text in TEXTS[:3]:
        line = orjson.dumps({"text": text}) + b"\n"
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))
        while b'"label"' not in (received := await reader.readline()):
            assert received, "the response ended"
    writer.write(b"0\r\n\r\n")
    assert b"0\r\n" in await reader.read()


async def open_request(
    server: ServerProcess, media: str, header: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the headers of a request to /v1/classify."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %b\r\n%b\r\n\r\n"
        % (CLASSIFY_PATH.encode(), media.encode(), header)
    )
    return reader, writer


@pytest.fixture(scope="module")
def limited(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with small limits and a token. The last test stops it."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    limits = (
        "--max-rows",
        4,
        "--max-queue-rows",
        4,
        "--max-request-bytes",
        "1 KiB",
        "--web-token-file",
        token,
    )
    with server_process(bundle.path, *limits) as started:
        yield started


def test_the_token_protects_everything_but_health(limited: ServerProcess) -> None:
    assert limited.get("/live").status_code == limited.get("/v2/health/ready").status_code == 200
    for path in ("/v2", "/metrics", "/openapi.json"):
        assert limited.get(path).status_code == 401
    refused = limited.classify({"text": "a"})
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert limited.classify({"text": "a"}, headers=TOKEN).status_code == 200


def test_requests_beyond_a_limit_are_refused(limited: ServerProcess) -> None:
    for body, status in (
        ({"rows": ["a"] * 5}, 413),
        ({"text": "a" * 1024}, 413),
        ({"rows": ["a"] * 4}, 200),
    ):
        assert limited.classify(body, headers=TOKEN).status_code == status


def test_a_full_queue_is_429_with_a_time(limited: ServerProcess) -> None:
    bodies = [{"rows": [f"{number} {row}" for row in range(4)]} for number in range(16)]
    with httpx.Client(headers=TOKEN) as client, ThreadPoolExecutor(8) as threads:

        def refused() -> httpx.Response | None:
            answers = threads.map(lambda body: client.post(limited.url + CLASSIFY_PATH, json=body), bodies)
            return next((answer for answer in [*answers] if answer.status_code == 429), None)

        full = until(refused, END_S, "a request that finds the queue full")
    assert full is not None
    assert int(full.headers["Retry-After"]) >= 1
    assert full.json()["type"] == "urn:labelstream:problem:queue-full"


def test_sigterm_finishes_the_request_in_flight(
    limited: ServerProcess, bundle: Bundle, tmp_path: Path
) -> None:
    body = orjson.dumps({"text": TEXTS[0]})
    (expected,) = predicted(bundle, [TextInput(TEXTS[0])], tmp_path)
    with socket.create_connection(("127.0.0.1", limited.port)) as client:
        client.settimeout(END_S)
        client.sendall(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Authorization: %b\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            % (CLASSIFY_PATH.encode(), TOKEN["Authorization"].encode(), len(body))
        )
        # The server asks for the body, so it handles the request.
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        limited._signal(signal.SIGTERM)
        until(lambda: not listens(limited.port), END_S, "the end of listening")
        client.sendall(body)
        with client.makefile("rb") as answer:
            received = answer.read()
    assert received.startswith(b"HTTP/1.1 200")
    assert orjson.loads(received.partition(b"\r\n\r\n")[2])["results"] == [expected]
    until(lambda: not limited.alive, END_S, "the end of the server")
    assert limited.returncode == 0


def listens(port: int) -> bool:
    """Return whether a connection to a port is accepted."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("flags", "limits", "error", "message"),
    [
        (
            {},
            ServeLimits(max_rows=9, max_queue_rows=8),
            UsageError,
            "--max-rows 9 exceeds --max-queue-rows 8",
        ),
        ({"web_host": "192.0.2.1"}, ServeLimits(), UsageError, "cannot listen on 192.0.2.1"),
        ({"web_token_file": "/nothing"}, ServeLimits(), UsageError, "cannot read web_token_file"),
        ({"bundle_store": "/nothing"}, ServeLimits(), BundleError, "was not found"),
    ],
)
def test_a_server_that_cannot_start_names_the_fix(
    flags: dict[str, object], limits: ServeLimits, error: type[Fatal], message: str
) -> None:
    settings = load_settings({"device": "cpu", "web_port": 0, **flags})
    with pytest.raises(error, match=message) as refused:
        asyncio.run(run_server("missing", settings, limits))
    assert refused.value.fix


def test_a_size_that_is_none_is_an_error(bundle: Bundle) -> None:
    result = CliRunner().invoke(app, ["serve", str(bundle.path), "--max-request-bytes", "many"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.fix == "give a size such as 4 MiB"


def test_without_the_extra_the_error_has_the_command_that_installs_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("stream.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["serve", str(bundle.path)])
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2
    assert result.exception.fix == "in the labelstream clone: pip install '.[serve]'"
