"""References to bundles outside the store, such as hf://OWNER/NAME@REVISION, and their resolvers.

A resolver downloads a bundle into a cache and returns its folder, which is then verified like any other
bundle. A new scheme is one more entry of RESOLVERS.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Protocol

from stream.bundle.hub import download_from_hub
from stream.bundle.mlflow_reference import download_from_mlflow
from stream.bundle.parts import Parts
from stream.errors import BundleError

CACHE_VARIABLE = "LABELSTREAM_BUNDLE_CACHE"
SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:/", re.ASCII)


class Resolver(Protocol):
    """Downloads the bundle of a reference into a cache, unless the cache has it, and returns its folder."""

    def __call__(self, reference: str, cache: Path, parts: Parts) -> Path: ...


RESOLVERS: Mapping[str, Resolver] = {
    "hf://": download_from_hub,
    "models:/": download_from_mlflow,
    "runs:/": download_from_mlflow,
}
"""The resolver of each kind of reference, by the beginning of the reference."""


def is_reference(text: str) -> bool:
    """Return True if a text is a reference that a resolver downloads."""
    return text.startswith(tuple(RESOLVERS))


def resolve_reference(text: str, cache: Path, parts: Parts = "all") -> Path | None:
    """Return the folder of a downloaded bundle, or None if the text is no such reference.

    Args:
        text: a reference, a folder, NAME or NAME@VERSION.
        cache: the folder of downloaded bundles.
        parts: the files that the caller reads.

    Raises:
        BundleError: the bundle cannot be downloaded, or the text has a scheme without a resolver.
        UsageError: the reference is malformed, or the library that downloads it is not installed.
    """
    for prefix, resolver in RESOLVERS.items():
        if text.startswith(prefix):
            return resolver(text, cache, parts)
    if SCHEME.match(text) and not Path(text).exists():
        raise BundleError(
            f"{text[:200]!a} is not a bundle",
            cause=f"bundles are read from folders, the store and {', '.join(RESOLVERS)}",
            fix="for a repository of the Hub: hf://OWNER/NAME, or hf://OWNER/NAME@REVISION; for a model "
            "in MLflow: models:/NAME@ALIAS",
        )
    return None


def bundle_cache() -> Path:
    """Return the folder of downloaded bundles: LABELSTREAM_BUNDLE_CACHE, by default ~/.cache/labelstream."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "labelstream"
    try:
        return Path.home() / ".cache" / "labelstream"
    except RuntimeError:
        # A container may run as a user without a home folder.
        return Path(gettempdir()) / "labelstream"
