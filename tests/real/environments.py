"""New virtual environments, made by uv if it is on the PATH, because it is faster than pip."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path


def commands_of(folder: Path, requirements: list[str]) -> Iterator[list[str]]:
    """Yield the commands that create an environment in a folder and install requirements into it.

    Args:
        folder: the folder of the environment.
        requirements: arguments of `pip install`.
    """
    python = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        yield [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        yield [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *requirements]
    else:
        yield [sys.executable, "-m", "venv", str(folder)]
        yield [python, "-m", "pip", "install", "--quiet", *requirements]
