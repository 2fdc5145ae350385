"""Model outputs in a file, so that work that was interrupted does not repeat finished trainings."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from stream.output_files import write_file
from trainer.model.inference import ModelOutput

LENGTHS = ".lengths"


def save_outputs(file: Path, outputs: Mapping[str, ModelOutput]) -> None:
    """Write model outputs by name to one .npz file, which is complete or absent.

    Raises:
        UsageError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, output in outputs.items():
        if isinstance(output, list):
            arrays[name + LENGTHS] = np.array([len(row) for row in output], dtype=np.int64)
            output = np.concatenate(output) if output else np.zeros((0, 0), np.float32)
        arrays[name] = output
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type] # numpy's stub has a further keyword of type bool
    write_file(file, content.getvalue())


def load_outputs(file: Path) -> dict[str, ModelOutput] | None:
    """Read the outputs of `save_outputs`; return None if the file does not exist or is damaged."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    outputs: dict[str, ModelOutput] = {}
    for name, array in found.items():
        if name.endswith(LENGTHS):
            continue
        lengths = found.get(name + LENGTHS)
        outputs[name] = (
            array if lengths is None else np.split(array, np.cumsum(lengths)[:-1]) if len(lengths) else []
        )
    return outputs
