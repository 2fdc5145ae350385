"""Client options for the connection to the broker, and the errors of a connection that fails."""

import logging
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    BrokerResponseError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NoBrokersAvailable,
    NodeNotReadyError,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.helpers import create_ssl_context

from stream.errors import BrokerError, UsageError
from stream.settings import Settings

LOGIN_REFUSED = (
    AuthenticationFailedError,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
CLOSED = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, EOFError, KafkaConnectionError)
UNREACHABLE = (
    KafkaConnectionError,
    KafkaTimeoutError,
    NoBrokersAvailable,
    NodeNotReadyError,
    RequestTimedOutError,
)


def parse_servers(broker: str) -> list[tuple[str, int]]:
    """Parse the setting `broker` into hosts and ports.

    Raises:
        UsageError: an entry is not of the form host:port.
    """
    found = []
    for entry in filter(None, (part.strip() for part in broker.split(","))):
        host, _, port = entry.rpartition(":")
        address = host.removeprefix("[").removesuffix("]")
        if not address or "/" in address or (":" in address and address == host) or not _is_port(port):
            raise UsageError(
                f"broker {entry!r} is not host:port",
                cause="the setting broker takes host:port, or several of them separated by commas",
                fix="write it like 127.0.0.1:9092 or [::1]:9092, without a scheme",
            )
        found.append((address, int(port)))
    if not found:
        raise UsageError(
            "no broker is set", cause="the setting broker is empty", fix="pass --broker host:port"
        )
    return found


def join_server(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and 0 < int(port) < 65_536


def sasl_password(settings: Settings) -> str | None:
    """Return the SASL password from its file, without the line end, or from its setting.

    Raises:
        UsageError: the file cannot be read.
    """
    if settings.sasl_password_file is None:
        return settings.sasl_password.get_secret_value() if settings.sasl_password else None
    try:
        return settings.sasl_password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"cannot read sasl_password_file {settings.sasl_password_file}",
            cause=error_cause(exc),
            fix="set sasl_password_file to a readable UTF-8 file",
        ) from None


def security_options(settings: Settings) -> dict[str, Any]:
    """Return the authentication and encryption options of any aiokafka client.

    Raises:
        UsageError: a certificate or the password cannot be read, or SASL lacks its user or password.
    """
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.startswith("SASL"):
        password = sasl_password(settings)
        if not settings.sasl_username or not password:
            raise UsageError(
                f"security_protocol {settings.security_protocol} needs a user and a password",
                cause="sasl_username is empty"
                if not settings.sasl_username
                else "the SASL password is empty",
                fix="set sasl_username and sasl_password_file",
            )
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": password,
        }
    if settings.security_protocol.endswith("SSL"):
        try:
            options["ssl_context"] = create_ssl_context(
                cafile=settings.ssl_cafile, certfile=settings.ssl_certfile, keyfile=settings.ssl_keyfile
            )
        except (OSError, ValueError) as exc:
            raise UsageError(
                "the TLS certificates cannot be used",
                cause=error_cause(exc),
                fix="set ssl_cafile, ssl_certfile and ssl_keyfile to PEM files that belong together",
            ) from None
    return options


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the options of any aiokafka client: consumer, producer or admin.

    Raises:
        UsageError: a setting of the connection is invalid.
    """
    servers = [join_server(host, port) for host, port in parse_servers(settings.broker)]
    return {"bootstrap_servers": servers, **security_options(settings)}


@asynccontextmanager
async def connect(
    settings: Settings, servers: Iterable[tuple[str, int]]
) -> AsyncIterator[AIOKafkaConnection]:
    """Connect to the first of these servers that answers.

    Raises:
        KafkaError, OSError, EOFError: no server answers; the error is that of the last one.
        UsageError: a setting of the connection is invalid.
    """
    last: Exception = TimeoutError()
    security = security_options(settings)
    for host, port in servers:
        try:
            connection = await create_conn(host, port, client_id="labelstream", **security)
        except (OSError, KafkaError, EOFError) as exc:
            last = exc
            continue
        try:
            yield connection
        finally:
            connection.close()
        return
    raise last


def error_cause(exc: BaseException) -> str:
    """Return the cause of a failed connection or request, in one line."""
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    if isinstance(exc, CLOSED):
        return "the broker closed the connection; does security_protocol match its listener?"
    if isinstance(exc, (TimeoutError, KafkaTimeoutError, RequestTimedOutError)):
        return "no answer in time"
    if isinstance(exc, socket.gaierror):
        return f"the host name cannot be resolved: {exc.strerror}"
    if isinstance(exc, KafkaError):
        text = next((arg for arg in exc.args if isinstance(arg, str)), getattr(exc, "description", ""))
        return ": ".join(filter(None, (type(exc).__name__.removesuffix("Error"), " ".join(text.split()))))
    return (exc.strerror if isinstance(exc, OSError) else "") or str(exc) or type(exc).__name__


def connection_error(settings: Settings, exc: BaseException) -> BrokerError:
    """Return the error for a broker that does not answer or refuses the login."""
    if isinstance(exc, LOGIN_REFUSED):
        return BrokerError(
            f"broker {settings.broker} refuses the login",
            cause=error_cause(exc),
            fix="check security_protocol, sasl_mechanism, sasl_username and sasl_password_file",
        )
    return BrokerError(
        f"broker {settings.broker} does not answer",
        cause=error_cause(exc),
        fix="start it, or set broker (LABELSTREAM_BROKER); to try without a broker: labelstream demo",
    )


def client_error(settings: Settings, exc: KafkaError) -> BrokerError:
    """Return the error for an exception of a Kafka client that ends the worker."""
    if isinstance(exc, LOGIN_REFUSED):
        return connection_error(settings, exc)
    if isinstance(exc, UNREACHABLE):
        return BrokerError(
            "the connection to the broker failed",
            cause=error_cause(exc),
            fix="check the broker: labelstream doctor; nothing was lost",
        )
    refused = isinstance(exc, BrokerResponseError)
    return BrokerError(
        f"broker {settings.broker} refused a request" if refused else "the Kafka client failed",
        cause=error_cause(exc),
        fix="check topics, consumer group and permissions: labelstream doctor; nothing was lost",
    )


def silence_client_logs() -> None:
    """Keep aiokafka's log off the terminal, for commands that report failures themselves."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
