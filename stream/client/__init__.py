"""Clients of a worker: requests with replies over Kafka, and the consumption of label topics.

They need neither a bundle nor an inference library.
"""

from stream.client.consumer import LabelConsumer
from stream.client.errors import LabelTimeoutError, RejectedError
from stream.client.label_events import LabelEvent, Tombstone, UnreadableRecord
from stream.client.request import LabelClient
from stream.client.sync import SyncLabelClient
from stream.errors import BrokerError, LabelstreamError, Reason, UsageError
from stream.results import Classification, RowError, TextSpan

__all__ = [
    "BrokerError",
    "Classification",
    "LabelClient",
    "LabelConsumer",
    "LabelEvent",
    "LabelTimeoutError",
    "LabelstreamError",
    "Reason",
    "RejectedError",
    "RowError",
    "SyncLabelClient",
    "TextSpan",
    "Tombstone",
    "UnreadableRecord",
    "UsageError",
]
