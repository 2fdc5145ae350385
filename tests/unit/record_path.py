"""The record path is tested twice: with the compiled codec and without it."""

from collections.abc import Iterator

import pytest

from stream.classify.heads import single_label
from stream.codec import codec
from stream.kafka import batches, publisher
from stream.kafka.faust import unpack
from stream.records import decode, encode, events
from tests.real.parts import unavailable

USERS = (batches, decode, encode, events, single_label, publisher, unpack)
"""Modules that ask for the codec."""


@pytest.fixture(scope="module", params=["codec", "python"])
def record_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which of the two a module's tests go through."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "python":
            for user in USERS:
                patched.setattr(user, "codec", None)
        elif codec is None:
            unavailable("stream.codec._records is not built: it needs a C compiler and Python's headers")
        yield request.param
