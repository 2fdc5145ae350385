"""The files of a bundle that a command reads."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from stream.bundle.files import DOCUMENTS
from stream.bundle.manifest import FILE_NAME, MAX_MANIFEST_BYTES, Manifest

TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_SUFFIX = ".safetensors"

Parts = Literal["worker", "all"]
"""`worker` leaves out the PyTorch weights, which a worker does not read."""


def required_files(manifest: Manifest) -> list[str]:
    """Return the files that every bundle has: the tokenizer and the graph of each variant."""
    return [TOKENIZER_FILE, *(entry.file for entry in manifest.variants.values())]


def files_of(manifest: Manifest, parts: Parts) -> dict[str, str]:
    """Return the digests of the files that a command reads, without the documents for people."""
    required = required_files(manifest)
    return {
        name: digest
        for name, digest in manifest.files.items()
        if name not in DOCUMENTS and (parts == "all" or name in required or not _is_weights(name))
    }


def read_downloaded_manifest(file: Path) -> Manifest | None:
    """Return a manifest, or None if it is missing or not valid; the reader of the bundle reports that."""
    try:
        if file.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        return Manifest.model_validate_json(file.read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None


def is_complete(folder: Path, parts: Parts) -> bool:
    """Return True if a folder has a valid manifest and the files that a command reads."""
    manifest = read_downloaded_manifest(folder / FILE_NAME)
    return manifest is not None and all((folder / name).is_file() for name in files_of(manifest, parts))


def _is_weights(name: str) -> bool:
    return "/" not in name and name.endswith(WEIGHTS_SUFFIX)
