"""Classification heads for models that the heads of transformers do not cover.

The heads of transformers read the first token through one linear layer. These heads also support mean
pooling, an MLP and metadata columns.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import cached_file

from stream.bundle import CategoricalColumn, MetadataColumn
from stream.classify import FIRST_CATEGORY, UNSEEN_CATEGORY
from trainer.config import HeadName

DEFAULT_DROPOUT = 0.1
MAX_EMBEDDING_SIZE = 16
MAX_DEVIATIONS = 10.0
"""The clipping limit of numeric metadata in standard deviations; outliers could dominate the text."""

UNSEEN_SHARE = 0.05
"""The share of categorical values that training replaces by "unseen" to train the unseen embedding."""

Pooling = Literal["mean", "first", "tokens"]


class TextClassifier(nn.Module):  # type: ignore[misc] # torch is not followed
    """An encoder with pooling, optional metadata columns and a classification head.

    Attributes:
        config: the configuration of the encoder, with `id2label` in the order of the logits.
        encoder: a model that transformers' `AutoModel` loaded.
        classifier: the head.
    """

    def __init__(
        self,
        encoder: Any,
        *,
        pooling: Pooling = "first",
        classifier: HeadName = "linear",
        metadata: Sequence[MetadataColumn] = (),
    ) -> None:
        """Add a new head to an encoder. `encoder.config.num_labels` sets the number of logits.

        Args:
            encoder: a float32 model; the head reads its `last_hidden_state`.
            pooling: the token vectors that the head reads; see `pool`.
            classifier: one `linear` layer, or an `mlp` with GELU and one hidden layer as wide as the encoder.
            metadata: the metadata columns that are concatenated with the pooled text, or with each token
                vector for the pooling `tokens`. Their weights in the head start at zero (as in ReZero,
                Bachlechner et al. 2020), so with the same seed the model starts with the logits of a model
                without metadata.
        """
        super().__init__()
        self.config = encoder.config
        self.encoder = encoder
        dropout = getattr(encoder.config, "hidden_dropout_prob", DEFAULT_DROPOUT)
        self.dropout = nn.Dropout(dropout)
        self.classifier = _head(classifier, encoder.config.hidden_size, encoder.config.num_labels, dropout)
        self.metadata = MetadataEmbedding(metadata) if metadata else None
        if self.metadata is not None:
            _widen(self.classifier if classifier == "linear" else self.classifier[0], self.metadata.width)
        self._pooling: Pooling = pooling

    @property
    def device(self) -> Any:
        """The device that holds the weights."""
        return next(self.classifier.parameters()).device

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any,
        token_type_ids: Any = None,
        metadata: Any = None,
        global_attention_mask: Any = None,
    ) -> SequenceClassifierOutput:
        """Compute the logits of a batch.

        Args:
            input_ids: int64 [rows, tokens], like the attention mask and the token types.
            attention_mask: 0 for padding.
            token_type_ids: for encoders that have token types.
            metadata: float32 [rows, graph columns], for a model that reads metadata.
            global_attention_mask: for Longformer; by default the first token has global attention.

        Returns:
            An object with `logits`, float32 [rows, labels], or [rows, tokens, labels] for the pooling
            `tokens`.
        """
        optional = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        if self.config.model_type == "longformer":
            optional["global_attention_mask"] = (
                _first_token_mask(input_ids) if global_attention_mask is None else global_attention_mask
            )
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, **optional
        ).last_hidden_state
        pooled = self.dropout(pool(hidden, attention_mask, self._pooling))
        if self.metadata is not None:
            pooled = _concatenate(pooled, self.metadata(metadata).to(pooled.dtype))
        return SequenceClassifierOutput(logits=self.classifier(pooled))


class MetadataEmbedding(nn.Module):  # type: ignore[misc] # torch is not followed
    """A layer that turns the metadata columns of a row into one vector.

    The input is the output of `stream.classify.MetadataEncoder`. A numeric column contributes its
    two graph columns, clipped to `MAX_DEVIATIONS`. A categorical column is an index that the ONNX graph
    receives as float32; the layer casts it to int64 and looks it up in an embedding (as in Guo and Berkhahn
    2016, "Entity Embeddings of Categorical Variables") with about as many dimensions as the square root of
    the number of categories.

    Attributes:
        width: the size of the vector.
    """

    def __init__(self, columns: Sequence[MetadataColumn]) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList()
        self._numeric: list[int] = []
        self._categorical: list[int] = []
        at = 0
        for column in columns:
            if isinstance(column, CategoricalColumn):
                categories = FIRST_CATEGORY + len(column.values)
                table = nn.Embedding(categories, min(MAX_EMBEDDING_SIZE, 1 + math.isqrt(categories)))
                # Missing and unseen values contribute nothing until training has changed their embedding.
                nn.init.zeros_(table.weight.data[:FIRST_CATEGORY])
                self.embeddings.append(table)
                self._categorical.append(at)
            else:
                self._numeric += [at, at + 1]
            at += column.width
        # The buffer is part of a checkpoint, so that a resumed training replaces the same values.
        self.register_buffer("_draws", torch.zeros((), dtype=torch.int64))
        self.width = len(self._numeric) + sum(table.embedding_dim for table in self.embeddings)

    def forward(self, metadata: Any) -> Any:
        """Compute float [rows, width] from float32 [rows, graph columns]."""
        numbers = metadata[:, self._numeric].clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
        parts = [numbers] if self._numeric else []
        categories = metadata[:, self._categorical].to(torch.int64)
        if self.training:
            categories = self._with_random_unseen(categories)
        parts += [table(categories[:, at]) for at, table in enumerate(self.embeddings)]
        return torch.cat(parts, dim=-1)

    def _with_random_unseen(self, categories: Any) -> Any:
        """Replace a random share of int64 [rows, columns] by the index for unseen values."""
        # A separate generator keeps the dropout of the text the same with and without metadata.
        generator = torch.Generator().manual_seed(torch.initial_seed() + int(self._draws))
        self._draws += 1
        replaced = (torch.rand(categories.shape, generator=generator) < UNSEEN_SHARE).to(categories.device)
        unseen = torch.full_like(categories, int(UNSEEN_CATEGORY))
        return torch.where(replaced & (categories >= FIRST_CATEGORY), unseen, categories)


def pool(hidden: Any, attention_mask: Any, pooling: Pooling) -> Any:
    """Pool token vectors.

    Args:
        hidden: the last hidden state of the encoder, float [rows, tokens, size].
        attention_mask: int64 [rows, tokens], 0 for padding.
        pooling: `mean` of the tokens that are not padding, `first` token, or `tokens` for all tokens
            unchanged.

    Returns:
        float [rows, size], or [rows, tokens, size] for `tokens`.
    """
    if pooling == "tokens":
        return hidden
    if pooling == "first":
        return hidden[:, 0]
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


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


def _head(kind: HeadName, hidden: int, labels: int, dropout: float) -> Any:
    if kind == "linear":
        return nn.Linear(hidden, labels)
    return nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, labels))


def _widen(layer: Any, columns: int) -> None:
    """Add input columns with zero weights to a linear layer."""
    zeros = layer.weight.new_zeros(layer.out_features, columns)
    layer.weight = nn.Parameter(torch.cat([layer.weight.detach(), zeros], dim=1))
    layer.in_features += columns


def _concatenate(text: Any, metadata: Any) -> Any:
    """Append metadata [rows, width] to text [rows, hidden], or to each token of [rows, tokens, hidden]."""
    if text.dim() > metadata.dim():
        metadata = metadata.unsqueeze(1).expand(-1, text.size(1), -1)
    return torch.cat([text, metadata], dim=-1)


def _first_token_mask(input_ids: Any) -> Any:
    mask = torch.zeros_like(input_ids)
    mask[:, 0] = 1
    return mask
