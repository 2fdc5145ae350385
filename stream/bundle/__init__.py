"""The folder that trainer and worker share: a model, its tokenizer, its manifest and its proof."""

from stream.bundle.manifest import Manifest, Parity, Task, VariantEntry
from stream.bundle.store import Bundle, latest_version, new_staging, open_bundle, publish, resolve

__all__ = [
    "Bundle",
    "Manifest",
    "Parity",
    "Task",
    "VariantEntry",
    "latest_version",
    "new_staging",
    "open_bundle",
    "publish",
    "resolve",
]
