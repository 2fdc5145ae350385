"""The web port over real HTTP, on the loop of the test."""

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
from stream.web.server import WebPort

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


class Setup:
    """A port whose health the test sets."""

    def __init__(self, token_file: Path | None = None) -> None:
        self.healthy = True
        self.metrics = Metrics()
        self.port = WebPort(
            self.metrics,
            live=lambda: {"model": Check(self.healthy, "the sessions answer")},
            ready=lambda: {"broker": Check(self.healthy, "kafka:9092 answers")},
            info=lambda: {"version": "1"},
            token_file=token_file,
        )
        self.address = ""

    async def start(self) -> None:
        self.address = f"http://127.0.0.1:{await self.port.start('127.0.0.1', 0)}"


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    made = Setup()
    await made.start()
    yield made
    await made.port.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.mark.parametrize(("path", "check"), [("/live", "model"), ("/ready", "broker")])
async def test_health_is_200_or_503_with_the_reason(
    setup: Setup, client: aiohttp.ClientSession, path: str, check: str
) -> None:
    for healthy, status in ((True, 200), (False, 503), (True, 200)):
        setup.healthy = healthy
        async with client.get(setup.address + path) as answer:
            assert answer.status == status
            assert answer.content_type == "application/json"
            body = orjson.loads(await answer.read())
            assert (body[path[1:]], body[check]["ok"]) == (healthy, healthy)
        async with client.head(setup.address + path) as answer:
            assert answer.status == status
            assert await answer.read() == b""


async def test_metrics_are_in_the_format_and_the_compression_that_are_accepted(
    setup: Setup, client: aiohttp.ClientSession
) -> None:
    address = f"{setup.address}/metrics"
    async with client.get(address, headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.content_type == "text/plain"
        assert "Content-Encoding" not in answer.headers
        assert b"labelstream_ready 0.0" in await answer.read()
    asked = {"Accept": OPENMETRICS, "Accept-Encoding": "gzip, deflate"}
    async with client.get(address, headers=asked) as answer:
        assert answer.content_type == "application/openmetrics-text"
        assert answer.headers["Content-Encoding"] == "gzip"
        text = gzip.decompress(await answer.read()).decode()
        assert "labelstream_ready" in {family.name for family in openmetrics(text)}


async def test_an_unknown_path_is_told_the_known_ones(setup: Setup, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{setup.address}/healthz") as answer:
        assert answer.status == 404
        told = (await answer.text()).split()
        assert {"/healthz", "/live", "/ready", "/info", "/metrics"} <= set(told)


@pytest.mark.parametrize(
    ("given", "status"),
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
async def test_a_token_guards_all_but_health_and_comes_as_a_bearer_token_only(
    client: aiohttp.ClientSession, tmp_path: Path, given: str | None, status: int
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    setup = Setup(tmp_path / "token")
    await setup.start()
    try:
        headers = {"Authorization": given} if given else {}
        for path in ("/info", "/metrics"):
            async with client.get(setup.address + path, headers=headers) as answer:
                assert answer.status == status
                assert (answer.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
        async with client.get(f"{setup.address}/info?token=s3cret") as answer:
            assert answer.status == 401
        for path in ("/live", "/ready"):
            async with client.get(setup.address + path) as answer:
                assert answer.status == 200
        async with client.get(f"{setup.address}/no-such-path") as answer:
            assert answer.status == 401, "who may not come in is not told what there is"
    finally:
        await setup.port.stop()


async def test_a_port_that_is_taken_is_an_error_with_a_mend(setup: Setup) -> None:
    with pytest.raises(UsageError) as caught:
        await Setup().port.start("127.0.0.1", int(setup.address.rpartition(":")[2]))
    assert "--web-port" in caught.value.fix


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_token_file_has_to_hold_a_token(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match="web_token_file"):
        Setup(file)
