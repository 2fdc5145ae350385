"""The stream of snapshots: shared, bounded, and not delayed by a slow viewer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from stream.web.page.feed import Feed
from tests.real.wait import until_async

DEADLINE_S = 60.0


class CountingBuilder:
    """A snapshot function that counts its calls."""

    def __init__(self, padding: int = 0) -> None:
        self.times = 0
        self._padding = b"x" * padding

    def __call__(self) -> bytes:
        self.times += 1
        return b"%d%b" % (self.times, self._padding)


@asynccontextmanager
async def served(feed: Feed) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    app.router.add_get("/stream", feed.serve)

    async def close(_: web.Application) -> None:
        await feed.close()

    app.on_shutdown.append(close)
    async with TestClient(TestServer(app)) as client:
        yield client


async def frame(response: ClientResponse) -> bytes:
    received = b""
    async with asyncio.timeout(DEADLINE_S):
        while not received.endswith(b"\n\n"):
            received += await response.content.readany()
    return received.strip()


async def test_all_viewers_get_the_same_snapshot_built_once() -> None:
    build = CountingBuilder()
    feed = Feed(build)
    async with served(feed) as client:
        one, other = await client.get("/stream"), await client.get("/stream")
        assert one.content_type == "text/event-stream"
        assert await frame(one) == await frame(other) == b"data: 1"
        feed.refresh()
        assert await frame(one) == await frame(other) == b"data: 2"
        assert build.times == 2


async def test_nothing_is_built_without_viewers() -> None:
    build = CountingBuilder()
    feed = Feed(build)
    async with served(feed) as client:
        feed.refresh()
        assert build.times == 0
        viewer = await client.get("/stream")
        assert await frame(viewer) == b"data: 1"
        viewer.close()

        def gone() -> bool:
            feed.refresh()
            return feed.viewers == 0

        await until_async(gone, DEADLINE_S, "the viewer's end")
        builds = build.times
        feed.refresh()
        assert build.times == builds
        # A new viewer gets a new snapshot, not the last one of an earlier viewer.
        assert await frame(await client.get("/stream")) == b"data: %d" % (builds + 1)


async def test_the_number_of_viewers_is_bounded() -> None:
    feed = Feed(CountingBuilder(), max_viewers=2)
    async with served(feed) as client:
        first, second = await client.get("/stream"), await client.get("/stream")
        refused = await client.get("/stream")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert await frame(first) == await frame(second)


async def test_a_slow_viewer_is_disconnected_and_the_others_continue() -> None:
    feed = Feed(CountingBuilder(padding=1 << 20), write_timeout_s=0.2)
    async with served(feed) as client:
        _, silent = await asyncio.open_connection(client.host, client.port)
        silent.write(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        quick = await client.get("/stream")
        await until_async(lambda: feed.viewers == 2, DEADLINE_S, "both viewers")

        async def only_the_quick_one() -> bool:
            feed.refresh()
            assert (await frame(quick)).startswith(b"data: ")
            return feed.viewers == 1

        await until_async(only_the_quick_one, DEADLINE_S, "the slow viewer's end")
        silent.close()


async def test_closing_ends_every_stream_at_once_even_that_of_a_viewer_that_does_not_read() -> None:
    feed = Feed(CountingBuilder(padding=64 << 20), write_timeout_s=3600)
    async with asyncio.timeout(DEADLINE_S):
        async with served(feed) as client:
            _, silent = await asyncio.open_connection(client.host, client.port)
            silent.write(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            await until_async(lambda: feed.viewers == 1, DEADLINE_S, "the viewer")
            await feed.close()
            assert feed.viewers == 0
            assert (await client.get("/stream")).status == 503
        silent.close()
