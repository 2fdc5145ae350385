"""The fixture that runs a test module twice: with the compiled codec and with the codec in Python."""

from collections.abc import Iterator

import pytest

from stream.codec import PYTHON_ONLY, load_codec
from tests.real.components import unavailable

NOT_BUILT = "stream.codec._records is not built: it needs a C compiler and Python's headers"


@pytest.fixture(scope="module", params=["compiled", "python"])
def record_path(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the codec that the module's tests use."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "python":
            patched.setenv(PYTHON_ONLY, "1")
        load_codec.cache_clear()
        if load_codec().name != request.param:
            unavailable(NOT_BUILT)
        yield request.param
    load_codec.cache_clear()
