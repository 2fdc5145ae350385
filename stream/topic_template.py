"""The names of label topics: a template such as `labels.{label}`, and the name of each label in it."""

import re
from collections.abc import Mapping, Sequence

from stream.errors import UsageError

LABEL = "{label}"
UNLABELLED = "unlabelled"
"""Takes the place of the label in the topic of events without a label."""
MAX_TOPIC_CHARS = 249
FIX = "choose another output_topic, or rename the labels and train again"

_FORBIDDEN = re.compile(r"[^a-zA-Z0-9._-]")


def is_template(output_topic: str) -> bool:
    """Return True if an output topic is a template; no topic has braces in its name."""
    return "{" in output_topic or "}" in output_topic


def check_template(template: str) -> None:
    """Check that a template has exactly one `{label}`, and otherwise the characters of a topic.

    Raises:
        ValueError: it has not.
    """
    before, found, after = template.partition(LABEL)
    rest = before + after
    if not found or is_template(rest):
        raise ValueError(
            f"{template!r} is not a topic template; it needs {LABEL} once, in single braces, and no other "
            "braces"
        )
    if forbidden := _FORBIDDEN.search(rest):
        raise ValueError(f"{template!r}: a topic cannot contain {forbidden[0]!r}")


def fill_template(template: str, label: str) -> str:
    """Return the topic of a label: each character of the label that a topic cannot contain becomes `-`."""
    return template.replace(LABEL, _FORBIDDEN.sub("-", label))


def metric_name(topic: str) -> str:
    """Return the form of a name in Kafka's metrics; a broker refuses two topics whose forms are equal."""
    return topic.replace(".", "_")


def name_label_topics(
    template: str, labels: Sequence[str], others: Mapping[str, str], *, unlabelled: bool
) -> tuple[str, ...]:
    """Return the topic of each label, in order, and after them the topic of events without a label.

    Args:
        template: the template of the topics.
        labels: the labels of the bundle.
        others: the further topics of the route, by the setting that names them.
        unlabelled: whether events without a label have a topic.

    Raises:
        UsageError: a name is invalid, or two topics cannot exist beside each other.
    """
    taken = {metric_name(name): f"{name}, the {setting}" for setting, name in others.items()}
    owners = [(label, f"the label {label!r}") for label in labels]
    if unlabelled:
        owners.append((UNLABELLED, "events without a label"))
    topics = []
    for word, owner in owners:
        topic = fill_template(template, word)
        if topic in (".", "..") or len(topic) > MAX_TOPIC_CHARS:
            raise UsageError(
                f"output_topic {template} gives {owner} an invalid topic",
                cause=f"{topic[: MAX_TOPIC_CHARS + 1]!r} is not a topic: a topic has 1 to {MAX_TOPIC_CHARS} "
                "characters, and is not . or ..",
                fix=FIX,
            )
        other = taken.get(metric_name(topic))
        if other is not None:
            raise UsageError(
                f"output_topic {template} gives {owner} a topic that is taken",
                cause=f"{owner} has the topic {topic}, which collides with {other}",
                fix=f"{FIX}; characters other than a-z, A-Z, 0-9, ., _ and - become -, and Kafka does not "
                "tell . and _ apart",
            )
        taken[metric_name(topic)] = f"{topic}, the topic of {owner}"
        topics.append(topic)
    return tuple(topics)
