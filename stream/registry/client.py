"""The client of the schema registry: requests with retries, and errors with a fix."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import structlog

from stream.deadline import Deadline
from stream.errors import RegistryError, UsageError, missing_module, one_line
from stream.settings import Settings

REQUEST_S = 10.0
MIN_PAUSE_S, MAX_PAUSE_S = 0.2, 5.0
RETRIED_STATUSES = frozenset((408, 429, 500, 502, 503, 504))
# The registry's own codes for an unknown subject, version or schema. Another 404 is not a registry's.
NOT_FOUND_CODES = frozenset((40401, 40402, 40403))

T = TypeVar("T")
log = structlog.get_logger(__name__)


class NotFoundError(Exception):
    """The registry has no such subject, version or schema."""


class RejectedError(Exception):
    """The registry rejects a schema, as invalid or incompatible."""


class RegistryClient:
    """Sends requests to a schema registry, and repeats them while it is not available."""

    def __init__(
        self,
        settings: Settings,
        *,
        client: Any = None,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            settings: the address of the registry, the credentials, and `retry_deadline_s`.
            client: an `AsyncSchemaRegistryClient`; default: one for the settings.
            clock: returns monotonic seconds.
            sleep: waits between two attempts; the pause doubles from 0.2 s to 5 s.
            on_retry: called before every retry.

        Raises:
            UsageError: the settings name no registry, a library is not installed, or a file of the settings
                cannot be read.
        """
        if not settings.schema_registry_url:
            raise UsageError(
                "schema_registry_url is not set",
                cause="the input_format or the output_format of a route needs a schema registry",
                fix="name the registry, for instance --schema-registry-url http://registry:8081",
            )
        self._settings = settings
        self._client = client or _connect(settings)
        self._clock = clock
        self._sleep = sleep
        self._on_retry = on_retry

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(self, request: Callable[[Any], Awaitable[T]]) -> T:
        """Return the answer to a request; repeat it until `retry_deadline_s` while the registry is away.

        Args:
            request: sends the request with an `AsyncSchemaRegistryClient`.

        Raises:
            NotFoundError: the registry has no such subject, version or schema.
            RejectedError: the registry rejects the schema of the request.
            RegistryError: the registry is away for too long, or refuses the request.
        """
        deadline = Deadline(self._settings.retry_deadline_s, self._clock)
        pause, warned = MIN_PAUSE_S, False
        while True:
            try:
                return await request(self._client)
            except Exception as exc:  # noqa: BLE001 - the client raises errors of its HTTP library as well
                cause = self._cause_of_retry(exc)
            if deadline.remaining() < pause:
                raise RegistryError(
                    f"the schema registry {self._settings.schema_registry_url} is not available",
                    cause=f"{cause}; waited {deadline.seconds:g} s",
                    fix="start the registry, or correct schema_registry_url",
                )
            if not warned:
                log.warning("waiting for the schema registry", cause=cause, deadline_s=deadline.seconds)
                warned = True
            self._on_retry()
            await self._sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_S)

    def _cause_of_retry(self, exc: Exception) -> str:
        """Return the cause of an error that a retry may cure.

        Raises:
            NotFoundError: the registry has no such subject, version or schema.
            RejectedError: the registry rejects the schema of the request.
            RegistryError: a retry would not help.
        """
        status = getattr(exc, "http_status_code", None)
        if status is None:
            if any(isinstance(error, ssl.SSLCertVerificationError) for error in _causes(exc)):
                raise self._refused(
                    "its certificate is not trusted",
                    "name the certificate authority in schema_registry_cafile",
                ) from None
            return one_line(exc)
        if status == 404 and getattr(exc, "error_code", None) in NOT_FOUND_CODES:
            raise NotFoundError from None
        if status in (409, 422):
            raise RejectedError from None
        if status in (401, 403):
            raise self._refused(
                f"it answers with HTTP status {status}",
                "correct the file of schema_registry_auth_file, or grant the rights",
            ) from None
        if status in RETRIED_STATUSES:
            return f"it answers with HTTP status {status}"
        raise self._refused(
            f"it answers with HTTP status {status}: {one_line(exc)}",
            "check schema_registry_url, whose path depends on the registry (Apicurio: /apis/ccompat/v7)",
        ) from None

    def _refused(self, cause: str, fix: str) -> RegistryError:
        url = self._settings.schema_registry_url
        return RegistryError(f"the schema registry {url} cannot be used", cause=cause, fix=fix)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _connect(settings: Settings) -> Any:
    """Return Confluent's client for the settings.

    Raises:
        UsageError: the client is not installed, or a file of the settings cannot be read.
    """
    try:
        from confluent_kafka.schema_registry import AsyncSchemaRegistryClient
    except ModuleNotFoundError as exc:
        raise missing_module("a schema registry needs a library", exc, "schemas") from exc
    config: dict[str, Any] = {
        "url": settings.schema_registry_url,
        "timeout": REQUEST_S,
        # `RegistryClient.call` repeats requests, within its deadline.
        "max.retries": 0,
    }
    if settings.schema_registry_cafile is not None:
        config["ssl.ca.location"] = str(settings.schema_registry_cafile)
    if settings.schema_registry_auth_file is not None:
        config["basic.auth.user.info"] = _read_credentials(settings.schema_registry_auth_file)
    try:
        return AsyncSchemaRegistryClient(config)
    except (OSError, ValueError) as exc:
        raise UsageError(
            "the settings of the schema registry are invalid",
            cause=one_line(exc),
            fix="correct schema_registry_url and schema_registry_cafile",
        ) from None


def _read_credentials(path: Path) -> str:
    """Return the user and the password in a file.

    Raises:
        UsageError: the file cannot be read, or has no colon.
    """
    try:
        found = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"cannot read schema_registry_auth_file {path}",
            cause=exc.strerror or str(exc) if isinstance(exc, OSError) else "it is not UTF-8",
            fix="name a readable file with USER:PASSWORD",
        ) from None
    if ":" not in found:
        raise UsageError(
            f"schema_registry_auth_file {path} has no colon",
            cause="the file holds USER:PASSWORD",
            fix="write the user, a colon and the password into the file",
        )
    return found
