"""The configuration of a labelstream classifier, and the encoding of its metadata.

The trainer copies this file into bundles together with modeling_labelstream.py.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from transformers import PretrainedConfig

# The values that a labelstream worker writes into the input `metadata`.
MAX_DEVIATIONS = 1e4
MISSING_CATEGORY, UNSEEN_CATEGORY, FIRST_CATEGORY = 0, 1, 2

Pooling = Literal["mean", "first", "tokens"]


class LabelstreamConfig(PretrainedConfig):  # type: ignore[misc] # transformers has no types
    """The configuration of a classifier whose head or windows transformers does not have.

    Attributes:
        encoder: the configuration of the encoder, as its own config.json has it.
        pooling: the token vectors that the head reads; None for a classifier of transformers.
        head: `linear` or `mlp`.
        pooler: False for an encoder whose pooler was left out, as in taggers. No own head reads it.
        metadata: the metadata columns in the order of the bundle's manifest.
        windows: the windows of long texts, or None: `length` in tokens, `stride`, `pooling`, `most`, and the
            numbers of special tokens at the beginning (`prefix`) and the end (`suffix`) of a text.
        labelstream: the fields of the bundle's manifest that define the meaning of the logits.
    """

    model_type = "labelstream"

    def __init__(
        self,
        encoder: Mapping[str, Any] | None = None,
        pooling: Pooling | None = "first",
        head: str = "linear",
        pooler: bool = True,
        metadata: Sequence[Mapping[str, Any]] = (),
        windows: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.encoder = dict(encoder or {})
        self.pooling = pooling
        self.head = head
        self.pooler = pooler
        self.metadata = [dict(column) for column in metadata]
        self.windows = dict(windows) if windows else None
        super().__init__(**settings)


def encode_metadata(columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any] | None]) -> Any:
    """Return float32 [rows, graph columns], encoded as a labelstream worker encodes metadata.

    Args:
        columns: the member `metadata` of the configuration.
        rows: the values of each row by column name; a value is missing if it is absent, None or "".
    """
    encoded = [
        [number for column in columns for number in _encode_value(column, (row or {}).get(column["name"]))]
        for row in rows
    ]
    return torch.tensor(encoded, dtype=torch.float32)


def _encode_value(column: Mapping[str, Any], value: Any) -> list[float]:
    if column["kind"] == "numeric":
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            return [0.0, 1.0]
        if not math.isfinite(number):
            return [0.0, 1.0]
        deviations = (number - column["mean"]) / column["std"]
        return [max(-MAX_DEVIATIONS, min(deviations, MAX_DEVIATIONS)), 0.0]
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return [float(MISSING_CATEGORY)]
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer():
        value = f"{value:.0f}"
    values = column["values"]
    try:
        return [float(FIRST_CATEGORY + values.index(str(value)))]
    except (ValueError, RecursionError):
        return [float(UNSEEN_CATEGORY)]
