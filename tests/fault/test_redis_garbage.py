"""A server that answers with anything but Redis's protocol: results stay right, and the worker goes on."""

import asyncio
import itertools
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from time import monotonic

import numpy as np
import orjson
import pytest
from structlog.testing import capture_logs

from stream.bundle import Bundle
from stream.classify import (
    BatchLimits,
    Classifier,
    KeyMaker,
    LocalCache,
    ModelParts,
    Prediction,
    PredictionCache,
    Tokeniser,
)
from stream.classify.heads.single_label import SingleLabelHead
from stream.classify.redis_cache import RedisCache, connect_redis
from tests.pipeline import StartWorker, event, make_route, offline_labels, start_worker, tiny_bundle
from tests.real.embedded import EmbeddedBroker
from tests.real.redis import RedisServer
from tests.real.scripted_redis import Command, array, bulk, scripted_redis
from tests.real.wait import until
from tests.unit.small_bundle import small_bundle
from tests.unit.test_classifier import RecordingObserver, WordRuntime

__all__ = ["start_worker", "tiny_bundle"]

RECOVERY_S = 60.0
TEXTS = ["good word", "bad word"]
MARKER = b"a-stored-byte-string"


def stored(*millionths: int) -> bytes:
    """Return a value with a valid version and checksum."""
    scores = np.array(millionths, dtype="<u4").tobytes()
    return b"\x02" + zlib.crc32(scores).to_bytes(4, "little") + scores


# The scores say the opposite of the model for the first text.
WRONG = stored(4_294_967_295, 0)
NULL = b"$-1\r\n"
# Each reply to MGET of two keys, and whether it is a list of two values, of which none can be used.
REPLIES: dict[str, tuple[bytes | Sequence[bytes], bool]] = {
    "impossible scores": (array(bulk(WRONG), bulk(WRONG)), True),
    "scores above one": (array(bulk(stored(1_000_001, 0)), NULL), True),
    "scores that do not add up": (array(bulk(stored(500_000, 400_000)), NULL), True),
    "too many scores": (array(bulk(stored(0, 0, 1_000_000)), NULL), True),
    "no checksum": (array(bulk(b"\x02"), bulk(b"")), True),
    "a wrong checksum": (array(bulk(stored(0, 1_000_000)[:-1] + b"\x7f"), NULL), True),
    "text": (array(bulk(MARKER), bulk(MARKER)), True),
    "a long value": (array(bulk(b"x" * 3_000_000), NULL), True),
    "integers": (array(b":1\r\n", b":-1\r\n"), True),
    "simple strings": (array(b"+" + MARKER + b"\r\n", b"+OK\r\n"), True),
    "errors as elements": (array(b"-ERR " + MARKER + b"\r\n", b"-WRONGTYPE x\r\n"), True),
    "connection errors as elements": (array(b"-LOADING x\r\n", b"-NOAUTH x\r\n"), True),
    "nested lists": (array(array(bulk(MARKER)), array()), True),
    "null arrays": (array(b"*-1\r\n", NULL), True),
    "all null": (array(NULL, NULL), True),
    "too few values": (array(NULL), False),
    "too many values": (array(*[bulk(stored(0, 1_000_000))] * 3), False),
    "an empty list": (array(), False),
    "a null list": (b"*-1\r\n", False),
    "null": (NULL, False),
    "one value": (bulk(stored(0, 1_000_000)), False),
    "an integer": (b":2\r\n", False),
    "OK": (b"+OK\r\n", False),
    "two billion elements": (b"*2000000000\r\n", False),
    "two billion bytes": (b"*2\r\n$2000000000\r\n", False),
    "a length beyond 64 bits": (b"*99999999999999999999999\r\n", False),
    "a negative length": (b"*-7\r\n", False),
    "a negative value length": (b"*2\r\n$-7\r\n", False),
    "a length that is no number": (b"*2\r\n$x\r\n", False),
    "a value without an end": (b"*2\r\n$1\r\nabc\r\n", False),
    "deep nesting": (b"*1\r\n" * 5_000, False),
    "wide nesting": (b"*200000\r\n" * 8, False),
    "an endless line": (b"+" * 100_000, False),
    "RESP3": (b"%2\r\n+a\r\n+b\r\n+c\r\n+d\r\n", False),
    "a push message": (b">2\r\n+message\r\n+x\r\n", False),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", False),
    "random bytes": (bytes(range(256)) * 8, False),
    "an error": (b"-ERR " + MARKER + b"\r\n", False),
    "an error of no known code": (b"-" + MARKER + b"\xff\r\n", False),
    "an empty error": (b"-\r\n", False),
    "a redirection to nowhere": (b"-MOVED 1 127.0.0.1:1\r\n", False),
    "a redirection without an address": (b"-MOVED\r\n", False),
    "a redirection of no slot": (b"-MOVED x y\r\n", False),
    "loading": (b"-LOADING Redis is loading the dataset in memory\r\n", False),
    "no password": (b"-NOAUTH Authentication required.\r\n", False),
    "a closed connection": (b"", False),
    "a closed connection within a value": ((b"*2\r\n$5\r\nab", b""), False),
}


class Counted:
    """A classifier with a Redis tier and no local one, and the counts of its lookups."""

    def __init__(self, folder: Path, url: str) -> None:
        bundle = small_bundle(folder)
        head = SingleLabelHead(bundle.manifest, 2)
        self.counts: dict[str, int] = {}
        self.now = 0.0
        self.tier = RedisCache(connect_redis(url), 60, lambda: self.now)
        cache = PredictionCache(KeyMaker(bundle, "fp32"), LocalCache(0), self.tier, head, self._count)
        parts = ModelParts([WordRuntime()], Tokeniser(bundle), head)
        self._classifier = Classifier(parts, cache, RecordingObserver(), BatchLimits(4, 32), 1.0)

    def _count(self, tier: str, result: str, n: int) -> None:
        self.counts[result] = self.counts.get(result, 0) + n

    async def classify(self) -> None:
        """Classify the texts, store the predictions, and check that the results are those of the model."""
        classified = await self._classifier.classify(TEXTS)
        results = [result for result in classified.results if isinstance(result, Prediction)]
        assert [result.fields()["label"] for result in results] == ["good", "bad"]
        assert not any(result.cached for result in results)
        await self._classifier.store_shared(classified)
        await self.tier.ping()

    async def close(self) -> None:
        self._classifier.close()
        await self.tier.close()


@pytest.mark.parametrize("name", REPLIES)
async def test_results_are_those_of_the_model_whatever_redis_replies(name: str, tmp_path: Path) -> None:
    reply, is_list = REPLIES[name]

    def answer(command: Command) -> bytes | Sequence[bytes]:
        return {b"MGET": reply, b"PING": b"+PONG\r\n"}.get(command[0], b"+OK\r\n")

    began = monotonic()
    async with scripted_redis(answer) as server:
        worker = Counted(tmp_path, server.url)
        with capture_logs() as logs:
            for _ in range(3):
                await worker.classify()
                worker.now += 31
        await worker.close()
    assert monotonic() - began < 8
    assert worker.counts["hit"] == 0
    assert sum(worker.counts.values()) == 3 * len(TEXTS)
    assert (worker.counts["error"] == 0) is is_list
    assert MARKER.decode() not in str(logs)
    assert len(logs) <= 3, "each cause is logged once"


@pytest.mark.parametrize("name", [name for name, (_, is_list) in REPLIES.items() if not is_list])
async def test_labels_are_right_if_redis_replies_so_to_every_command(name: str, tmp_path: Path) -> None:
    async with scripted_redis(lambda command: REPLIES[name][0]) as server:
        worker = Counted(tmp_path, server.url)
        for _ in range(3):
            await worker.classify()
            worker.now += 31
        await worker.close()
    assert worker.counts["hit"] == 0


async def test_a_reply_that_arrives_byte_by_byte_ends_at_the_deadline(tmp_path: Path) -> None:
    parts = [bytes([byte]) for byte in array(bulk(stored(0, 1_000_000)), NULL)]

    def answer(command: Command) -> bytes | Sequence[bytes]:
        return parts if command[0] == b"MGET" else b"+OK\r\n"

    async with scripted_redis(answer, part_interval_s=0.1) as server:
        worker = Counted(tmp_path, server.url)
        began = monotonic()
        with capture_logs() as logs:
            await worker.classify()
        took_s = monotonic() - began
        await worker.close()
    assert 0.4 < took_s < 2
    assert [(entry["event"], entry["error"]) for entry in logs] == [("redis reads paused", "slow")]


async def test_a_second_reply_is_not_the_answer_to_the_next_command() -> None:
    foreign = array(bulk(b"of no command"))
    async with scripted_redis(lambda command: array(NULL) + foreign) as server:
        tier = RedisCache(connect_redis(server.url), 60, monotonic)
        for _ in range(3):
            assert await tier.get_many(["k"]) == [None]
        await tier.close()
    assert server.connections == 3


async def test_after_a_failover_no_open_connection_is_used_again() -> None:
    """The name in the URL then leads to another server, while the old one still answers reads."""

    def answer(command: Command) -> bytes | Sequence[bytes]:
        return b"-READONLY x\r\n" if command[0] == b"SET" else array(NULL)

    async with scripted_redis(answer) as server:
        tier = RedisCache(connect_redis(server.url), 60, monotonic)
        await asyncio.gather(*(tier.get_many(["k"]) for _ in range(3)))
        assert server.connections == 3
        await tier.put_many({"k": b"v"})
        await asyncio.gather(*(tier.get_many(["k"]) for _ in range(3)))
        assert server.connections == 6
        await tier.close()


async def test_the_nodes_of_a_cluster_are_read_with_the_same_bounds() -> None:
    """Without the bound, the client waits for the elements until the deadline."""

    def answer(command: Command) -> bytes:
        return b"-MOVED 1 127.0.0.1:1\r\n" if command[0] == b"MGET" else b"*1000000\r\n"

    async with scripted_redis(answer) as server:
        tier = RedisCache(connect_redis(server.url), 60, monotonic)
        with capture_logs() as logs:
            assert await tier.get_many(["k"]) == []
        await tier.close()
    assert [entry["error"] for entry in logs] == ["cluster"]


async def test_a_tls_handshake_that_does_not_end_is_bounded(tmp_path: Path) -> None:
    async def wait_for_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass
        writer.close()

    server = await asyncio.start_server(wait_for_end, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    worker = Counted(tmp_path, f"rediss://127.0.0.1:{port}/0")
    began = monotonic()
    with capture_logs() as logs:
        await worker.classify()
    took_s = monotonic() - began
    await worker.close()
    server.close()
    assert took_s < 2
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        ("redis unavailable, continuing without it", "unavailable")
    ]


@pytest.mark.slow
def test_a_worker_labels_everything_beside_a_hostile_redis(
    embedded_broker: EmbeddedBroker, start_worker: StartWorker, tiny_bundle: Bundle
) -> None:
    """Each command gets the next reply of the list."""
    replies = itertools.cycle([*(reply for reply, _ in REPLIES.values())])

    def answer(command: Command) -> bytes | Sequence[bytes]:
        return next(replies)

    async def serve(ready: "Future[str]", end: threading.Event) -> None:
        async with scripted_redis(answer) as server:
            ready.set_result(server.url)
            await asyncio.to_thread(end.wait)

    ready: Future[str] = Future()
    end = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(ready, end)))
    thread.start()
    try:
        route = make_route(embedded_broker, "hostile")
        worker = start_worker(embedded_broker, route, redis_url=ready.result(10), cache_local_entries=0)
        for at in range(6):
            embedded_broker.produce(route, *(event(number)[1] for number in range(40)), partition=at % 4)
            until(
                lambda: sum(embedded_broker.end_offsets(worker.labels).values()) >= 40 * (at + 1),  # noqa: B023
                RECOVERY_S,
                "all labels",
            )
        assert worker.metric("labelstream_cache_requests_total", tier="redis", result="hit") == 0
        assert worker.health("/live")[0] == 200
        assert MARKER.decode() not in worker.log
        assert worker.stop() == 0
    finally:
        end.set()
        thread.join()
    labels = [orjson.loads(record.value or b"") for record in embedded_broker.records(f"{route}.labels")]
    assert len(labels) == 240
    expected = offline_labels(tiny_bundle, [orjson.loads(event(number)[1])["text"] for number in range(40)])
    by_id = {event(number)[0]: fields["label"] for number, fields in enumerate(expected)}
    assert all(label["label"] == by_id[label["id"]] for label in labels)


@pytest.mark.slow
def test_workers_with_the_same_secret_share_predictions_and_others_do_not(
    embedded_broker: EmbeddedBroker, redis_server: RedisServer, start_worker: StartWorker, tmp_path: Path
) -> None:
    route = make_route(embedded_broker, "signed")
    values = [event(number, "signed")[1] for number in range(30)]
    for name in ("first", "second"):
        (tmp_path / name).write_text(f"{name} secret of sixteen bytes and more\n")
    found = []
    for at, name in enumerate(("first", "first", "second", "")):
        secret = {"cache_secret_file": tmp_path / name} if name else {}
        worker = start_worker(
            embedded_broker, route, redis_url=redis_server.url, cache_local_entries=0, **secret
        )
        embedded_broker.produce(route, *values, partition=0)
        until(
            lambda: sum(embedded_broker.end_offsets(worker.labels).values()) == 30 * (at + 1),  # noqa: B023
            RECOVERY_S,
            "all labels",
        )
        lookups = "labelstream_cache_requests_total"
        found.append([worker.metric(lookups, tier="redis", result=r) for r in ("hit", "invalid")])
        assert "secret of sixteen bytes" not in worker.log
        assert worker.stop() == 0
    assert found[1:] == [[30, 0], [0, 30], [0, 30]]
