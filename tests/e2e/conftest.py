"""Bundles with PyTorch weights, each built once for all tests of a session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.bundle import Bundle, open_bundle


@pytest.fixture(scope="session")
def given_back_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A bundle store, and a folder for the code of bundles that transformers imports."""
    folder = tmp_path_factory.mktemp("given-back")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder / "modules"))
        yield folder / "bundles"


@pytest.fixture(scope="session")
def bundle_of(given_back_store: Path) -> Callable[[str], Bundle]:
    """Return a function that returns the bundle of a kind in `tests.real.given_back`."""
    from tests.real.given_back import KINDS, build_given_back

    def build(kind: str) -> Bundle:
        name = kind.replace(" ", "-")
        if (given_back_store / name).exists():
            return open_bundle(name, given_back_store)
        return build_given_back(KINDS[kind], given_back_store, name)

    return build
