"""The status of a worker that the HTTP endpoints report."""

import importlib.metadata
import os
import platform
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import time
from typing import Any

from stream import __version__
from stream.errors import BrokerError
from stream.kafka.faust.consumer import BatchConsumer
from stream.observe.metrics import Metrics
from stream.routes import Route
from stream.settings import Settings
from stream.web.health import (
    Check,
    Checks,
    check_broker,
    check_bundles,
    check_group,
    check_sessions,
    check_topics,
    passed,
)
from stream.web.page import RecentOutcomes
from stream.worker.faust_app import LabelstreamApp
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


class WorkerStatus:
    """The status of a worker, also while its parts are still starting.

    Attributes:
        recent: the last outcomes, for the status page.
        models: the loaded models with their routes.
        app: the Faust app, None until all models are loaded.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.recent = RecentOutcomes(show_texts=settings.web_show_texts)
        self.models: list[tuple[Route, Model]] = []
        self.app: LabelstreamApp | None = None
        self._group_waits_for = "the bundles are loaded first"
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        metrics.build.labels(__version__).set(1)
        metrics.ready.set_function(lambda: passed(self.ready()))
        metrics.last_progress.set(time())
        for route in settings.effective_routes:
            metrics.register_route(route.name)

    def live(self) -> Checks:
        """Check that the event loop and the inference sessions make progress."""
        longest_s = max((model.classifier.longest_inference_s for _, model in self.models), default=0.0)
        return {
            # This answer comes from the event loop itself.
            "loop": Check(True, "the event loop runs"),
            "model": check_sessions(longest_s, self.settings.stall_exit_s),
        }

    def ready(self) -> Checks:
        """Check that bundles, topics, consumer group and broker are ready."""
        bundles = check_bundles(len(self.models), len(self.settings.effective_routes))
        consumer = self._consumer
        if self.app is None or consumer is None:
            waiting = Check(False, f"not checked yet: {self._group_waits_for}")
            return {"bundles": bundles, "topics": waiting, "group": waiting, "broker": waiting}
        return {
            "bundles": bundles,
            "topics": check_topics(consumer.topic_problem),
            "group": check_group(consumer, self.app.should_stop),
            "broker": check_broker(self.settings.broker, consumer.probe),
        }

    def waiting_for(self) -> str | None:
        """Return the first failed check of readiness, None if the worker is ready."""
        failed = (f"the {name}: {check.found}" for name, check in self.ready().items() if not check.ok)
        return next(failed, None)

    def on_topics_missing(self, error: BrokerError) -> None:
        """Record that the broker or a topic is missing, and that the worker tries again."""
        self._group_waits_for = f"{error.message}, {error.cause}"
        self.metrics.retried("topics")

    def info(self) -> dict[str, Any]:
        """Return the answer of /info."""
        consumer = self._consumer
        return describe(self.settings, self.models, consumer.assigned if consumer else (), self._started_at)

    @property
    def _consumer(self) -> BatchConsumer | None:
        return self.app.batch_consumer if self.app is not None else None


def worker_name() -> str:
    """Return a name that is unique in the group: the host name and the process id."""
    return f"{socket.gethostname()}-{os.getpid()}"


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries that affect a worker's behaviour."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def describe_route(route: Route, model: Model) -> dict[str, Any]:
    """Return a description of a route: its topics, its bundle and the device of its model."""
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
        "variant_accepted_by_user": manifest.is_accepted_by_user(model.variant),
        "device": model.device,
        "provider": model.provider,
    }


def describe(
    settings: Settings,
    models: Iterable[tuple[Route, Model]],
    assigned: Sequence[tuple[str, int]],
    started_at: str,
) -> dict[str, Any]:
    """Return a description of a worker without secrets.

    Args:
        settings: the settings of the worker; secrets are masked.
        models: the loaded models with their routes.
        assigned: the assigned partitions (topic, number).
        started_at: the time of the start, in RFC 3339.
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
