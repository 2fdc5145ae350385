"""The compiled part of the record path, where it could be built.

`codec` is the module `stream.codec._records`, or None: then everything that it does is done in Python, to
the same bytes, at more than twice the cost (docs/adr/0011). Building needs a C compiler and Python's headers.
"""

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.codec import _records as codec
else:
    codec: ModuleType | None = None
    # Scores are laid out in the machine's byte order, and kept as little-endian numbers.
    if sys.byteorder == "little" and not os.environ.get("LABELSTREAM_TEST_INTERPRETED"):
        try:
            from stream.codec import _records as codec
        except ImportError:
            codec = None

__all__ = ["codec"]
