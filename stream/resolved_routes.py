"""The output topics of routes whose bundle's labels determine them."""

from stream.bundle import Manifest, read_bundle
from stream.errors import UsageError
from stream.routes import Route
from stream.settings import Settings
from stream.topic_template import name_label_topics


def check_routing(route: Route, manifest: Manifest) -> None:
    """Check that a bundle predicts what the route chooses topics by.

    Raises:
        UsageError: it does not.
    """
    bundle = f"{manifest.name}@{manifest.version}"
    if manifest.head == "regression" and route.chooses_topics:
        raise UsageError(
            f"route {route.name}: {bundle} predicts a number, which is no label to choose a topic by",
            cause=f"the task of the bundle is {manifest.task}",
            fix="use an output_topic without {label}, no review_topic, and unlabelled = keep",
        )
    if manifest.head == "token" and route.has_template:
        raise UsageError(
            f"route {route.name}: {bundle} predicts spans, and a text can have spans of several types",
            cause=f"the task of the bundle is {manifest.task}, and output_topic is {route.output_topic}",
            fix="use an output_topic without {label}",
        )


def label_topics(route: Route, manifest: Manifest) -> tuple[str, ...]:
    """Return the label topics of a route with this bundle.

    Raises:
        UsageError: the bundle does not fit the route, or a topic's name is invalid or taken.
    """
    check_routing(route, manifest)
    if not route.has_template:
        return route.label_topics
    others = {"input_topic": route.input_topic, "dead_topic": route.dead_topic}
    if route.review_topic:
        others["review_topic"] = route.review_topic
    unlabelled = predicts_no_label(manifest) and not route.review_topic and route.unlabelled == "keep"
    return name_label_topics(route.output_topic, manifest.labels, others, unlabelled=unlabelled)


def predicts_no_label(manifest: Manifest) -> bool:
    """Return True if the bundle can leave an event without a label."""
    return manifest.head != "single-label" or manifest.abstain_below is not None


def resolve_routes(settings: Settings) -> Settings:
    """Return the settings with the label topics of every route; read the bundles of templates for this.

    Raises:
        BundleError: a bundle that is needed does not exist, or its manifest cannot be read.
        UsageError: a bundle does not fit its route, or a topic's name is invalid or taken.
    """
    return settings.with_label_topics(
        {
            route.name: label_topics(route, read_bundle(route.bundle, settings.bundle_store).manifest)
            for route in settings.effective_routes
            if route.has_template
        }
    )
