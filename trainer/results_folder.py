"""A results folder that is complete or absent: it is written beside its destination and moved at the end."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

from stream.bundle import Bundle
from stream.errors import UsageError
from stream.output_files import cannot_write, is_inside

METRICS_FILE = "metrics.json"
FIX = "name a folder that you may write to in --output"


def default_output(bundle: Bundle, root: Path = Path("results")) -> Path:
    """Return the results folder of a bundle: ROOT/NAME/VERSION."""
    return root / bundle.manifest.name / (bundle.manifest.version or "draft")


@contextlib.contextmanager
def results_folder(destination: Path, bundle: Path, *, fix: str = FIX) -> Iterator[Path]:
    """Yield an empty folder that takes the place of the destination at the end of the block.

    Earlier results are replaced. An error or an interruption leaves them unchanged.

    Args:
        destination: the results folder.
        bundle: the folder of the evaluated bundle, which never changes.
        fix: the fix of an error.

    Raises:
        UsageError: the destination cannot be written, is inside the bundle, or holds other files.
    """
    target = Path(os.path.realpath(destination))
    _check(destination, target, bundle, fix)
    staging = target.with_name(f".{target.name[:50]}.{token_hex(8)}.tmp")
    try:
        staging.mkdir(parents=True)
    except OSError as exc:
        raise cannot_write(destination, exc, fix) from None
    try:
        yield staging
        try:
            _replace(staging, target)
        except OSError as exc:
            raise cannot_write(destination, exc, fix) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check(destination: Path, target: Path, bundle: Path, fix: str) -> None:
    if target == Path(os.path.realpath(bundle)) or is_inside(target, bundle):
        raise UsageError(
            f"cannot write {destination}",
            cause="it is inside the bundle, and a version never changes",
            fix="name a folder outside of the bundle in --output",
        )
    try:
        holds_others = target.is_dir() and any(target.iterdir()) and not (target / METRICS_FILE).is_file()
    except OSError as exc:
        raise cannot_write(destination, exc, fix) from None
    if holds_others or (target.exists() and not target.is_dir()):
        raise UsageError(
            f"cannot write {destination}",
            cause="it is a file" if target.is_file() else "it holds other files than results",
            fix="name an empty or a new folder in --output",
        )


def _replace(staging: Path, target: Path) -> None:
    old = target.with_name(f".{target.name[:50]}.{token_hex(8)}.old")
    replaces = target.exists()
    if replaces:
        target.rename(old)
    try:
        staging.rename(target)
    except BaseException:
        if replaces:
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
