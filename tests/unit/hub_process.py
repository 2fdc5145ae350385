"""Bundles of the Hub in processes of their own, with the Hub's real client against the stand-in."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.bad_bundles import relist

PROJECT = Path(__file__).parents[2]
SAVED = PROJECT / "tests/real/bundle_0_1_0"
WEIGHTS = "model.safetensors"

# Opens each bundle that the arguments name, and prints what it found or the error.
OPEN = """
import json, sys
from pathlib import Path
from stream.bundle import open_bundle
from stream.errors import LabelstreamError

weights, key, *specs = sys.argv[1:]
for spec in specs:
    try:
        found = open_bundle(spec, public_key=Path(key) if key else None, weights=weights == "all")
        result = {"path": str(found.path), "digest": found.digest, "origin": found.origin,
                  "files": dict(found.manifest.files)}
    except LabelstreamError as exc:
        result = {"code": exc.exit_code, "error": exc.message, "cause": exc.cause, "fix": exc.fix}
    print(json.dumps(result))
"""


def make_saved(folder: Path) -> Path:
    """Copy the stored bundle, and add small weights, which no test loads."""
    shutil.copytree(SAVED, folder)
    (folder / WEIGHTS).write_bytes(b"weights " * 2_000)
    relist(folder, WEIGHTS)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by path."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def open_all(
    environment: Mapping[str, str], *specs: str, weights: bool = True, key: Path | None = None
) -> list[dict[str, Any]]:
    """Open bundles in a new process; return the members of each bundle or of its error."""
    arguments = ["all" if weights else "worker", str(key or ""), *specs]
    done = subprocess.run(
        [sys.executable, "-c", OPEN, *arguments],
        env={**environment, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def labelstream(environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command of labelstream in a new process."""
    return subprocess.run(
        [sys.executable, "-m", "stream", *map(str, arguments)],
        env={**environment, "PYTHONPATH": str(PROJECT)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
