"""The choice of a topic for each label event of a route with label topics, a review topic or drops."""

from collections.abc import Sequence

import numpy as np

from stream.bundle import Manifest
from stream.classify import Prediction
from stream.classify.decisions import NO_LABEL, make_decide
from stream.codec import MILLIONTHS
from stream.routes import Route

# Indexes from the end of the list of targets, behind those of the labels.
REVIEW, WITHOUT_LABEL = -2, NO_LABEL


class TopicChooser:
    """Chooses the topic of each prediction by its label and score."""

    def __init__(self, route: Route, manifest: Manifest) -> None:
        """
        Args:
            route: the route, with its label topics.
            manifest: the manifest of the route's bundle.
        """
        self._decide = make_decide(manifest)
        # Rounding removes the error of the product, which could exceed a score of the same size.
        self._review_below = round((route.review_below or 0.0) * MILLIONTHS, 3)
        topics = route.label_topics
        by_label = topics[: len(manifest.labels)] if route.has_template else topics * len(manifest.labels)
        without_label: str | None = topics[-1]
        if route.review_topic:
            without_label = route.review_topic
        elif route.unlabelled == "drop":
            without_label = None
        self._targets = [*by_label, route.review_topic, without_label]

    def choose(self, predictions: Sequence[Prediction]) -> list[str | None]:
        """Return the topic of each prediction's label event, None for an event that is dropped."""
        labels, scores = self._decide(predictions)
        if self._review_below:
            labels = np.where((scores < self._review_below) & (labels != WITHOUT_LABEL), REVIEW, labels)
        targets = self._targets
        return [targets[label] for label in labels.tolist()]
