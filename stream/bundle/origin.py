"""The origin of a downloaded bundle: the reference with its exact revision, in a file of the folder."""

from pathlib import Path

from stream.output_files import write_file

# The name begins with a dot: the manifest does not list the file, and no loader reads it.
ORIGIN_FILE = ".origin"
MAX_ORIGIN_CHARS = 1_000


def read_origin(folder: Path) -> str:
    """Return the reference that a bundle was downloaded from; empty for any other bundle."""
    try:
        with (folder / ORIGIN_FILE).open("rb") as file:
            text = file.read(MAX_ORIGIN_CHARS).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return text if text.isprintable() else ""


def write_origin(folder: Path, reference: str) -> None:
    """Record the reference that a bundle was downloaded from.

    Raises:
        UsageError: the file cannot be written.
    """
    write_file(folder / ORIGIN_FILE, f"{reference}\n".encode())
