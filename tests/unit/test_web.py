"""The web server over real HTTP, on the event loop of the test."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from stream.errors import UsageError
from stream.observe.metrics import Metrics
from stream.web.health import Check
from stream.web.server import WebServer

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


class Setup:
    """A server whose health the test sets."""

    def __init__(self, token_file: Path | None = None) -> None:
        self.healthy = True
        self.metrics = Metrics()
        self.server = WebServer(
            self.metrics,
            live=lambda: {"model": Check(self.healthy, "the inference sessions respond")},
            ready=lambda: {"broker": Check(self.healthy, "kafka:9092 answers")},
            info=lambda: {"version": "1"},
            token_file=token_file,
        )
        self.address = ""

    async def start(self) -> None:
        self.address = f"http://127.0.0.1:{await self.server.start('127.0.0.1', 0)}"


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    web_setup = Setup()
    await web_setup.start()
    yield web_setup
    await web_setup.server.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.mark.parametrize(("path", "check"), [("/live", "model"), ("/ready", "broker")])
async def test_health_is_200_or_503_with_the_checks(
    setup: Setup, client: aiohttp.ClientSession, path: str, check: str
) -> None:
    for healthy, status in ((True, 200), (False, 503), (True, 200)):
        setup.healthy = healthy
        async with client.get(setup.address + path) as response:
            assert response.status == status
            assert response.content_type == "application/json"
            body = orjson.loads(await response.read())
            assert (body[path[1:]], body[check]["ok"]) == (healthy, healthy)
        async with client.head(setup.address + path) as response:
            assert response.status == status
            assert await response.read() == b""


async def test_metrics_follow_the_accept_headers(setup: Setup, client: aiohttp.ClientSession) -> None:
    address = f"{setup.address}/metrics"
    async with client.get(address, headers={"Accept-Encoding": "identity"}) as response:
        assert response.content_type == "text/plain"
        assert "Content-Encoding" not in response.headers
        assert b"labelstream_ready 0.0" in await response.read()
    headers = {"Accept": OPENMETRICS, "Accept-Encoding": "gzip, deflate"}
    async with client.get(address, headers=headers) as response:
        assert response.content_type == "application/openmetrics-text"
        assert response.headers["Content-Encoding"] == "gzip"
        text = gzip.decompress(await response.read()).decode()
        assert "labelstream_ready" in {family.name for family in openmetrics(text)}


async def test_an_unknown_path_gets_the_list_of_paths(setup: Setup, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{setup.address}/healthz") as response:
        assert response.status == 404
        words = (await response.text()).replace(";", " ").split()
        assert {"/healthz", "/live", "/ready", "/info", "/metrics"} <= set(words)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        ("s3cret", 401),
        ("Basic s3cret", 401),
        ("Bearer wrong", 401),
        ("Bearer", 401),
    ],
)
async def test_a_token_guards_every_path_except_health(
    client: aiohttp.ClientSession, tmp_path: Path, authorization: str | None, status: int
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    setup = Setup(tmp_path / "token")
    await setup.start()
    try:
        headers = {"Authorization": authorization} if authorization else {}
        for path in ("/info", "/metrics"):
            async with client.get(setup.address + path, headers=headers) as response:
                assert response.status == status
                assert (response.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
        async with client.get(f"{setup.address}/info?token=s3cret") as response:
            assert response.status == 401
        for path in ("/live", "/ready"):
            async with client.get(setup.address + path) as response:
                assert response.status == 200
        async with client.get(f"{setup.address}/no-such-path") as response:
            assert response.status == 401, "a client without the token does not learn which paths exist"
    finally:
        await setup.server.stop()


async def test_a_taken_port_is_an_error_with_a_fix(setup: Setup) -> None:
    with pytest.raises(UsageError) as caught:
        await Setup().server.start("127.0.0.1", int(setup.address.rpartition(":")[2]))
    assert "--web-port" in caught.value.fix


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_token_file_must_contain_a_token(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match="web_token_file"):
        Setup(file)
