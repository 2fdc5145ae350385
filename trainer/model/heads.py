"""Classification heads for models that the heads of transformers do not cover.

The heads of transformers read the first token through one linear layer. `TextClassifier` also supports mean
pooling, an MLP and metadata columns. Its source is `modeling_labelstream.py`, which is copied into bundles.
"""

import json
from pathlib import Path

from transformers.utils import cached_file

from trainer.model.configuration_labelstream import Pooling
from trainer.model.modeling_labelstream import MetadataEmbedding, TextClassifier, pool

__all__ = ["MetadataEmbedding", "Pooling", "TextClassifier", "has_mean_pooling", "pool"]


def has_mean_pooling(source: str, local: bool) -> bool:
    """Return whether the sentence-transformers configuration of a base model enables mean pooling."""
    found = cached_file(
        source,
        "1_Pooling/config.json",
        local_files_only=local,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return bool(found) and bool(json.loads(Path(found).read_text()).get("pooling_mode_mean_tokens"))
