"""Errors of transformers while it loads a model, as errors with a cause and a fix."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stream.errors import LabelstreamError, UsageError
from trainer.config import ModelLocation
from trainer.model.model_files import pickled_error

SENTENCEPIECE_MODULES = ("sentencepiece", "google.protobuf")


@contextlib.contextmanager
def loading(base: ModelLocation) -> Iterator[None]:
    """Load files of a model in this block.

    transformers and its parsers raise errors of many classes for a damaged file, so all are converted.

    Raises:
        UsageError: the block raises an error.
    """
    try:
        yield
    except LabelstreamError:
        raise
    except Exception as exc:
        raise not_loaded_error(base, exc) from exc


def not_loaded_error(location: ModelLocation, exc: Exception) -> UsageError:
    """Return the error for a model whose files transformers cannot load."""
    message = first_line(exc)
    if not location.local and "safetensors" in message:
        return pickled_error(location)
    return UsageError(
        f"the model {location.name} cannot be loaded",
        cause=message if isinstance(exc, OSError | ValueError) else f"{type(exc).__name__}: {message}",
        fix="correct the value in config.json, or write the folder again with save_pretrained"
        if location.local
        else "check the Hub id and the network connection, or pass a folder written by save_pretrained",
    )


def tokenizer_error(location: ModelLocation, exc: Exception) -> UsageError:
    """Return the error for a tokenizer that transformers cannot load."""
    if missing := _missing_converter(location):
        return UsageError(
            f"the tokenizer of {location.name} cannot be converted to a fast tokenizer",
            cause=f"it is a SentencePiece model, and the Python module {missing} is missing",
            fix="pip install sentencepiece protobuf, or write tokenizer.json with save_pretrained where they "
            "are installed",
        )
    return UsageError(
        f"the tokenizer of {location.name} cannot be loaded",
        cause=first_line(exc),
        fix="copy its tokenizer files from the original model, or write them again: "
        f"AutoTokenizer.from_pretrained(ORIGINAL).save_pretrained({location.source!r})"
        if location.local
        else "check the Hub id and the network connection, or pass a folder written by save_pretrained",
    )


def random_weights(loaded: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the names of the weights that `from_pretrained` initialised randomly.

    Args:
        loaded: the loading information of `from_pretrained`.

    Returns:
        The weights that the files lack, and those that have another shape in the files; both sorted.
    """
    mismatched = loaded["mismatched_keys"]
    # Some versions of transformers report a name, others a name and two shapes.
    names = [entry if isinstance(entry, str) else entry[0] for entry in mismatched]
    return sorted(loaded["missing_keys"]), sorted(names)


def first_line(exc: BaseException) -> str:
    """Return the first line of an error's message, or its class if it has none."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    # A line that ends with a colon announces the next one.
    shown = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return shown or type(exc).__name__


def _missing_converter(location: ModelLocation) -> str | None:
    """Return the missing module that reads SentencePiece models, if the tokenizer needs one."""
    folder = Path(location.source)
    if not location.local or (folder / "tokenizer.json").is_file() or not [*folder.glob("*.model")]:
        return None
    return next((name for name in SENTENCEPIECE_MODULES if not _is_installed(name)), None)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
