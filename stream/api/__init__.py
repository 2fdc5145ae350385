"""Classification in Python, without Kafka: `Classifier.open(bundle).classify(texts)`.

The rows take the path of the stream: the same checks, batcher, cache and head.
"""

from stream.api.classifier import Classifier, OpenOptions
from stream.api.results import Classification, ModelInfo, RowError, TextSpan
from stream.api.rows import Row
from stream.classify import TextInput
from stream.errors import BundleError, DeviceError, Reason, UsageError

__all__ = [
    "BundleError",
    "Classification",
    "Classifier",
    "DeviceError",
    "ModelInfo",
    "OpenOptions",
    "Reason",
    "Row",
    "RowError",
    "TextInput",
    "TextSpan",
    "UsageError",
]
