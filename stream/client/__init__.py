"""Clients of a worker: requests with replies over Kafka, and the consumption of label topics.

They need neither a bundle nor an inference library.
"""

from stream.client.consumer import LabelConsumer
from stream.client.errors import LabelTimeoutError, RejectedError
from stream.client.label_events import Deletion, LabelEvent, UnreadableRecord
from stream.client.request import LabelClient
from stream.client.sync import SyncLabelClient
from stream.errors import BrokerError, Reason, UsageError
from stream.results import Classification, RowError, TextSpan

__all__ = [
    "BrokerError",
    "Classification",
    "Deletion",
    "LabelClient",
    "LabelConsumer",
    "LabelEvent",
    "LabelTimeoutError",
    "Reason",
    "RejectedError",
    "RowError",
    "SyncLabelClient",
    "TextSpan",
    "UnreadableRecord",
    "UsageError",
]
