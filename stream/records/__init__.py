"""The record contract: decoding of events, encoding of label records and dead letters."""

from stream.codec import Headers, Outgoing, Record
from stream.records.dead_letters import dead_letter_headers
from stream.records.decode import Decoder
from stream.records.encode import LabelEncoder, pack_record, timestamps, tombstone_headers
from stream.records.events import DeadLetter, Decoded, Event, Source, Tombstone, id_stem
from stream.records.output_form import OutputForm, make_output_form

__all__ = [
    "DeadLetter",
    "Decoded",
    "Decoder",
    "Event",
    "Headers",
    "LabelEncoder",
    "Outgoing",
    "OutputForm",
    "Record",
    "Source",
    "Tombstone",
    "dead_letter_headers",
    "id_stem",
    "make_output_form",
    "pack_record",
    "timestamps",
    "tombstone_headers",
]
