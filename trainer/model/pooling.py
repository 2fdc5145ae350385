"""From token vectors to what a head reads: their mean, the first one, or all of them."""

import json
from pathlib import Path
from typing import Any, Literal

from transformers.utils import cached_file

Pooling = Literal["mean", "first", "tokens"]


def pool(hidden: Any, attention_mask: Any, pooling: Pooling) -> Any:
    """Pool token vectors, float [rows, tokens, size].

    Args:
        hidden: the encoder's last hidden state.
        attention_mask: int64 [rows, tokens], 0 at padding.
        pooling: `mean` over the tokens that are not padding, the `first` token, or `tokens`, all as they are.

    Returns:
        float [rows, size], or for `tokens` [rows, tokens, size].
    """
    if pooling == "tokens":
        return hidden
    if pooling == "first":
        return hidden[:, 0]
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


def has_mean_pooling(source: str, local: bool) -> bool:
    """Whether a base model says, in sentence-transformers' own file, that its token vectors are averaged."""
    found = cached_file(
        source,
        "1_Pooling/config.json",
        local_files_only=local,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return bool(found) and bool(json.loads(Path(found).read_text()).get("pooling_mode_mean_tokens"))
