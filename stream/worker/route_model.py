"""The model of a route: a bundle, loaded on a device, behind a classifier."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from stream.bundle import Bundle, open_bundle
from stream.classify import (
    BatchLimits,
    BatchTokeniser,
    Classifier,
    KeyMaker,
    LocalCache,
    ModelParts,
    PredictionCache,
    SharedCache,
    Tokeniser,
    WindowPool,
    check_logits,
    check_servable,
    check_tokenizer,
    make_head,
)
from stream.observe.metrics import Metrics, ModelMetrics
from stream.observe.stderr_capture import captured_stderr
from stream.routes import Route
from stream.runtime import (
    Choice,
    CoreUse,
    Runtime,
    choose,
    lower_thread_priority,
    open_runtimes,
    warm_up_shapes,
)
from stream.settings import Settings
from stream.termination import in_daemon_thread

# The default limits of one inference, in rows and padded tokens.
BATCH_ROWS = {"cpu": 64, "openvino": 64, "cuda": 512, "tensorrt": 512}
BATCH_TOKENS = {"cpu": 512, "openvino": 512, "cuda": 32_768, "tensorrt": 32_768}
# The work that waits for the model may take this share of the time for a drain.
WINDOW_OF_DRAIN = 0.4

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Model:
    """A model after its warm-up.

    Attributes:
        bundle: the bundle of the model.
        variant: the precision of the weights.
        device: the device of the inference.
        provider: the execution provider of the runtime.
        classifier: the classifier over the model.
    """

    bundle: Bundle
    variant: str
    device: str
    provider: str
    classifier: Classifier


class LoadModel(Protocol):
    """Loads the model of a route. `load_model` is the default."""

    async def __call__(
        self, route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics
    ) -> Model: ...


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model before its warm-up.

    Attributes:
        bundle: the bundle of the model.
        choice: the device and the variant, with the reason for them.
        runtimes: the sessions, one for each inference thread.
        tokeniser: the tokenizer of the bundle.
        limits: the limits of one inference.
        classifier: the classifier over the model.
    """

    bundle: Bundle
    choice: Choice
    runtimes: Sequence[Runtime]
    tokeniser: Tokeniser
    limits: BatchLimits
    classifier: Classifier


async def open_model(
    spec: str,
    variant: str,
    settings: Settings,
    shared: SharedCache | None,
    metrics: ModelMetrics,
    use: CoreUse | None = None,
) -> OpenModel:
    """Check a bundle and load it on the device that the settings choose.

    Args:
        spec: the path of the bundle, its NAME or NAME@VERSION.
        variant: the precision of the weights, or `auto`.
        settings: the device, the bundle store and the limits.
        shared: the shared tier of the cache, None without one.
        metrics: the metrics of the process.
        use: how inferences on the CPU use the cores.

    Raises:
        BundleError: the bundle is missing, changed, or cannot be served.
        DeviceError: the device does not exist.
    """
    opening = partial(
        open_bundle, spec, settings.bundle_store, public_key=settings.require_signature, weights=False
    )
    # It may download for minutes, and a signal ends the worker meanwhile.
    bundle = await in_daemon_thread(opening)
    check_servable(bundle.manifest)
    await asyncio.to_thread(check_tokenizer, bundle)
    choice = choose(bundle.manifest, settings.device, variant)
    with ThreadPoolExecutor(1, initializer=lower_thread_priority) as opener:
        open_all = partial(open_runtimes, bundle, choice, settings.sessions, use)
        with captured_stderr():
            runtimes = await asyncio.get_running_loop().run_in_executor(opener, open_all)
    limits = BatchLimits(
        settings.max_batch_rows or BATCH_ROWS[choice.device],
        settings.max_batch_tokens or BATCH_TOKENS[choice.device],
        runtimes[0].pad_multiple,
        padded_cost=runtimes[0].padded_cost,
        max_same_shape_batches=runtimes[0].max_same_shape_batches,
    )
    tokeniser = Tokeniser(bundle)
    await asyncio.to_thread(check_logits, runtimes[0], tokeniser, bundle)
    classifier = make_classifier(
        bundle, choice.variant, runtimes, tokeniser, limits, settings, shared, metrics
    )
    return OpenModel(bundle, choice, runtimes, tokeniser, limits, classifier)


async def load_model(route: Route, settings: Settings, shared: SharedCache | None, metrics: Metrics) -> Model:
    """Check the bundle of a route, load it and warm it up.

    Raises:
        BundleError: the bundle is missing, changed, or cannot be served.
        DeviceError: the device does not exist or does not answer.
    """
    opened = await open_model(route.bundle, route.variant, settings, shared, metrics)
    await warm_up(opened, route.name, metrics)
    choice = opened.choice
    provider = opened.runtimes[0].provider
    return Model(opened.bundle, choice.variant, choice.device, provider, opened.classifier)


async def warm_up(opened: OpenModel, name: str, metrics: ModelMetrics) -> None:
    """Run a model once in every shape, then report it in the metrics and the log.

    Args:
        opened: the model.
        name: the name of its route, for the metrics and the log.
        metrics: the metrics of the process.

    Raises:
        DeviceError: the device does not answer.
    """
    bundle, choice, runtimes, limits = opened.bundle, opened.choice, opened.runtimes, opened.limits
    manifest = bundle.manifest
    planned = warm_up_shapes(limits.max_rows, limits.max_tokens, manifest.max_length, limits.width_multiple)
    # The shapes of full batches come last, because the last runs give the first estimate of the throughput.
    await opened.classifier.warm_up([*runtimes[0].bucket_shapes, *planned])
    metrics.bundle.labels(
        name, manifest.name, manifest.version, bundle.digest, choice.variant, runtimes[0].provider
    ).set(1)
    log.info(
        "model loaded",
        route=name,
        bundle=bundle.reference,
        digest=bundle.digest,
        **({"origin": bundle.origin} if bundle.origin else {}),
        variant=choice.variant,
        device=choice.device,
        reason=choice.reason,
        sessions=len(runtimes),
    )
    if manifest.is_accepted_by_user(choice.variant):
        log.warning(
            "the variant did not pass its parity check",
            route=name,
            variant=choice.variant,
            cause="the bundle was published with --accept-variant",
            fix="use --variant auto for a variant that passed",
        )


def make_classifier(
    bundle: Bundle,
    variant: str,
    runtimes: Sequence[Runtime],
    tokeniser: BatchTokeniser,
    limits: BatchLimits,
    settings: Settings,
    shared: SharedCache | None,
    metrics: ModelMetrics,
) -> Classifier:
    """Return a classifier over the runtimes of a bundle, with a cache and a batcher."""
    manifest = bundle.manifest
    head = make_head(manifest, settings.top_k)
    cache = PredictionCache(
        KeyMaker(bundle, variant),
        LocalCache(settings.cache_local_entries),
        shared,
        head,
        metrics.cache_result,
    )
    parts = ModelParts(runtimes, tokeniser, head, WindowPool(manifest, head) if manifest.windows else None)
    return Classifier(parts, cache, metrics, limits, settings.drain_deadline_s * WINDOW_OF_DRAIN)
