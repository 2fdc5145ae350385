"""Classification heads of our own, for what the usual ones of transformers do not do.

Those look at the first token alone, through one linear layer, and know no metadata.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from stream.bundle.manifest import Head, MetadataColumn
from trainer.config import HeadName
from trainer.model.losses import make_loss
from trainer.model.metadata_head import MetadataEmbedding
from trainer.model.pooling import Pooling, pool

DEFAULT_DROPOUT = 0.1


class TextClassifier(nn.Module):  # type: ignore[misc] # torch is not followed
    """An encoder, pooling, metadata if there is any, and a head.

    Attributes:
        config: the encoder's, with id2label in the order of the logits.
        encoder: a model of transformers' AutoModel.
        classifier: the head.
    """

    def __init__(
        self,
        encoder: Any,
        head: Head = "single-label",
        *,
        pooling: Pooling = "first",
        layers: HeadName = "linear",
        metadata: Sequence[MetadataColumn] = (),
    ) -> None:
        """Put a new head on an encoder; its configuration says how many labels there are.

        Args:
            encoder: float32; its `last_hidden_state` is read.
            head: decides the loss of `forward`.
            pooling: what of the token vectors the head reads; `tokens` for token classification.
            layers: one `linear` layer, or an `mlp` with one hidden layer as wide as the encoder and GELU.
            metadata: columns that are joined with the pooled text, with `tokens` with each of its tokens. The
                head's weights for them begin at zero: with one seed the model begins as the one without
                metadata, and what it gives to them it has learnt (as in ReZero, Bachlechner et al. 2020).
        """
        super().__init__()
        self.config = encoder.config
        self.encoder = encoder
        dropout = getattr(encoder.config, "hidden_dropout_prob", DEFAULT_DROPOUT)
        self.dropout = nn.Dropout(dropout)
        self.classifier = _head(layers, encoder.config.hidden_size, encoder.config.num_labels, dropout)
        self.metadata = MetadataEmbedding(metadata) if metadata else None
        if self.metadata is not None:
            _widen(self.classifier if layers == "linear" else self.classifier[0], self.metadata.width)
        self._pooling: Pooling = pooling
        self._loss = make_loss(head)

    @property
    def device(self) -> Any:
        """Where the weights are."""
        return next(self.classifier.parameters()).device

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any,
        token_type_ids: Any = None,
        metadata: Any = None,
        labels: Any = None,
        global_attention_mask: Any = None,
    ) -> SequenceClassifierOutput:
        """Logits, and with labels their mean loss.

        Args:
            input_ids: int64 [rows, tokens], as are the attention mask and the token types.
            attention_mask: 0 at padding.
            token_type_ids: for encoders that have them.
            metadata: float32 [rows, graph columns], for a model that reads metadata.
            labels: see `trainer.model.losses.make_loss`.
            global_attention_mask: for Longformer kinds; by default the first token sees and is seen by all.

        Returns:
            `logits` float32 [rows, labels], with the pooling `tokens` [rows, tokens, labels]; `loss`.
        """
        more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        if self.config.model_type == "longformer":
            more["global_attention_mask"] = (
                _first_token(input_ids) if global_attention_mask is None else global_attention_mask
            )
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state
        pooled = self.dropout(pool(hidden, attention_mask, self._pooling))
        if self.metadata is not None:
            pooled = _joined(pooled, self.metadata(metadata).to(pooled.dtype))
        logits = self.classifier(pooled)
        if labels is None:
            return SequenceClassifierOutput(logits=logits)
        items = labels.ne(-100).sum().clamp(min=1)
        return SequenceClassifierOutput(loss=self._loss(logits, labels) / items, logits=logits)


def _head(layers: HeadName, hidden: int, labels: int, dropout: float) -> Any:
    if layers == "linear":
        return nn.Linear(hidden, labels)
    return nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, labels))


def _widen(layer: Any, more: int) -> None:
    """Let a linear layer read so many more inputs, with weights of zero."""
    zeros = layer.weight.new_zeros(layer.out_features, more)
    layer.weight = nn.Parameter(torch.cat([layer.weight.detach(), zeros], dim=1))
    layer.in_features += more


def _joined(text: Any, metadata: Any) -> Any:
    """A row's metadata [rows, width] beside its text [rows, hidden], or each token [rows, tokens, hidden]."""
    if text.dim() > metadata.dim():
        metadata = metadata.unsqueeze(1).expand(-1, text.size(1), -1)
    return torch.cat([text, metadata], dim=-1)


def _first_token(input_ids: Any) -> Any:
    mask = torch.zeros_like(input_ids)
    mask[:, 0] = 1
    return mask
