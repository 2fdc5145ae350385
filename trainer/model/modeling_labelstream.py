"""The classifier of a labelstream bundle, for `from_pretrained(folder, trust_remote_code=True)`.

The trainer trains with the classes of this file and copies it into bundles together with
configuration_labelstream.py, so both import nothing but torch and transformers.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from .configuration_labelstream import (
    FIRST_CATEGORY,
    UNSEEN_CATEGORY,
    LabelstreamConfig,
    Pooling,
    encode_metadata,
)

DEFAULT_DROPOUT = 0.1
MAX_EMBEDDING_SIZE = 16
MAX_DEVIATIONS = 10.0
"""The clipping limit of numeric metadata in standard deviations; outliers could dominate the text."""

UNSEEN_SHARE = 0.05
"""The share of categorical values that training replaces by "unseen" to train the unseen embedding."""


class LabelstreamForSequenceClassification(PreTrainedModel):  # type: ignore[misc] # transformers has no types
    """A classifier of texts: the logits are those of the bundle, float32 [rows, labels].

    Long texts are split into windows if the bundle does so: pass all tokens of a text.
    """

    config_class = LabelstreamConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    tags_tokens = False

    def __init__(self, config: LabelstreamConfig) -> None:
        super().__init__(config)
        self.model = make_classifier(config, token=self.tags_tokens)
        self.post_init()

    def encode_metadata(self, rows: Sequence[Mapping[str, Any] | None]) -> Any:
        """Return the model's input `metadata`, float32 [rows, columns], from values by column name."""
        return encode_metadata(self.config.metadata, rows)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        metadata: Any = None,
        labels: Any = None,
    ) -> SequenceClassifierOutput:
        """Compute the logits of a batch, and the loss if labels are given.

        Args:
            input_ids: int64 [rows, tokens], like the attention mask and the token types.
            attention_mask: 0 for padding.
            token_type_ids: for encoders that have token types.
            metadata: the result of `encode_metadata`; by default all values are missing.
            labels: the targets, for training.
        """
        inputs = {
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids) if attention_mask is None else attention_mask,
        }
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if self.config.metadata:
            inputs["metadata"] = (
                metadata if metadata is not None else self.encode_metadata([{}] * len(input_ids))
            )
            inputs["metadata"] = inputs["metadata"].to(input_ids.device)
        logits = self._windows_logits(inputs) if self.config.windows else self.model(**inputs).logits
        loss = None if labels is None else self._loss(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _loss(self, logits: Any, labels: Any) -> Any:
        return self.loss_function(labels=labels, pooled_logits=logits, config=self.config)

    def _windows_logits(self, inputs: Mapping[str, Any]) -> Any:
        found = [TextWindows(mask, self.config.windows) for mask in inputs["attention_mask"]]
        owners = [row for row, windows in enumerate(found) for _ in windows.spans]
        logits = self.model(**self._window_inputs(inputs, found, owners)).logits
        rows = logits.split([len(windows.spans) for windows in found])
        if self.tags_tokens:
            tokens = inputs["input_ids"].shape[1]
            return torch.stack([windows.merge(of, tokens) for windows, of in zip(found, rows, strict=True)])
        if self.config.windows["pooling"] == "max":
            return torch.stack([of.amax(dim=0) for of in rows])
        return torch.stack([of.mean(dim=0) for of in rows])

    def _window_inputs(
        self, inputs: Mapping[str, Any], found: Sequence["TextWindows"], owners: Sequence[int]
    ) -> dict[str, Any]:
        """Return the inputs of all windows, padded on the right to the longest one."""
        positions = [index for windows in found for index in windows.positions()]
        index = nn.utils.rnn.pad_sequence(positions, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(at) for at in positions], batch_first=True)
        tokens = {
            name: value[owners].gather(1, index) * mask
            for name, value in inputs.items()
            if name in ("input_ids", "token_type_ids")
        }
        tokens["input_ids"] = tokens["input_ids"] + (1 - mask) * (self.config.pad_token_id or 0)
        metadata = {"metadata": inputs["metadata"][owners]} if "metadata" in inputs else {}
        return {**tokens, "attention_mask": mask, **metadata}


class LabelstreamForTokenClassification(LabelstreamForSequenceClassification):
    """A classifier of tokens: the logits are those of the bundle, float32 [rows, tokens, labels].

    In a text of several windows, each token has its logits from the window in which it has the most context.
    """

    tags_tokens = True

    def _loss(self, logits: Any, labels: Any) -> Any:
        return self.loss_function(logits=logits, labels=labels, config=self.config)


class TextWindows:
    """The overlapping windows of one text.

    Attributes:
        spans: the start and the end of each window among the text's own tokens.
    """

    def __init__(self, mask: Any, windows: Mapping[str, Any]) -> None:
        """
        Args:
            mask: int64 [tokens], 0 for padding.
            windows: the member `windows` of the configuration.
        """
        self._real = mask.nonzero().flatten()
        self._prefix, self._suffix = windows["prefix"], windows["suffix"]
        own = max(0, len(self._real) - self._prefix - self._suffix)
        width = windows["length"] - self._prefix - self._suffix
        self.spans = [(0, min(width, own))]
        while self.spans[-1][1] < own and len(self.spans) < windows["most"]:
            start = self.spans[-1][0] + width - windows["stride"]
            self.spans.append((start, min(start + width, own)))

    def positions(self) -> list[Any]:
        """Return the positions of each window's tokens in the text, special tokens included."""
        last = len(self._real) - self._suffix
        first, own, end = self._real[: self._prefix], self._real[self._prefix : last], self._real[last:]
        return [torch.cat([first, own[start:stop], end]) for start, stop in self.spans]

    def merge(self, logits: Any, tokens: int) -> Any:
        """Return [tokens, labels] from the logits of the windows, [windows, padded tokens, labels].

        Padding, and tokens after the last window, have logits of 0.
        """
        merged = logits.new_zeros(tokens, logits.shape[-1])
        best = torch.full((tokens,), -1, device=logits.device)
        final = len(self.spans) - 1
        for number, ((start, stop), at) in enumerate(zip(self.spans, self.positions(), strict=True)):
            size = stop - start
            inner = torch.arange(len(at), device=logits.device) - self._prefix
            # The beginning and the end of the text are not borders of a window.
            left = inner if number else torch.full_like(inner, size)
            right = size - 1 - inner if number < final else torch.full_like(inner, size)
            margin = torch.minimum(left, right)
            # Special tokens at the beginning belong to the first window, those at the end to the last one.
            margin = torch.where(inner < 0, 0 if number == 0 else -1, margin)
            margin = torch.where(inner >= size, 0 if number == final else -1, margin)
            better = margin > best[at]
            best[at[better]] = margin[better]
            merged[at[better]] = logits[number, : len(at)][better]
        return merged


def make_classifier(config: LabelstreamConfig, *, token: bool) -> Any:
    """Return the classifier of one window, with random weights."""
    encoder = AutoConfig.for_model(**config.encoder)
    encoder.id2label, encoder.label2id = config.id2label, config.label2id
    if config.pooling is None:
        auto_model = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
        return auto_model.from_config(encoder)
    own_encoder = AutoModel.from_config(encoder)
    if not config.pooler:
        own_encoder.pooler = None
    return TextClassifier(
        own_encoder,
        pooling=config.pooling,
        classifier=config.head,
        metadata=config.metadata,
    )


class TextClassifier(nn.Module):  # type: ignore[misc] # torch is not followed
    """An encoder with pooling, optional metadata columns and a classification head.

    Attributes:
        config: the configuration of the encoder, with `id2label` in the order of the logits.
        encoder: a model that transformers' `AutoModel` loaded.
        classifier: the head.
        head: the kind of the head, `linear` or `mlp`.
        pooling: the token vectors that the head reads; see `pool`.
        columns: the metadata columns that the model reads.
    """

    def __init__(
        self,
        encoder: Any,
        *,
        pooling: Pooling = "first",
        classifier: str = "linear",
        metadata: Sequence[Any] = (),
    ) -> None:
        """Add a new head to an encoder. `encoder.config.num_labels` sets the number of logits.

        Args:
            encoder: a float32 model; the head reads its `last_hidden_state`.
            pooling: the token vectors that the head reads; see `pool`.
            classifier: one `linear` layer, or an `mlp` with GELU and one hidden layer as wide as the encoder.
            metadata: the metadata columns, as in the bundle's manifest or as mappings of the same members.
                They are concatenated with the pooled text, or with each token
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
        self.columns = [_as_mapping(column) for column in metadata]
        self.metadata = MetadataEmbedding(self.columns) if metadata else None
        if self.metadata is not None:
            _widen(self.classifier if classifier == "linear" else self.classifier[0], self.metadata.width)
        self.pooling: Pooling = pooling
        self.head = classifier

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
        pooled = self.dropout(pool(hidden, attention_mask, self.pooling))
        if self.metadata is not None:
            pooled = _concatenate(pooled, self.metadata(metadata).to(pooled.dtype))
        return SequenceClassifierOutput(logits=self.classifier(pooled))


class MetadataEmbedding(nn.Module):  # type: ignore[misc] # torch is not followed
    """A layer that turns the metadata columns of a row into one vector.

    The input is the output of `encode_metadata`. A numeric column contributes its
    two graph columns, clipped to `MAX_DEVIATIONS`. A categorical column is an index that the ONNX graph
    receives as float32; the layer casts it to int64 and looks it up in an embedding (as in Guo and Berkhahn
    2016, "Entity Embeddings of Categorical Variables") with about as many dimensions as the square root of
    the number of categories.

    Attributes:
        width: the size of the vector.
    """

    def __init__(self, columns: Sequence[Any]) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList()
        self._numeric: list[int] = []
        self._categorical: list[int] = []
        at = 0
        for column in map(_as_mapping, columns):
            if column["kind"] == "categorical":
                categories = FIRST_CATEGORY + len(column["values"])
                table = nn.Embedding(categories, min(MAX_EMBEDDING_SIZE, 1 + math.isqrt(categories)))
                # Missing and unseen values contribute nothing until training has changed their embedding.
                nn.init.zeros_(table.weight.data[:FIRST_CATEGORY])
                self.embeddings.append(table)
                self._categorical.append(at)
                at += 1
            else:
                self._numeric += [at, at + 1]
                at += 2
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


def _head(kind: str, hidden: int, labels: int, dropout: float) -> Any:
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


def _as_mapping(column: Any) -> Mapping[str, Any]:
    """Return a metadata column of a manifest as the mapping that a configuration holds."""
    return column if isinstance(column, Mapping) else column.model_dump()
