"""The broker's probe: asked again and again, silent only after a while."""

from collections.abc import Mapping

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from stream.kafka.probe import BrokerProbe

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
        self.probe = BrokerProbe(self.broker.ask, lambda: self.now, self.count)

    def count(self) -> None:
        self.again += 1

    async def ask(self, now: float) -> bool:
        self.now = now
        await self.probe.probe()
        return self.probe.healthy


async def test_a_broker_that_misses_one_answer_is_steady_and_one_that_stays_away_is_not() -> None:
    setup = Setup()
    assert await setup.ask(0)
    assert setup.probe.ends == ENDS
    setup.broker.error = KafkaConnectionError("no route to host")
    assert await setup.ask(5)
    assert setup.probe.failure
    assert await setup.ask(10)
    assert not await setup.ask(15)
    assert setup.probe.silent_s == 15
    setup.broker.error = None
    assert await setup.ask(16)
    assert setup.probe.failure == ""


async def test_questions_after_one_without_an_answer_are_counted() -> None:
    setup = Setup()
    setup.broker.error = TimeoutError()
    for now in range(3):
        await setup.ask(now)
    setup.broker.error = None
    await setup.ask(3)
    await setup.ask(4)
    assert setup.again == 3


async def test_an_error_that_nobody_foresaw_does_not_end_the_asking() -> None:
    setup = Setup()
    setup.broker.error = AssertionError("a rebalance came between")
    await setup.ask(1)
    assert "rebalance" in setup.probe.failure
