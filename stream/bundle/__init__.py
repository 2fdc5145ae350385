"""The folder that trainer and worker share: a model, its tokenizer, its manifest and its proof."""

from stream.bundle.manifest import Manifest, Parity, SpanRules, Task, VariantEntry, Windows
from stream.bundle.store import Bundle, latest_version, new_staging, open_bundle, publish, resolve

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
    "resolve",
]
