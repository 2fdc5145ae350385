"""Tiny saved models that a test damages: copies of one classifier and one tagger with random weights."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest

from stream.errors import UsageError
from tests.real.architectures import save_architecture
from tests.real.tiny_bundle import save_tiny_base
from trainer.export.pretrained import load_pretrained
from trainer.model.base_location import resolve_base_model
from trainer.progress import silence_libraries

Copy = Callable[[], Path]


@pytest.fixture(scope="session")
def saved() -> Iterator[Path]:
    """A folder with the models `classifier` (six labels) and `tagger` (BIO tags)."""
    silence_libraries()
    with TemporaryDirectory() as folder:
        save_tiny_base(Path(folder) / "classifier")
        save_architecture("bert", Path(folder) / "tagger", token=True)
        yield Path(folder)


@pytest.fixture
def classifier(saved: Path, tmp_path: Path) -> Path:
    """A classifier that the test may damage."""
    return Path(shutil.copytree(saved / "classifier", tmp_path / "model"))


@pytest.fixture
def tagger(saved: Path, tmp_path: Path) -> Path:
    """A token classifier that the test may damage."""
    return Path(shutil.copytree(saved / "tagger", tmp_path / "model"))


def reconfigure(folder: Path, **members: Any) -> None:
    """Change config.json; a member with the value `...` is removed."""
    config = {**orjson.loads((folder / "config.json").read_bytes()), **members}
    kept = {name: value for name, value in config.items() if value is not ...}
    (folder / "config.json").write_bytes(orjson.dumps(kept))


def refusal(model: Path | str) -> UsageError:
    """Return the error of the export of a model, which has a cause and a fix of one line each."""
    with pytest.raises(UsageError) as refused:
        load_pretrained(resolve_base_model(str(model)))
    error = refused.value
    assert error.exit_code == 2
    for part in (error.message, error.cause, error.fix):
        assert part.strip()
        assert "\n" not in part
    return error
