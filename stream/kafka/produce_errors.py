"""The causes and fixes of errors that the broker reports for published records."""

from typing import NamedTuple

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    InvalidProducerEpoch,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaStorageError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    RecordListTooLargeError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownProducerId,
    UnknownTopicOrPartitionError,
    UnsupportedForMessageFormatError,
    for_code,
)

from stream.errors import BrokerError, Fatal, FencedError
from stream.kafka.transaction_errors import is_fenced
from stream.wording import CREATE_TOPICS

# Codes that aiokafka does not know.
UNSUPPORTED_COMPRESSION, INVALID_RECORD = 76, 87


class Explanation(NamedTuple):
    """The cause and the fix of an error; `{topic}` and `{partition}` are placeholders."""

    cause: str
    fix: str


DESCRIBE = "kafka-topics.sh --bootstrap-server HOST:PORT --describe --topic {topic}"
ALTER = "kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {topic}"
NO_LEADER = Explanation(
    "partition {partition} of {topic} has no leader", f"start the brokers of its replicas: {DESCRIBE}"
)
NO_REPLICAS = Explanation(
    "{topic} has fewer in-sync replicas than min.insync.replicas",
    f"start the brokers of the missing replicas: {DESCRIBE}",
)
TOO_LARGE = Explanation(
    "a record is larger than max.message.bytes, or than segment.bytes, of {topic}",
    "raise max.message.bytes of {topic}: labelstream topics check shows it; nothing was dropped",
)
LOST_STATE = Explanation(
    "the broker has lost the state of this worker's producer for partition {partition} of {topic}, "
    "for instance in an unclean leader election",
    "restart the worker, as a supervisor does; nothing was lost",
)

EXPLANATIONS: dict[int, Explanation] = {
    MessageSizeTooLargeError.errno: TOO_LARGE,
    RecordListTooLargeError.errno: TOO_LARGE,
    TopicAuthorizationFailedError.errno: Explanation(
        "the user lacks WRITE on {topic}",
        "grant the permissions: kafka-acls.sh --bootstrap-server HOST:PORT --add --allow-principal User:NAME "
        "--operation Write --topic {topic}",
    ),
    ClusterAuthorizationFailedError.errno: Explanation(
        "the user lacks WRITE on {topic}, or, on brokers before 2.8, IDEMPOTENT_WRITE on the cluster",
        "grant it: kafka-acls.sh --bootstrap-server HOST:PORT --add --allow-principal User:NAME "
        "--operation IdempotentWrite --cluster",
    ),
    INVALID_RECORD: Explanation(
        "{topic} does not accept the record; with cleanup.policy=compact it accepts no record without a key",
        f"produce events with keys, or run: {ALTER} --add-config cleanup.policy=delete",
    ),
    InvalidTimestampError.errno: Explanation(
        "the timestamp of the event is outside message.timestamp.before.max.ms or "
        "message.timestamp.after.max.ms of {topic}",
        f"run: {ALTER} --delete-config message.timestamp.before.max.ms,message.timestamp.after.max.ms",
    ),
    UnknownTopicOrPartitionError.errno: Explanation(
        "the broker does not list topic {topic}, or not its partition {partition}",
        f"create the topic: {CREATE_TOPICS}; the events are read again after a restart",
    ),
    LeaderNotAvailableError.errno: NO_LEADER,
    NotLeaderForPartitionError.errno: NO_LEADER,
    RequestTimedOutError.errno: Explanation(
        "the replicas of partition {partition} of {topic} do not acknowledge in time",
        f"check the brokers of the replicas, and their network: {DESCRIBE}",
    ),
    NotEnoughReplicasError.errno: NO_REPLICAS,
    NotEnoughReplicasAfterAppendError.errno: NO_REPLICAS,
    KafkaStorageError.errno: Explanation(
        "the broker cannot write to the disk that holds partition {partition} of {topic}",
        f"check the disk and the log of the leader: {DESCRIBE}",
    ),
    CorruptRecordException.errno: Explanation(
        "the broker received a batch with a wrong checksum for {topic}",
        "check network and memory of this machine; nothing was lost",
    ),
    InvalidTopicError.errno: Explanation(
        "clients may not write to {topic}: it is internal, or its name is invalid",
        "choose another output_topic, review_topic or dead_topic",
    ),
    PolicyViolationError.errno: Explanation(
        "a policy of the broker forbids the records for {topic}", "ask the operator of the broker"
    ),
    UnsupportedForMessageFormatError.errno: Explanation(
        "{topic} uses a record format without headers", f"run: {ALTER} --delete-config message.format.version"
    ),
    UNSUPPORTED_COMPRESSION: Explanation(
        "{topic} does not support the compression type of the records", "set compression to lz4"
    ),
    OutOfOrderSequenceNumber.errno: LOST_STATE,
    UnknownProducerId.errno: LOST_STATE,
}


def is_too_large(error: Exception) -> bool:
    """Return True if the broker refuses a wire batch because of its size."""
    return _code(error) in (MessageSizeTooLargeError.errno, RecordListTooLargeError.errno)


def refused_error(error: Exception, topic: str, partition: int) -> Fatal:
    """Return the error for records that the broker refused.

    Args:
        error: an error of aiokafka, or a `ProduceError`.
        topic: the topic of the records.
        partition: the partition of the records.
    """
    if is_fenced(error) or _code(error) == InvalidProducerEpoch.errno:
        return FencedError(
            f"this worker's producer for {topic} was fenced",
            cause="the broker has ended its identity, or another producer uses it",
            fix="restart the worker, as a supervisor does; the events are read again",
        )
    found = EXPLANATIONS.get(_code(error))
    if found is None:
        found = Explanation(
            _name(error),
            "check the topic and its permissions: labelstream topics check; nothing was committed",
        )
    message = (
        "a record is too large for {topic}"
        if found is TOO_LARGE
        else "the broker refused records for {topic}, partition {partition}"
    )
    return _broker_error(message, found, error, topic, partition)


def unconfirmed_error(topic: str, partition: int, error: Exception | None, seconds: float) -> Fatal:
    """Return the error for records that the broker did not confirm in time.

    Args:
        topic: the topic of the records.
        partition: the partition of the records.
        error: the last error for the records, None if the broker reported none.
        seconds: the time that the worker waited.
    """
    if error is None:
        return BrokerError(
            f"the broker did not confirm records for {topic}",
            cause=f"no confirmation within {seconds:g} s",
            fix="check the broker's health; the events are read again after a restart",
        )
    found = EXPLANATIONS.get(_code(error))
    if found is None:
        found = Explanation(
            _name(error), "check the broker's health; the events are read again after a restart"
        )
    if _code(error) == UnknownTopicOrPartitionError.errno:
        message = "topic {topic} was deleted, or its partition {partition} does not exist"
    else:
        message = "the broker did not confirm records for {topic}, partition {partition}"
    found = found._replace(cause=f"{found.cause}; waited {seconds:g} s")
    return _broker_error(message, found, error, topic, partition)


def _broker_error(
    message: str, found: Explanation, error: Exception, topic: str, partition: int
) -> BrokerError:
    detail = getattr(error, "detail", "")
    names = {"topic": topic, "partition": partition}
    return BrokerError(
        message.format(**names),
        cause=found.cause.format(**names) + (f" (broker: {detail})" if detail else ""),
        fix=found.fix.format(**names),
    )


def _code(error: Exception) -> int:
    """Return the error code of Kafka's protocol, -1 if the error has none."""
    code = getattr(error, "code", getattr(error, "errno", None))
    return code if isinstance(code, int) else -1


def _name(error: Exception) -> str:
    """Return the name of an error without an explanation."""
    code = _code(error)
    known = for_code(code)
    if code == -1 or known.errno == -1:
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return str(known.__name__)
