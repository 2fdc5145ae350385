"""What a bundle was made with."""

import contextlib
import subprocess
from importlib.metadata import PackageNotFoundError, version

from stream import __version__

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "optimum-onnx",
    "onnx",
    "onnxruntime",
    "nncf",
    "numpy",
)


def library_versions() -> dict[str, str]:
    """Versions of the installed libraries that a bundle depends on."""
    found = {"labelstream": __version__}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def git_commit() -> str | None:
    """The commit of the working folder; None outside a repository."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
