"""The record contract: bytes to events, predictions to label records."""

from stream.codec import Headers, Outgoing, Record
from stream.records.dead_letters import dead_letter
from stream.records.decode import Decoder
from stream.records.encode import LabelEncoder, tombstone
from stream.records.events import (
    DeadLetter,
    Decoded,
    Event,
    Source,
    Tombstone,
    event_id,
    outgoing,
    timestamps,
)

__all__ = [
    "DeadLetter",
    "Decoded",
    "Decoder",
    "Event",
    "Headers",
    "LabelEncoder",
    "Outgoing",
    "Record",
    "Source",
    "Tombstone",
    "dead_letter",
    "event_id",
    "outgoing",
    "timestamps",
    "tombstone",
]
