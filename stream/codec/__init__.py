"""The bytes of records: one interface, a compiled implementation and one in Python (docs/adr/0011)."""

import os
import sys
from functools import cache

from stream.codec.base import (
    MILLIONTHS,
    PART_RECORDS,
    SCORE_BYTES,
    TRACEPARENT,
    TRACEPARENT_BYTES,
    Codec,
    EncodedPrediction,
    EncodedRecords,
    Headers,
    LabelForm,
    Outgoing,
    ReadRecord,
    Record,
    Scores,
    row_bytes,
)
from stream.codec.rfc3339 import COMMON_DATE_TIME, MAX_TIME_CHARS, Rfc3339, is_rfc3339

__all__ = [
    "COMMON_DATE_TIME",
    "MAX_TIME_CHARS",
    "MILLIONTHS",
    "PART_RECORDS",
    "PYTHON_ONLY",
    "SCORE_BYTES",
    "TRACEPARENT",
    "TRACEPARENT_BYTES",
    "Codec",
    "EncodedPrediction",
    "EncodedRecords",
    "Headers",
    "LabelForm",
    "Outgoing",
    "ReadRecord",
    "Record",
    "Rfc3339",
    "Scores",
    "is_rfc3339",
    "load_codec",
    "row_bytes",
]

PYTHON_ONLY = "LABELSTREAM_TEST_INTERPRETED"
"""The environment variable that makes tests run on the codec in Python."""


@cache
def load_codec() -> Codec:
    """Return the codec of this process: the compiled one, or the one in Python where that was not built."""
    # The compiled codec reads scores in the machine's byte order, and caches store them as little-endian.
    if sys.byteorder == "little" and not os.environ.get(PYTHON_ONLY):
        try:
            from stream.codec.compiled import CompiledCodec
        except ImportError:
            pass
        else:
            return CompiledCodec()
    from stream.codec.python import PythonCodec

    return PythonCodec()
