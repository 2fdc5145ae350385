"""The broker's pulse: asked again and again, silent only after a while."""

from collections.abc import Mapping

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from stream.kafka.pulse import Pulse

ENDS = {TopicPartition("texts", 0): 50}


class FlakyBroker:
    """Answers, or raises what the test has set."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def ask(self) -> Mapping[TopicPartition, int]:
        if self.error:
            raise self.error
        return ENDS


class Setup:
    def __init__(self) -> None:
        self.broker = FlakyBroker()
        self.now = 0.0
        self.again = 0
        self.pulse = Pulse(self.broker.ask, lambda: self.now, self.count)

    def count(self) -> None:
        self.again += 1

    async def beat(self, now: float) -> bool:
        self.now = now
        await self.pulse.beat()
        return self.pulse.steady


async def test_a_broker_that_misses_one_answer_is_steady_and_one_that_stays_away_is_not() -> None:
    setup = Setup()
    assert await setup.beat(0)
    assert setup.pulse.ends == ENDS
    setup.broker.error = KafkaConnectionError("no route to host")
    assert await setup.beat(5)
    assert setup.pulse.failure
    assert await setup.beat(10)
    assert not await setup.beat(15)
    assert setup.pulse.silent_s == 15
    setup.broker.error = None
    assert await setup.beat(16)
    assert setup.pulse.failure == ""


async def test_questions_after_one_without_an_answer_are_counted() -> None:
    setup = Setup()
    setup.broker.error = TimeoutError()
    for now in range(3):
        await setup.beat(now)
    setup.broker.error = None
    await setup.beat(3)
    await setup.beat(4)
    assert setup.again == 3


async def test_an_error_that_nobody_foresaw_does_not_end_the_asking() -> None:
    setup = Setup()
    setup.broker.error = AssertionError("a rebalance came between")
    await setup.beat(1)
    assert "rebalance" in setup.pulse.failure
