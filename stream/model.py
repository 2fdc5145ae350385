"""A route's model: its bundle, loaded on a device, behind a classifier."""

import asyncio
from dataclasses import dataclass

import structlog

from stream.bundle import Bundle, open_bundle
from stream.classify.cache import KeyMaker, LocalCache, PredictionCache, SharedCache
from stream.classify.classifier import Classifier
from stream.observe.metrics import Metrics
from stream.runtime import OnnxRuntime, choose_device, choose_variant
from stream.settings import Route, Settings

# Rows and padded tokens of one inference where the settings name none.
BATCH_ROWS = {"cpu": 64, "openvino": 64, "cuda": 512, "tensorrt": 512}
BATCH_TOKENS = {"cpu": 512, "openvino": 512, "cuda": 32_768, "tensorrt": 32_768}
SCORES_SHOWN = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Model:
    """A warm model."""

    bundle: Bundle
    variant: str
    device: str
    provider: str
    classifier: Classifier


async def load_model(route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics) -> Model:
    """Check the bundle, load it, warm it up.

    Raises:
        BundleError: missing, changed, or not servable.
        DeviceError: the device is not there, or does not answer.
    """
    bundle = await asyncio.to_thread(open_bundle, route.bundle, settings.bundle_store)
    device = choose_device(settings.device)
    variant = choose_variant(bundle.manifest, route.variant, device)
    runtime = await asyncio.to_thread(OnnxRuntime, bundle, variant, device)
    cache = PredictionCache(
        KeyMaker(bundle, variant),
        LocalCache(settings.cache_local_entries),
        shared,
        len(bundle.manifest.labels),
        metrics.cache_result,
    )
    classifier = Classifier(
        bundle,
        runtime,
        cache,
        metrics,
        max_rows=settings.max_batch_rows or BATCH_ROWS[device],
        max_tokens=settings.max_batch_tokens or BATCH_TOKENS[device],
    )
    await classifier.warm_up()
    metrics.bundle.labels(
        route.name, bundle.manifest.name, bundle.manifest.version, bundle.digest, variant, runtime.provider
    ).set(1)
    log.info(
        "model loaded",
        route=route.name,
        bundle=bundle.reference,
        digest=bundle.digest,
        variant=variant,
        device=device,
        asked_for={"device": settings.device, "variant": route.variant},
    )
    return Model(bundle, variant, device, runtime.provider, classifier)


def scores_shown(settings: Settings, model: Model) -> int:
    """How many labels a label event names in scores."""
    return settings.top_k or min(SCORES_SHOWN, len(model.bundle.manifest.labels))
