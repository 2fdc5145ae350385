"""The options of Kafka clients, and the errors of invalid settings and failed connections."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, SaslAuthenticationFailed

from stream.errors import UsageError
from stream.kafka.connection import (
    client_options,
    connection_error,
    error_cause,
    parse_servers,
    sasl_password,
)
from stream.settings import load_settings


@pytest.mark.parametrize(
    ("broker", "servers"),
    [
        ("127.0.0.1:9092", [("127.0.0.1", 9092)]),
        ("kafka-1:9092, kafka-2:9093", [("kafka-1", 9092), ("kafka-2", 9093)]),
        ("[::1]:9092", [("::1", 9092)]),
        ("a:1,", [("a", 1)]),
    ],
)
def test_servers_are_host_and_port(broker: str, servers: list[tuple[str, int]]) -> None:
    assert parse_servers(broker) == servers


@pytest.mark.parametrize(
    "broker",
    ["", " , ", "kafka", "kafka:", ":9092", "kafka:x", "kafka:0", "kafka:65536", "http://kafka:80", "::1:9"],
)
def test_an_invalid_broker_setting_is_refused_with_an_example(broker: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_servers(broker)
    assert "host:port" in refusal.value.fix or "127.0.0.1:9092" in refusal.value.fix


def test_options_without_security_are_servers_and_protocol() -> None:
    assert client_options(load_settings({"broker": "[::1]:9092,b:1"})) == {
        "bootstrap_servers": ["[::1]:9092", "b:1"],
        "security_protocol": "PLAINTEXT",
    }


def test_the_sasl_password_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(" s3cret \n")
    settings = load_settings(
        {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": "worker",
            "sasl_password_file": file,
        }
    )
    options = client_options(settings)
    assert options["sasl_plain_username"] == "worker"
    assert options["sasl_plain_password"] == " s3cret "
    assert options["sasl_mechanism"] == "SCRAM-SHA-256"


def test_the_password_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_SASL_PASSWORD", "s3cret")
    assert sasl_password(load_settings()) == "s3cret"


def test_an_unreadable_password_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sasl_password_file") as refusal:
        sasl_password(load_settings({"sasl_password_file": tmp_path / "none"}))
    assert refusal.value.cause == "No such file or directory"


@pytest.mark.parametrize("flags", [{"sasl_username": "worker"}, {"sasl_password": "s3cret"}])
def test_sasl_without_user_or_password_is_refused(flags: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="needs a user and a password"):
        client_options(load_settings({"security_protocol": "SASL_PLAINTEXT", **flags}))


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    with pytest.raises(UsageError, match="certificates") as refusal:
        client_options(load_settings({"security_protocol": "SSL", "ssl_cafile": file}))
    assert "ssl_cafile" in refusal.value.fix


def test_the_ssl_context_checks_the_host_name() -> None:
    assert client_options(load_settings({"security_protocol": "SSL"}))["ssl_context"].check_hostname


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "connection refused"),
        (TimeoutError(), "no answer in time"),
        (KafkaTimeoutError(), "no answer in time"),
        (
            KafkaConnectionError("Connection at a:1 closed"),
            "the broker closed the connection; does ",
        ),
        (asyncio.IncompleteReadError(b"", 4), "the broker closed the connection"),
        (SaslAuthenticationFailed("Invalid\nuser"), "SaslAuthenticationFailed: Invalid user"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_a_cause_is_one_line(error: Exception, cause: str) -> None:
    assert error_cause(error).startswith(cause)
    assert "\n" not in error_cause(error)


@pytest.mark.parametrize(
    ("error", "what", "fix"),
    [
        (ConnectionRefusedError(), "does not answer", "start it"),
        (SaslAuthenticationFailed("Invalid password"), "refuses the login", "sasl_password_file"),
    ],
)
def test_a_refused_login_differs_from_a_silent_broker(error: Exception, what: str, fix: str) -> None:
    broker_error = connection_error(load_settings({"broker": "b:1"}), error)
    assert broker_error.message == f"broker b:1 {what}"
    assert fix in broker_error.fix
    assert broker_error.exit_code == 4
