"""An error of the broker has a cause and a fix that name the topic."""

import pytest
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaStorageError,
    KafkaTimeoutError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from stream.errors import FencedError
from stream.kafka.faust.produce_response import ProduceError
from stream.kafka.produce_errors import EXPLANATIONS, is_too_large, refused_error, unconfirmed_error

COMPACTED = "Compacted topic cannot accept message without key in topic partition labels-3."
OLD = "Timestamp 5 of message with offset 0 is out of range."


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_every_explanation_names_the_topic_and_has_a_fix(code: int) -> None:
    for error in (
        refused_error(ProduceError(code), "labels", 3),
        unconfirmed_error("labels", 3, ProduceError(code), 9),
    ):
        assert error.exit_code == 4
        assert "labels" in error.message
        assert "labels" in error.cause + error.fix or "topic" in error.fix
        assert error.fix
        assert "{" not in error.message + error.cause + error.fix


@pytest.mark.parametrize(
    ("error", "cause", "fix"),
    [
        (ProduceError(87, COMPACTED), COMPACTED, "cleanup.policy=delete"),
        (ProduceError(87, COMPACTED), "cleanup.policy=compact", "keys"),
        (ProduceError(32, OLD), OLD, "message.timestamp.before.max.ms"),
        (TopicAuthorizationFailedError("labels"), "lacks WRITE on labels", "kafka-acls.sh"),
        (ProduceError(29), "lacks WRITE", "--operation Write --topic labels"),
        (ProduceError(31), "IDEMPOTENT_WRITE", "kafka-acls.sh"),
        (KafkaStorageError(), "disk", "--describe --topic labels"),
        (ProduceError(45), "lost the state", "restart"),
        (ProduceError(999, "odd"), "error code 999: odd", "labelstream topics check"),
        (KafkaTimeoutError("slow"), "KafkaTimeoutError: slow", "labelstream topics check"),
    ],
)
def test_a_refusal_names_its_cause(error: Exception, cause: str, fix: str) -> None:
    found = refused_error(error, "labels", 3)
    assert cause in found.cause
    assert fix in found.fix
    assert "labels, partition 3" in found.message


def test_a_fenced_producer_has_its_own_exit_code() -> None:
    assert isinstance(refused_error(InvalidProducerEpoch(), "labels", 3), FencedError)


@pytest.mark.parametrize(
    ("error", "message", "cause"),
    [
        (None, "did not confirm records for labels", "no confirmation within 9 s"),
        (NotEnoughReplicasError(), "did not confirm", "min.insync.replicas; waited 9 s"),
        (UnknownTopicOrPartitionError(), "topic labels was deleted", "does not list topic labels"),
        (ProduceError(6), "did not confirm", "no leader"),
        (KafkaTimeoutError(), "did not confirm", "KafkaTimeoutError"),
    ],
)
def test_a_missing_confirmation_names_the_last_error(
    error: Exception | None, message: str, cause: str
) -> None:
    found = unconfirmed_error("labels", 3, error, 9)
    assert message in found.message
    assert cause in found.cause
    assert found.fix


def test_both_size_limits_of_the_broker_are_recognised() -> None:
    assert [code for code in range(-1, 120) if is_too_large(ProduceError(code))] == [10, 18]
