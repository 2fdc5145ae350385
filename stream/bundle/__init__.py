"""Bundles: the folders that the trainer writes and the worker reads, with model, tokenizer and manifest.

These names are the public interface of the package.
"""

from stream.bundle.manifest import (
    CategoricalColumn,
    HeadKind,
    Manifest,
    MetadataColumn,
    NumericColumn,
    Parity,
    SpanRules,
    TargetScale,
    Task,
    VariantEntry,
    Windows,
)
from stream.bundle.store import (
    Bundle,
    file_digest,
    new_staging,
    open_bundle,
    publish,
    read_bundle,
    resolve,
)
from stream.bundle.versions import latest_version

__all__ = [
    "Bundle",
    "CategoricalColumn",
    "HeadKind",
    "Manifest",
    "MetadataColumn",
    "NumericColumn",
    "Parity",
    "SpanRules",
    "TargetScale",
    "Task",
    "VariantEntry",
    "Windows",
    "file_digest",
    "latest_version",
    "new_staging",
    "open_bundle",
    "publish",
    "read_bundle",
    "resolve",
]
