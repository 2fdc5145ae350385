"""The errors for missing permissions name the resource, the operation and the command that grants it."""

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from stream.errors import BrokerError
from stream.kafka.permissions import authorization_error, grant_command, principal
from stream.settings import Settings, load_settings

LOGIN = {
    "broker": "kafka:9092",
    "group": "mail",
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_username": "worker",
    "sasl_password": "s3cret",
}


@pytest.fixture
def settings() -> Settings:
    return load_settings(LOGIN)


@pytest.mark.parametrize(
    ("error", "cause", "fix"),
    [
        (GroupAuthorizationFailedError("mail"), "READ on the group", "--operation Read --group mail"),
        (TopicAuthorizationFailedError("texts"), "READ on texts", "--operation Read --topic texts"),
        (TopicAuthorizationFailedError({"labels"}), "WRITE on labels", "--operation Write --topic labels"),
        (
            TopicAuthorizationFailedError(["texts.dead", "texts"]),
            "READ on texts, WRITE on texts.dead",
            "--operation Write --topic texts.dead",
        ),
        (TopicAuthorizationFailedError(), "READ on texts", "--topic labels --topic texts.dead"),
        (ClusterAuthorizationFailedError(), "IDEMPOTENT_WRITE", "--operation IdempotentWrite --cluster"),
    ],
)
def test_an_authorization_error_names_the_operation_and_the_command(
    settings: Settings, error: KafkaError, cause: str, fix: str
) -> None:
    found = authorization_error(settings, error)
    assert found is not None
    assert "User:worker" in found.message
    assert cause in found.cause
    assert fix in found.fix
    assert "kafka-acls.sh --bootstrap-server kafka:9092 --add --allow-principal User:worker" in found.fix
    assert "s3cret" not in found.fix
    assert found.exit_code == 4


def test_the_missing_permission_is_found_behind_the_error_that_it_caused(settings: Settings) -> None:
    wrapped = KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = ClusterAuthorizationFailedError()
    refused = BrokerError("the broker refused records for labels")
    refused.__cause__ = TopicAuthorizationFailedError("labels")
    for error in (wrapped, refused):
        assert authorization_error(settings, error) is not None
    assert authorization_error(settings, KafkaError("other")) is None
    assert authorization_error(settings, ZeroDivisionError()) is None


@pytest.mark.parametrize(
    ("protocol", "user"), [("PLAINTEXT", "User:ANONYMOUS"), ("SSL", "User:NAME"), ("SASL_SSL", "User:worker")]
)
def test_the_principal_follows_the_security_protocol(protocol: str, user: str) -> None:
    settings = load_settings({**LOGIN, "security_protocol": protocol})
    assert principal(settings) == user
    assert f"--allow-principal {user} --operation Read --group g" in grant_command(
        settings, "Read", "--group", "g"
    )


def test_the_grants_name_every_label_topic() -> None:
    labelled = load_settings({**LOGIN, "output_topic": "labels.{label}", "review_topic": "review"})
    resolved = labelled.with_label_topics({"default": ("labels.a", "labels.b")})
    for error in (TopicAuthorizationFailedError(), ClusterAuthorizationFailedError()):
        found = authorization_error(resolved, error)
        assert found is not None
        topics = "--topic labels.a --topic labels.b --topic review --topic texts.dead"
        assert f"--operation Write {topics}" in found.fix
