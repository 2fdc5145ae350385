"""A dead letter that its topic refuses is cut until the topic accepts it, or ends the worker."""

import pytest
from structlog.testing import capture_logs

from stream.errors import BrokerError
from stream.kafka.oversized import OversizedDeadLetters
from stream.records import Outgoing
from stream.records.truncation import max_size
from tests.unit.test_truncation import dead_letter, packed_bytes

WHOLE = dead_letter(b"k", b"v" * 100_000)


class Topic:
    """A dead-letter topic with a limit, which the broker may return or not."""

    def __init__(self, limit: int, returned: int | None = None, *, stop: bool = False) -> None:
        self.limit = limit
        self.returned = returned
        self.reads = 0
        self.sizes: list[int] = []
        self.written: list[Outgoing] = []
        self.truncated = 0
        self.oversized = OversizedDeadLetters(self.read_limit, self.count, stop=stop)

    async def read_limit(self, _topic: str) -> int | None:
        self.reads += 1
        return self.returned

    def count(self) -> None:
        self.truncated += 1

    async def send(self, record: Outgoing) -> bool:
        self.sizes.append(packed_bytes(record))
        if self.sizes[-1] > self.limit:
            return False
        self.written.append(record)
        return True

    async def write(self, record: Outgoing = WHOLE) -> None:
        await self.oversized("texts.dead", record, self.send)


async def test_the_value_is_cut_to_the_limit_that_the_broker_returns() -> None:
    topic = Topic(20_000, returned=20_000)
    with capture_logs() as logs:
        await topic.write()
    (cut,) = topic.written
    assert 19_700 < topic.sizes[0] <= 20_000
    assert topic.truncated == 1
    (line,) = logs
    assert line["log_level"] == "error"
    assert (line["topic"], line["partition"], line["offset"]) == ("texts", "3", "1041")
    assert (line["bytes"], line["bytes_written"]) == (100_000, len(cut.value or b""))
    assert "max.message.bytes of texts.dead" in line["fix"]


@pytest.mark.parametrize("returned", [None, 90_000, 2**31])
async def test_an_unknown_or_a_wrong_limit_is_found_by_halving(returned: int | None) -> None:
    topic = Topic(20_000, returned)
    await topic.write()
    (cut,) = topic.written
    assert topic.sizes == sorted(topic.sizes, reverse=True)
    assert len(topic.sizes) < 8
    assert len(cut.value or b"") > 8_000
    assert dict(cut.headers)["labelstream-error-original-size"] == b"100000"


async def test_the_limit_is_not_read_for_every_dead_letter() -> None:
    topic = Topic(20_000, returned=20_000)
    for _ in range(5):
        await topic.write()
    assert topic.reads == 1
    assert topic.truncated == 5


@pytest.mark.parametrize("returned", [None, 100])
async def test_a_topic_that_refuses_the_smallest_form_ends_the_worker(returned: int | None) -> None:
    topic = Topic(100, returned)
    with pytest.raises(BrokerError, match="texts, partition 3, offset 1041") as failure:
        await topic.write()
    assert failure.value.exit_code == 4
    assert "max.message.bytes of texts.dead" in failure.value.fix
    assert topic.truncated == 0


async def test_stop_ends_the_worker_and_names_the_record() -> None:
    topic = Topic(max_size(WHOLE), returned=20_000, stop=True)
    with pytest.raises(BrokerError, match="the dead letter of texts, partition 3, offset 1041 is too large"):
        await topic.write()
    assert (topic.sizes, topic.truncated) == ([], 0)
