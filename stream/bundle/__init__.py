"""Bundles: the folders that the trainer writes and the worker reads, with model, tokenizer and manifest.

These names are the public interface of the package.
"""

from stream.bundle.files import file_digest
from stream.bundle.hub_errors import import_hub
from stream.bundle.manifest import (
    CategoricalColumn,
    HeadKind,
    Manifest,
    MetadataColumn,
    NumericColumn,
    Parity,
    RealRows,
    SpanRules,
    TargetScale,
    Task,
    VariantEntry,
    Verdict,
    Windows,
)
from stream.bundle.mlflow_reference import import_mlflow
from stream.bundle.parts import TOKENIZER_FILE
from stream.bundle.publication import new_staging, publish
from stream.bundle.references import is_reference
from stream.bundle.store import Bundle, open_bundle, read_bundle, sign_bundle
from stream.bundle.summary import (
    StoreEntry,
    compare_bundles,
    describe_agreement,
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
    "RealRows",
    "SpanRules",
    "StoreEntry",
    "TargetScale",
    "Task",
    "VariantEntry",
    "Verdict",
    "Windows",
    "compare_bundles",
    "describe_agreement",
    "describe_bundle",
    "entry_as_json",
    "file_digest",
    "folder_size",
    "import_hub",
    "import_mlflow",
    "is_reference",
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
