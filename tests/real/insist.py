"""Asking a broker again while its answer is one that passes by itself."""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from tests.real.wait import until

T = TypeVar("T")

DEADLINE_S = 30.0

# What a broker says in the moments after a topic was made or the broker was started.
PASSING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._TRANSPORT,
}


class _NotYetError(Exception):
    """An answer that passes by itself."""


def insist(call: Callable[[], T], what: str) -> T:
    """Repeat a question while the answer is one of the passing errors."""

    def ask() -> list[T]:
        try:
            return [call()]
        except KafkaException as error:
            if error.args[0].code() in PASSING:
                raise _NotYetError(str(error)) from error
            raise

    return until(ask, DEADLINE_S, what, ignoring=(_NotYetError,))[0]
