"""Retries of broker requests on transient errors."""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from tests.real.wait import until

T = TypeVar("T")

DEADLINE_S = 30.0

# The errors that a broker returns shortly after a topic was created or the broker was started.
TRANSIENT_ERRORS = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._TRANSPORT,
}


class _TransientError(Exception):
    """A transient error."""


def retry_transient(call: Callable[[], T], what: str) -> T:
    """Repeat a request while it fails with a transient error."""

    def attempt() -> list[T]:
        try:
            return [call()]
        except KafkaException as error:
            if error.args[0].code() in TRANSIENT_ERRORS:
                raise _TransientError(str(error)) from error
            raise

    return until(attempt, DEADLINE_S, what, ignoring=(_TransientError,))[0]
