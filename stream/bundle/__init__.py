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
    TOKENIZER_FILE,
    Bundle,
    file_digest,
    new_staging,
    open_bundle,
    publish,
    read_bundle,
    sign_bundle,
)
from stream.bundle.summary import (
    StoreEntry,
    compare_bundles,
    describe_bundle,
    entry_as_json,
    folder_size,
    read_store,
)
from stream.bundle.versions import latest_version, promote, roll_back

__all__ = [
    "TOKENIZER_FILE",
    "Bundle",
    "CategoricalColumn",
    "HeadKind",
    "Manifest",
    "MetadataColumn",
    "NumericColumn",
    "Parity",
    "SpanRules",
    "StoreEntry",
    "TargetScale",
    "Task",
    "VariantEntry",
    "Windows",
    "compare_bundles",
    "describe_bundle",
    "entry_as_json",
    "file_digest",
    "folder_size",
    "latest_version",
    "new_staging",
    "open_bundle",
    "promote",
    "publish",
    "read_bundle",
    "read_store",
    "roll_back",
    "sign_bundle",
]
