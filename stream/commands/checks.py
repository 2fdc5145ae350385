"""The checks of `labelstream doctor`; each reports a result instead of raising an error."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from stream.codec import load_codec
from stream.errors import BrokerError, DeviceError, LabelstreamError, UsageError, install_hint
from stream.kafka.connection import parse_servers, security_options
from stream.kafka.faust.topic_rights import denied_topics
from stream.kafka.group_check import check_group
from stream.kafka.permissions import topic_error
from stream.kafka.topics.check import check_topics
from stream.kafka.topics.cluster import Cluster, describe_cluster
from stream.kafka.topics.wait import missing_topics
from stream.resolved_routes import check_routing, resolve_routes
from stream.settings import Settings
from stream.wording import count_of

BROKER_TIMEOUT_S = 2.0
LOW_DISK_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check; `exit_code` applies only to a failure."""

    check: str
    status: Literal["ok", "warn", "skip", "FAIL"]
    detail: str
    fix: str = ""
    exit_code: int = 1


def run_checks(settings: Settings) -> list[CheckResult]:
    """Run every check, in the order in which a worker needs the components."""
    results = list(_guarded("settings", lambda: _settings(settings)))
    valid = all(result.status == "ok" for result in results)
    cluster: list[Cluster] = []
    if valid:
        results += _guarded("broker", lambda: _broker(settings, cluster))
    else:
        results.append(CheckResult("broker", "skip", "skipped: the settings are not valid"))
    if cluster:
        results += _guarded("topics", lambda: _topics(settings, cluster[0]))
        results += _guarded("group", lambda: _group(settings))
    else:
        skipped = "skipped: no broker answers"
        results += [CheckResult("topics", "skip", skipped), CheckResult("group", "skip", skipped)]
    checks = {
        "redis": _redis,
        "bundle": _bundle,
        "device": _device,
        "codec": _codec,
        "web port": _web_port,
        "disk": _disk,
    }
    for name, check in checks.items():
        results += _guarded(name, lambda check=check: check(settings))  # type: ignore[misc]
    return results


def _guarded(name: str, check: Callable[[], Iterator[CheckResult]]) -> Iterator[CheckResult]:
    try:
        yield from check()
    except LabelstreamError as exc:
        detail = f"{exc.message}: {exc.cause}" if exc.cause else exc.message
        yield CheckResult(name, "FAIL", detail, exc.fix, exc.exit_code)
    except ModuleNotFoundError as exc:
        fix = f"{install_hint('cpu')}, or '.[gpu]' on a machine with an NVIDIA GPU"
        detail = f"the Python module {exc.name} is missing"
        yield CheckResult(name, "FAIL", detail, fix, DeviceError.exit_code)
    except Exception as exc:  # noqa: BLE001 - a failed check must not prevent the next one
        yield CheckResult(name, "FAIL", f"{type(exc).__name__}: {exc}", "report this unexpected error")


def _settings(settings: Settings) -> Iterator[CheckResult]:
    parse_servers(settings.broker)
    security_options(settings)
    if settings.web_token_file is not None:
        try:
            settings.web_token_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(
                f"cannot read web_token_file {settings.web_token_file}",
                cause=getattr(exc, "strerror", None) or "it is not UTF-8",
                fix="set web_token_file to a readable UTF-8 file",
            ) from None
    routes = (
        f"{r.input_topic} → {r.output_topic}"
        + (f", review {r.review_topic}" if r.review_topic else "")
        + f", dead letters {r.dead_topic}"
        for r in settings.effective_routes
    )
    yield CheckResult("settings", "ok", "; ".join(routes))


def _broker(settings: Settings, answer: list[Cluster]) -> Iterator[CheckResult]:
    cluster = asyncio.run(describe_cluster(settings, BROKER_TIMEOUT_S))
    answer.append(cluster)
    unreachable = asyncio.run(_unreachable(settings, cluster))
    for address, error in unreachable:
        detail = f"{settings.broker} answers, but sends clients to {address}, which fails: {error.cause}"
        fix = "set advertised.listeners of the broker to an address that this machine can reach"
        yield CheckResult("broker", "FAIL", detail, fix, error.exit_code)
    if not unreachable:
        yield CheckResult("broker", "ok", f"{settings.broker} answers; brokers: {', '.join(cluster.brokers)}")


async def _unreachable(settings: Settings, cluster: Cluster) -> list[tuple[str, BrokerError]]:
    async def describe(address: str) -> BrokerError | None:
        try:
            await describe_cluster(settings.model_copy(update={"broker": address}), BROKER_TIMEOUT_S)
        except BrokerError as exc:
            return exc
        return None

    errors = await asyncio.gather(*(describe(address) for address in cluster.brokers))
    return [(address, error) for address, error in zip(cluster.brokers, errors, strict=True) if error]


def _topics(settings: Settings, cluster: Cluster) -> Iterator[CheckResult]:
    settings = resolve_routes(settings)
    if denied := asyncio.run(denied_topics(settings)):
        raise topic_error(settings, denied)
    reports = asyncio.run(check_topics(settings, cluster))
    if missing := [report.name for report in reports if report.shape is None]:
        raise missing_topics(missing, settings)
    for report in reports:
        for warning, fix in report.warnings:
            yield CheckResult("topics", "warn", f"{report.name}: {warning}", fix)
    if not any(report.warnings for report in reports):
        counts = (f"{report.name} {report.shape.partitions}" for report in reports if report.shape)
        yield CheckResult("topics", "ok", f"partitions: {', '.join(counts)}")


def _group(settings: Settings) -> Iterator[CheckResult]:
    count = asyncio.run(check_group(settings))
    members = "" if count is None else f", which has {count_of(count, 'member')}"
    yield CheckResult("group", "ok", f"a worker can join the group {settings.group}{members}")


def _redis(settings: Settings) -> Iterator[CheckResult]:
    if settings.redis_url is None:
        yield CheckResult("redis", "ok", "not configured: the worker uses its in-process cache only")
        return
    from stream.classify.redis_cache import probe_redis
    from stream.classify.signed_cache import read_secret

    if settings.cache_secret_file is not None:
        read_secret(settings.cache_secret_file)
    url = settings.redis_url.get_secret_value()
    # The URL may contain a password, so only the address is shown.
    parts = urlsplit(url)
    address = parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
    probe = asyncio.run(probe_redis(url))
    if probe.unreachable is not None:
        detail = f"{address} does not answer ({probe.unreachable.cause}); the worker runs without it"
        yield CheckResult("redis", "warn", detail, probe.unreachable.fix)
        return
    for operation, fault in probe.refused.items():
        detail = f"{address} answers, but {operation} fail: {fault.cause}; the worker runs without them"
        yield CheckResult("redis", "warn", detail, fault.fix)
    if not probe.refused:
        yield CheckResult("redis", "ok", f"{address} answers{', a Redis Cluster' if probe.cluster else ''}")


def _bundle(settings: Settings) -> Iterator[CheckResult]:
    from stream.bundle import open_bundle
    from stream.classify import check_servable

    for spec in dict.fromkeys(route.bundle for route in settings.effective_routes):
        bundle = open_bundle(
            spec, settings.bundle_store, public_key=settings.require_signature, weights=False
        )
        check_servable(bundle.manifest)
        for route in settings.effective_routes:
            if route.bundle == spec:
                check_routing(route, bundle.manifest)
        content = f"{bundle.manifest.task}, {count_of(len(bundle.manifest.labels), 'label')}"
        content += f", {bundle.origin}" if bundle.origin else ""
        yield CheckResult(
            "bundle", "ok", f"{bundle.reference}: {content}, {len(bundle.stamps)} digests match"
        )


def _device(settings: Settings) -> Iterator[CheckResult]:
    from stream.bundle import open_bundle
    from stream.runtime import check_device, choose, open_runtimes, usable_devices

    check_device(settings.device)
    available = f"available: {', '.join(usable_devices())}"
    for spec, wanted in dict.fromkeys((r.bundle, r.variant) for r in settings.effective_routes):
        try:
            bundle = open_bundle(
                spec, settings.bundle_store, public_key=settings.require_signature, weights=False
            )
        except LabelstreamError:
            yield CheckResult("device", "ok", f"{available}; the choice depends on the bundle")
            continue
        choice = choose(bundle.manifest, settings.device, wanted)
        # Only opening a session shows whether the driver works.
        runtimes = open_runtimes(bundle, choice, settings.sessions)
        sessions = f"{count_of(len(runtimes), 'session')} on {runtimes[0].provider}"
        detail = f"{bundle.reference} runs {choice.variant} on {choice.device}, {sessions}: {choice.reason}"
        yield CheckResult("device", "ok", f"{detail}; {available}")


def _codec(_settings: Settings) -> Iterator[CheckResult]:
    if load_codec().name == "compiled":
        yield CheckResult("codec", "ok", "the compiled codec is in use")
    else:
        yield CheckResult(
            "codec",
            "warn",
            "the Python codec is in use; it needs more than twice the CPU time",
            "install gcc and python3-dev, then repeat the installation in the clone",
        )


def _web_port(settings: Settings) -> Iterator[CheckResult]:
    host, port = settings.web_host, settings.web_port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        detail = f"{host}:{port} cannot be used: {exc.strerror}; another worker may be running"
        yield CheckResult(
            "web port",
            "warn",
            detail,
            "choose another web_port, or 0 for a free one",
        )
    else:
        yield CheckResult("web port", "ok", f"{host}:{port} is free")


def _disk(settings: Settings) -> Iterator[CheckResult]:
    store = settings.bundle_store.absolute()
    folder = next((path for path in (store, *store.parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    if free < LOW_DISK_BYTES:
        yield CheckResult(
            "disk",
            "warn",
            f"{free / 2**20:.0f} MiB free at {folder}",
            "free some space, or set bundle_store to a folder on a larger disk",
        )
    else:
        yield CheckResult("disk", "ok", f"{free / 2**30:.1f} GiB free at {folder}")
