"""A training that continues from a bundle: its weights, and its head if the labels are equal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stream.bundle import MetadataColumn
from trainer.config import HeadName, ModelLocation
from trainer.export.bundle_source import InferenceConfig
from trainer.export.pretrained import load_pretrained
from trainer.learning_task import LearningTask
from trainer.model.heads import TextClassifier
from trainer.model.new_head import with_new_head
from trainer.model.saving import is_saved_here, load_config

SHOWN_LABELS = 3


@dataclass(frozen=True, slots=True)
class Continuation:
    """The classifier that a training continues from.

    Attributes:
        model: the classifier of one window, float32.
        settings: the settings of its bundle.
    """

    model: Any
    settings: InferenceConfig

    def new_head_cause(self, task: LearningTask, classifier: HeadName) -> str:
        """Return why the training needs a new head, or "" if it keeps the head of the bundle."""
        ours, theirs = set(task.labels), set(self.settings.labels)
        if task.head != ("single-label" if self.settings.task == "pair" else self.settings.task):
            return f"it classifies {self.settings.task}, this training {task.inference.task}"
        if ours != theirs:
            parts = [("new", ours - theirs), ("missing", theirs - ours)]
            named = [f"{name} {_listed(sorted(labels))}" for name, labels in parts if labels]
            return f"the labels differ: {'; '.join(named)}"
        if _columns(task.metadata) != _columns(self.settings.metadata or ()):
            return "the metadata columns differ"
        if classifier == "mlp" and not (isinstance(self.model, TextClassifier) and self.model.head == "mlp"):
            return "its head is linear"
        return ""

    def adapt(self, task: LearningTask) -> LearningTask:
        """Return the task with what the kept head was trained for: label order, scale and encoders."""
        inference, settings = task.inference, self.settings
        values = None
        if inference.values is not None:
            numbers = dict(zip(inference.labels, inference.values, strict=True))
            values = [numbers[label] for label in settings.labels]
        return replace(
            task,
            inference=replace(
                inference,
                labels=settings.labels,
                values=values,
                target=inference.target and settings.target,
                metadata=settings.metadata,
            ),
        )

    def classifier(self, task: LearningTask, head: HeadName, *, kept: bool) -> Any:
        """Return the model to train: the trained one, or its encoder with a new head."""
        if kept:
            return self.model
        return with_new_head(self.model, task.labels, head=task.head, classifier=head, metadata=task.metadata)


def open_continuation(base: ModelLocation) -> Continuation | None:
    """Load the classifier of a bundle, or return None for a base model that labelstream did not save.

    Raises:
        UsageError: the classifier cannot be loaded, or its settings are not valid.
    """
    if not is_saved_here(load_config(base)):
        return None
    found = load_pretrained(base)
    assert found.settings is not None, "the configuration holds settings"
    return Continuation(found.model, found.settings)


def _columns(columns: Sequence[MetadataColumn]) -> list[tuple[str, str]]:
    return [(column.name, column.kind) for column in columns]


def _listed(labels: Sequence[str]) -> str:
    more = len(labels) - SHOWN_LABELS
    return ", ".join(labels[:SHOWN_LABELS]) + (f" and {more} more" if more > 0 else "")
