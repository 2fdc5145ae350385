"""The broker probe: one missed answer is no outage, a long silence is."""

from collections.abc import Mapping

from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from stream.kafka.probe import BrokerProbe

ENDS = {TopicPartition("texts", 0): 50}


class FlakyBroker:
    """A broker that answers, or raises the error that the test sets."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def query(self) -> Mapping[TopicPartition, int]:
        if self.error:
            raise self.error
        return ENDS


class Setup:
    def __init__(self) -> None:
        self.broker = FlakyBroker()
        self.now = 0.0
        self.retries = 0
        self.probe = BrokerProbe(self.broker.query, lambda: self.now, self.count)

    def count(self) -> None:
        self.retries += 1

    async def probe_at(self, now: float) -> bool:
        self.now = now
        await self.probe.probe()
        return self.probe.healthy


async def test_a_broker_is_healthy_after_one_missed_answer_and_not_after_a_long_silence() -> None:
    setup = Setup()
    assert await setup.probe_at(0)
    assert setup.probe.ends == ENDS
    setup.broker.error = KafkaConnectionError("no route to host")
    assert await setup.probe_at(5)
    assert setup.probe.failure
    assert await setup.probe_at(10)
    assert not await setup.probe_at(15)
    assert setup.probe.silent_s == 15
    setup.broker.error = None
    assert await setup.probe_at(16)
    assert setup.probe.failure == ""


async def test_probes_after_a_failed_one_count_as_retries() -> None:
    setup = Setup()
    setup.broker.error = TimeoutError()
    for now in range(3):
        await setup.probe_at(now)
    setup.broker.error = None
    await setup.probe_at(3)
    await setup.probe_at(4)
    assert setup.retries == 3


async def test_an_unexpected_error_does_not_stop_the_probe() -> None:
    setup = Setup()
    setup.broker.error = AssertionError("a rebalance came between")
    await setup.probe_at(1)
    assert "rebalance" in setup.probe.failure
