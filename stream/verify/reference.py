"""The reference of a bundle: rows and the PyTorch logits of these rows, stored at export."""

import io

import numpy as np
import numpy.typing as npt
import orjson

from stream.bundle import Bundle
from stream.classify import TextInput
from stream.errors import BundleError, one_line
from stream.runtime import Logits

REFERENCE_TEXTS = "reference.jsonl"
REFERENCE_LOGITS = "reference.npz"


def read_reference(bundle: Bundle) -> tuple[list[TextInput], Logits]:
    """Read the reference rows and PyTorch's logits for them.

    Returns:
        The rows, and float32 [rows, labels]; for the task `token` float32 [tokens, labels], the tokens of all
        rows in sequence, special tokens included. `read_lengths` returns the number of tokens of each row.

    Raises:
        BundleError: the files are missing or inconsistent.
    """
    try:
        lines = bundle.read(REFERENCE_TEXTS).splitlines()
        logits = _read_array(bundle, "logits").astype(np.float32)
        rows = [
            TextInput(row["text"], row.get("text_pair"), row.get("metadata"))
            for row in map(orjson.loads, lines)
        ]
        if not all(isinstance(row.text, str) for row in rows):
            raise TypeError(f"{REFERENCE_TEXTS}: a text is not a string")  # noqa: TRY301
    except BundleError:
        raise
    except Exception as exc:
        raise _unreadable(bundle, exc) from exc
    lengths = read_lengths(bundle, len(rows))
    if len(lengths) != len(rows) or logits.shape != (lengths.sum(), len(bundle.manifest.labels)):
        raise BundleError(
            f"the reference of {bundle.path} is inconsistent",
            cause=f"{len(rows)} texts, {len(bundle.manifest.labels)} labels, logits of shape {logits.shape}",
            fix="export the bundle again",
        )
    return rows, logits


def read_lengths(bundle: Bundle, rows: int) -> npt.NDArray[np.int64]:
    """Read the number of logit rows of each reference row, int64 [rows]: its tokens for a token head, else 1.

    Raises:
        BundleError: the file is missing or has no lengths.
    """
    if bundle.manifest.head != "token":
        return np.ones(rows, dtype=np.int64)
    try:
        return _read_array(bundle, "lengths").astype(np.int64)
    except BundleError:
        raise
    except Exception as exc:
        raise _unreadable(bundle, exc) from exc


def _read_array(bundle: Bundle, name: str) -> npt.NDArray[np.generic]:
    with np.load(io.BytesIO(bundle.read(REFERENCE_LOGITS)), allow_pickle=False) as arrays:
        array: npt.NDArray[np.generic] = arrays[name]
        return array


def _unreadable(bundle: Bundle, exc: Exception) -> BundleError:
    return BundleError(
        f"the reference of {bundle.path} cannot be read", cause=one_line(exc), fix="export the bundle again"
    )
