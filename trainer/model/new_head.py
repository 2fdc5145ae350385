"""A new head on the encoder of a classifier that is already trained."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from stream.bundle import HeadKind, MetadataColumn
from trainer.config import HeadName
from trainer.model.base_model import PROBLEM_TYPES
from trainer.model.heads import Pooling, TextClassifier
from trainer.model.layers import encoder_of
from trainer.model.saving import classifier_class


def with_new_head(
    model: Any,
    labels: list[str],
    *,
    head: HeadKind,
    classifier: HeadName = "linear",
    metadata: Sequence[MetadataColumn] = (),
) -> Any:
    """Return a classifier with the encoder of a trained one and a new head, in float32.

    The arguments are those of `trainer.model.base_model.load_classifier`. A model with mean pooling keeps it.
    """
    encoder = encoder_of(model)
    config = copy.deepcopy(encoder.config)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: at for at, label in enumerate(labels)}
    config.problem_type = PROBLEM_TYPES.get(head)
    mean_pooling = head != "token" and isinstance(model, TextClassifier) and model.pooling == "mean"
    if mean_pooling or metadata or classifier != "linear":
        pooling: Pooling = "tokens" if head == "token" else "mean" if mean_pooling else "first"
        encoder.config = config
        return TextClassifier(encoder, pooling=pooling, classifier=classifier, metadata=metadata)
    fresh = classifier_class(config, token=head == "token").from_config(config, dtype=torch.float32)
    # A tagger has no pooler: a new classifier of texts gets a new one, and a new tagger drops the old one.
    fresh.base_model.load_state_dict(encoder.state_dict(), strict=False)
    return fresh
