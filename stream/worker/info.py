"""What /info tells of a worker: what it is, what it runs on, what it was told; nothing secret."""

import importlib.metadata
import os
import platform
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from stream import __version__
from stream.settings import Route, Settings
from stream.worker.route_model import Model

LIBRARIES = (
    "aiokafka",
    "faust-streaming",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "orjson",
    "redis",
    "tokenizers",
)


def worker_name() -> str:
    """A name that no other worker of the group has: the host's, and the process's number on it."""
    return f"{socket.gethostname()}-{os.getpid()}"


def library_versions() -> dict[str, str]:
    """Versions of what decides how a worker behaves, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def describe_route(route: Route, model: Model) -> dict[str, Any]:
    """A route, its topics, and what its bundle is and runs on."""
    manifest = model.bundle.manifest
    return {
        "name": route.name,
        "input_topic": route.input_topic,
        "output_topic": route.output_topic,
        "dead_topic": route.dead_topic,
        "bundle": model.bundle.reference,
        "bundle_name": manifest.name,
        "bundle_version": manifest.version,
        "digest": model.bundle.digest,
        "task": manifest.task,
        "labels": len(manifest.labels),
        "variant": model.variant,
        "device": model.device,
        "provider": model.provider,
    }


def describe(
    settings: Settings,
    models: Iterable[tuple[Route, Model]],
    assigned: Sequence[tuple[str, int]],
    started_at: str,
) -> dict[str, Any]:
    """All that /info tells.

    Args:
        settings: the worker's; secrets are masked.
        models: what is loaded so far, by route.
        assigned: partitions that it reads, (topic, number).
        started_at: RFC 3339.
    """
    partitions: dict[str, list[int]] = {}
    for topic, partition in assigned:
        partitions.setdefault(topic, []).append(partition)
    return {
        "version": __version__,
        "worker": worker_name(),
        "group": settings.group,
        "started_at": started_at,
        "versions": library_versions(),
        "routes": [describe_route(route, model) for route, model in models],
        "partitions": partitions,
        "settings": settings.public(),
    }
