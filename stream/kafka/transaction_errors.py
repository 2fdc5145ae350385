"""The errors of transactions that the broker refuses or does not confirm."""

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTransactionTimeout,
    InvalidTxnState,
    ProducerFenced,
)

from stream.errors import BrokerError, Fatal, FencedError, one_line
from stream.records import Source

TRANSACTION_TIMEOUT_S = 15.0
FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidTxnState)


def fenced_error(subject: str) -> FencedError:
    """Return the error for a producer that may not write any more.

    Args:
        subject: what the producer writes, in words.
    """
    return FencedError(
        f"this worker's producer for {subject} was fenced",
        cause="another worker has taken over the partition, or the broker aborted a transaction that was "
        f"open for longer than {TRANSACTION_TIMEOUT_S:g} s, as after a pause of the worker or the broker",
        fix="restart the worker, as a supervisor does; the aborted events are read again",
    )


def is_fenced(error: BaseException) -> bool:
    """Return True if an error means that the producer may not write any more."""
    # aiokafka wraps an error that ends its sender.
    return isinstance(error, FENCED) or isinstance(error.__cause__, FENCED)


def transaction_error(error: BaseException, source: Source, seconds: float) -> Fatal:
    """Return the error for a transaction that failed.

    `stream.kafka.permissions` writes another one for a missing permission, which is the cause of this one.

    Args:
        error: the error of aiokafka, or `TimeoutError`.
        source: the source partition of the transaction.
        seconds: the time that the broker had.
    """
    at = f"partition {source.partition} of {source.topic}"
    if is_fenced(error):
        return fenced_error(at)
    reason = error.__cause__ or error
    if isinstance(error, TimeoutError):
        cause, fix = f"no answer within {seconds:g} s", "check the health of the brokers; nothing was lost"
    elif isinstance(reason, InvalidTransactionTimeout):
        cause = f"transaction.max.timeout.ms of the broker is below {TRANSACTION_TIMEOUT_S * 1000:.0f}"
        fix = "raise it, or set delivery to at_least_once"
    elif isinstance(reason, InvalidProducerIdMapping):
        cause = "the broker has forgotten the producer, which was idle for transactional.id.expiration.ms"
        fix = "restart the worker, as a supervisor does; nothing was lost"
    else:
        cause, fix = one_line(reason), "check topics and permissions: labelstream doctor; nothing was lost"
    return BrokerError(f"the broker did not accept a transaction for {at}", cause=cause, fix=fix)
