"""What `labelstream doctor` checks; nothing here raises."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from stream.codec import load_codec
from stream.errors import BrokerError, LabelstreamError, UsageError
from stream.kafka.connection import parse_servers, security_options
from stream.kafka.topics.check import check_topics
from stream.kafka.topics.cluster import Cluster, ask_cluster, missing_topics
from stream.settings import Settings

BROKER_TIMEOUT_S = 2.0
REDIS_TIMEOUT_S = 1.0
LOW_DISK_BYTES = 2**30
DEVICE_EXIT_CODE = 7


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check; `exit_code` matters for a failure only."""

    check: str
    verdict: Literal["ok", "warn", "skip", "FAIL"]
    detail: str
    fix: str = ""
    exit_code: int = 1


def examine(settings: Settings) -> list[Finding]:
    """Run every check, in the order in which a worker needs the parts."""
    found = list(_guarded("settings", lambda: _settings(settings)))
    usable = all(finding.verdict == "ok" for finding in found)
    cluster: list[Cluster] = []
    if usable:
        found += _guarded("broker", lambda: _broker(settings, cluster))
    else:
        found.append(Finding("broker", "skip", "not asked: the settings cannot be used"))
    if cluster:
        found += _guarded("topics", lambda: _topics(settings, cluster[0]))
    else:
        found.append(Finding("topics", "skip", "not asked: no broker answers"))
    checks = {
        "redis": _redis,
        "bundle": _bundle,
        "device": _device,
        "codec": _codec,
        "web port": _web_port,
        "disk": _disk,
    }
    for name, check in checks.items():
        found += _guarded(name, lambda check=check: check(settings))  # type: ignore[misc]
    return found


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except LabelstreamError as exc:
        detail = f"{exc.message}: {exc.cause}" if exc.cause else exc.message
        yield Finding(name, "FAIL", detail, exc.fix, exc.exit_code)
    except ModuleNotFoundError as exc:
        fix = "pip install 'labelstream[cpu]' or 'labelstream[gpu]'"
        yield Finding(name, "FAIL", f"the Python module {exc.name} is missing", fix, DEVICE_EXIT_CODE)
    except Exception as exc:  # noqa: BLE001 - the next check has to run whatever this one met
        yield Finding(name, "FAIL", f"{type(exc).__name__}: {exc}", "this was not foreseen; please report it")


def _settings(settings: Settings) -> Iterator[Finding]:
    parse_servers(settings.broker)
    security_options(settings)
    if settings.web_token_file is not None:
        try:
            settings.web_token_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(
                f"cannot read web_token_file {settings.web_token_file}",
                cause=str(exc),
                fix="name a readable UTF-8 file in web_token_file",
            ) from None
    routes = (
        f"{r.input_topic} → {r.output_topic}, dead letters {r.dead_topic}" for r in settings.effective_routes
    )
    yield Finding("settings", "ok", "; ".join(routes))


def _broker(settings: Settings, answer: list[Cluster]) -> Iterator[Finding]:
    cluster = asyncio.run(ask_cluster(settings, BROKER_TIMEOUT_S))
    answer.append(cluster)
    unreachable = asyncio.run(_unreachable(settings, cluster))
    for address, error in unreachable:
        detail = f"{settings.broker} answers, but sends clients to {address}, which does not: {error.cause}"
        fix = "set the broker's advertised.listeners to an address that this machine reaches"
        yield Finding("broker", "FAIL", detail, fix, error.exit_code)
    if not unreachable:
        yield Finding("broker", "ok", f"{settings.broker} answers; brokers: {', '.join(cluster.brokers)}")


async def _unreachable(settings: Settings, cluster: Cluster) -> list[tuple[str, BrokerError]]:
    async def ask(address: str) -> BrokerError | None:
        try:
            await ask_cluster(settings.model_copy(update={"broker": address}), BROKER_TIMEOUT_S)
        except BrokerError as exc:
            return exc
        return None

    errors = await asyncio.gather(*(ask(address) for address in cluster.brokers))
    return [(address, error) for address, error in zip(cluster.brokers, errors, strict=True) if error]


def _topics(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    reports = asyncio.run(check_topics(settings, cluster))
    if missing := [report.name for report in reports if report.shape is None]:
        raise missing_topics(missing, settings)
    for report in reports:
        for wrong, fix in report.warnings:
            yield Finding("topics", "warn", f"{report.name}: {wrong}", fix)
    if not any(report.warnings for report in reports):
        counts = (f"{report.name} {report.shape.partitions}" for report in reports if report.shape)
        yield Finding("topics", "ok", f"partitions: {', '.join(counts)}")


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is None:
        yield Finding("redis", "ok", "not set: the cache is in this process only")
        return
    import redis

    url = settings.redis_url.get_secret_value()
    # Only the place is shown: the URL may hold a password.
    parts = urlsplit(url)
    place = parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=REDIS_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as exc:
        detail = f"{place} does not answer ({exc}); the worker goes on without it"
        yield Finding("redis", "warn", detail, "start it, or set redis_url (LABELSTREAM_REDIS_URL)")
    else:
        yield Finding("redis", "ok", f"{place} answers")


def _bundle(settings: Settings) -> Iterator[Finding]:
    from stream.bundle import open_bundle
    from stream.classify.heads import check_servable

    for spec in dict.fromkeys(route.bundle for route in settings.effective_routes):
        bundle = open_bundle(spec, settings.bundle_store)
        check_servable(bundle.manifest)
        told = f"{bundle.manifest.task}, {len(bundle.manifest.labels)} labels"
        yield Finding(
            "bundle", "ok", f"{bundle.reference}: {told}, {len(bundle.manifest.files)} digests match"
        )


def _device(settings: Settings) -> Iterator[Finding]:
    from stream.bundle import open_bundle
    from stream.runtime import check_device, choose, open_runtimes, usable_devices

    check_device(settings.device)
    usable = f"usable here: {', '.join(usable_devices())}"
    for spec, wanted in dict.fromkeys((r.bundle, r.variant) for r in settings.effective_routes):
        try:
            bundle = open_bundle(spec, settings.bundle_store)
        except LabelstreamError:
            yield Finding("device", "ok", f"{usable}; what is chosen depends on the bundle")
            continue
        choice = choose(bundle.manifest, settings.device, wanted)
        # Opening the sessions is what shows a driver that is not there.
        runtimes = open_runtimes(bundle, choice, settings.sessions)
        sessions = f"{len(runtimes)} session{'s' if len(runtimes) > 1 else ''} on {runtimes[0].provider}"
        detail = f"{bundle.reference} runs as {choice.device} {choice.variant}, {sessions}: {choice.reason}"
        yield Finding("device", "ok", f"{detail}. {usable}")


def _codec(_settings: Settings) -> Iterator[Finding]:
    if load_codec().name == "compiled":
        yield Finding("codec", "ok", "the compiled codec reads and writes records")
    else:
        yield Finding(
            "codec",
            "warn",
            "the codec in Python reads and writes records, at more than twice the cost",
            "install a C compiler and Python's headers (apt-get install gcc python3-dev), and reinstall",
        )


def _web_port(settings: Settings) -> Iterator[Finding]:
    host, port = settings.web_host, settings.web_port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        detail = f"{host}:{port} cannot be used: {exc.strerror}; perhaps a worker runs already"
        yield Finding(
            "web port", "warn", detail, "set web_port (0 takes a free one), or end what listens there"
        )
    else:
        yield Finding("web port", "ok", f"{host}:{port} is free")


def _disk(settings: Settings) -> Iterator[Finding]:
    store = settings.bundle_store.absolute()
    there = next((folder for folder in (store, *store.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    if free < LOW_DISK_BYTES:
        yield Finding(
            "disk", "warn", f"{free / 2**20:.0f} MiB free at {there}", "make room, or move bundle_store"
        )
    else:
        yield Finding("disk", "ok", f"{free / 2**30:.1f} GiB free at {there}")
