"""How to reach the broker: client options from the settings, and why it could not be reached."""

import logging
import socket
from typing import Any

from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
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


def parse_servers(broker: str) -> list[tuple[str, int]]:
    """Split the setting `broker` into hosts and ports.

    Raises:
        UsageError: an entry is not host:port.
    """
    found = []
    for entry in filter(None, (part.strip() for part in broker.split(","))):
        host, _, port = entry.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not bare or "/" in bare or (":" in bare and bare == host) or not _is_port(port):
            raise UsageError(
                f"broker {entry!r} is not host:port",
                cause="the setting broker takes host:port, several of them comma separated",
                fix="write it like 127.0.0.1:9092 or [::1]:9092, without a scheme",
            )
        found.append((bare, int(port)))
    if not found:
        raise UsageError(
            "no broker was named", cause="the setting broker is empty", fix="give --broker host:port"
        )
    return found


def join_server(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and 0 < int(port) < 65_536


def sasl_password(settings: Settings) -> str | None:
    """The SASL password from its file or its setting; a line end after it in the file is not part of it.

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
            fix="name a readable UTF-8 file in sasl_password_file",
        ) from None


def security_options(settings: Settings) -> dict[str, Any]:
    """The part of every aiokafka client's options that says how to log in.

    Raises:
        UsageError: a certificate or password cannot be read, or SASL lacks its user.
    """
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.startswith("SASL"):
        password = sasl_password(settings)
        if not settings.sasl_username or not password:
            raise UsageError(
                f"security_protocol {settings.security_protocol} wants a user and a password",
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
                fix="check ssl_cafile, ssl_certfile and ssl_keyfile: PEM files that belong together",
            ) from None
    return options


def client_options(settings: Settings) -> dict[str, Any]:
    """Options for any aiokafka client: consumer, producer or admin.

    Raises:
        UsageError: a setting of the connection is wrong.
    """
    servers = [join_server(host, port) for host, port in parse_servers(settings.broker)]
    return {"bootstrap_servers": servers, **security_options(settings)}


def error_cause(exc: BaseException) -> str:
    """The reason of a failed connection or request, in one line."""
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    if isinstance(exc, CLOSED):
        return "it closed the connection; is security_protocol that of its listener?"
    if isinstance(exc, (TimeoutError, KafkaTimeoutError, RequestTimedOutError)):
        return "no answer in time"
    if isinstance(exc, socket.gaierror):
        return f"the host name cannot be resolved: {exc.strerror}"
    if isinstance(exc, KafkaError):
        told = next((arg for arg in exc.args if isinstance(arg, str)), getattr(exc, "description", ""))
        return ": ".join(filter(None, (type(exc).__name__.removesuffix("Error"), " ".join(told.split()))))
    return (exc.strerror if isinstance(exc, OSError) else "") or str(exc) or type(exc).__name__


def unreachable(settings: Settings, exc: BaseException) -> BrokerError:
    """The error for a broker that gave no answer, or refused the login."""
    if isinstance(exc, LOGIN_REFUSED):
        return BrokerError(
            f"broker {settings.broker} refuses the login",
            cause=error_cause(exc),
            fix="check security_protocol, sasl_mechanism, sasl_username and sasl_password_file",
        )
    return BrokerError(
        f"broker {settings.broker} does not answer",
        cause=error_cause(exc),
        fix="start it, or set broker (LABELSTREAM_BROKER); without any: labelstream demo",
    )


def silence_client_logs() -> None:
    """For commands that tell failures themselves: keep the client library's log lines off the terminal."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
