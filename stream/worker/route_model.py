"""A route's model: its bundle, loaded on a device, behind a classifier."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from stream.bundle import Bundle, open_bundle
from stream.classify.cache import KeyMaker, LocalCache, PredictionCache, SharedCache
from stream.classify.classifier import Classifier, Tokenising
from stream.classify.heads import check_servable, make_head
from stream.classify.queue import Limits
from stream.classify.tokenise import Tokeniser
from stream.classify.windows import WindowPool
from stream.observe.metrics import Metrics
from stream.observe.stderr_capture import native_lines
from stream.runtime import Choice, Runtime, choose, give_way, open_runtimes, warm_shapes
from stream.settings import Route, Settings

# Rows and padded tokens of one inference where the settings name none.
BATCH_ROWS = {"cpu": 64, "openvino": 64, "cuda": 512, "tensorrt": 512}
BATCH_TOKENS = {"cpu": 512, "openvino": 512, "cuda": 32_768, "tensorrt": 32_768}
# The share of the time for draining that the work waiting for the model may take.
WINDOW_OF_DRAIN = 0.4

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Model:
    """A warm model."""

    bundle: Bundle
    variant: str
    device: str
    provider: str
    classifier: Classifier


class LoadModel(Protocol):
    """How a worker comes by a model."""

    async def __call__(
        self, route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics
    ) -> Model: ...


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A bundle's parts on a device, not warm yet.

    Attributes:
        choice: device and variant, and why these.
        runtimes: a session for each thread that owns one.
        limits: what an inference may hold there.
    """

    bundle: Bundle
    choice: Choice
    runtimes: Sequence[Runtime]
    tokeniser: Tokeniser
    limits: Limits
    classifier: Classifier


async def open_model(
    spec: str, variant: str, settings: Settings, shared: SharedCache | None, metrics: Metrics
) -> OpenModel:
    """Check a bundle and load it as the settings want it.

    Args:
        spec: a folder, NAME or NAME@VERSION.
        variant: a precision, or auto.
        settings: device, store, limits.
        shared: the shared cache tier, if any.
        metrics: told what happens.

    Raises:
        BundleError: missing, changed, or not servable.
        DeviceError: the device is not there.
    """
    bundle = await asyncio.to_thread(open_bundle, spec, settings.bundle_store)
    check_servable(bundle.manifest)
    choice = choose(bundle.manifest, settings.device, variant)
    with ThreadPoolExecutor(1, initializer=give_way) as opener:
        open_all = partial(open_runtimes, bundle, choice, settings.sessions)
        with native_lines():
            runtimes = await asyncio.get_running_loop().run_in_executor(opener, open_all)
    limits = Limits(
        settings.max_batch_rows or BATCH_ROWS[choice.device],
        settings.max_batch_tokens or BATCH_TOKENS[choice.device],
        runtimes[0].pad_multiple,
        padded_cost=runtimes[0].padded_cost,
        max_same_shape_batches=runtimes[0].max_same_shape_batches,
    )
    tokeniser = Tokeniser(bundle)
    classifier = make_classifier(
        bundle, choice.variant, runtimes, tokeniser, limits, settings, shared, metrics
    )
    return OpenModel(bundle, choice, runtimes, tokeniser, limits, classifier)


async def load_model(route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics) -> Model:
    """Check the bundle, load it, warm it up.

    Raises:
        BundleError: missing, changed, or not servable.
        DeviceError: the device is not there, or does not answer.
    """
    opened = await open_model(route.bundle, route.variant, settings, shared, metrics)
    bundle, choice, runtimes, limits = opened.bundle, opened.choice, opened.runtimes, opened.limits
    manifest = bundle.manifest
    planned = warm_shapes(limits.max_rows, limits.max_tokens, manifest.max_length, limits.width_multiple)
    # What is run last tells the pace, and those are the shapes of full batches.
    await opened.classifier.warm_up([*runtimes[0].kept_shapes, *planned])
    provider = runtimes[0].provider
    metrics.bundle.labels(
        route.name, manifest.name, manifest.version, bundle.digest, choice.variant, provider
    ).set(1)
    log.info(
        "model loaded",
        route=route.name,
        bundle=bundle.reference,
        digest=bundle.digest,
        variant=choice.variant,
        device=choice.device,
        reason=choice.reason,
        sessions=len(runtimes),
    )
    return Model(bundle, choice.variant, choice.device, provider, opened.classifier)


def make_classifier(
    bundle: Bundle,
    variant: str,
    runtimes: Sequence[Runtime],
    tokeniser: Tokenising,
    limits: Limits,
    settings: Settings,
    shared: SharedCache | None,
    metrics: Metrics,
) -> Classifier:
    """A bundle's runtimes behind cache and batcher, as the settings want them."""
    manifest = bundle.manifest
    head = make_head(manifest, settings.top_k)
    cache = PredictionCache(
        KeyMaker(bundle, variant),
        LocalCache(settings.cache_local_entries),
        shared,
        head,
        metrics.cache_result,
    )
    return Classifier(
        runtimes,
        tokeniser,
        head,
        cache,
        metrics,
        limits,
        # Events gather where they are read.
        linger_s=0.0,
        window_s=settings.drain_deadline_s * WINDOW_OF_DRAIN,
        pool=WindowPool(manifest.windows, manifest, head.predictions) if manifest.windows else None,
    )
