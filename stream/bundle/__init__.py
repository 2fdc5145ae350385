"""The folder that trainer and worker share: a model, its tokenizer, its manifest and its proof."""

from stream.bundle.manifest import Manifest, Parity, SpanRules, Task, VariantEntry, Windows
from stream.bundle.store import Bundle, new_staging, open_bundle, publish, read_bundle, resolve
from stream.bundle.versions import latest_version

__all__ = [
    "Bundle",
    "Manifest",
    "Parity",
    "SpanRules",
    "Task",
    "VariantEntry",
    "Windows",
    "latest_version",
    "new_staging",
    "open_bundle",
    "publish",
    "read_bundle",
    "resolve",
]
