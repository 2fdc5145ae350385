"""The ONNX export of two architectures that optimum exports incorrectly: Longformer and DeBERTa.

optimum exports Longformer for one input length and without global attention, and DeBERTa with branches that
OpenVINO and NNCF do not support.
"""

import math
from typing import Any

import torch
from optimum.exporters.onnx.model_patcher import ModelPatcher, PatchingSpec
from optimum.utils.input_generators import DummyTextInputGenerator
from torch import nn
from transformers.models.deberta import modeling_deberta
from transformers.models.deberta_v2 import modeling_deberta_v2
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

DEBERTA_MODULES = {"deberta": modeling_deberta, "deberta-v2": modeling_deberta_v2}
"""The module of transformers for each model type of DeBERTa."""

# Attention windows are even, so an odd length makes the trace include the padding to a full window.
EXAMPLE_TOKENS = 15


def corrected_config(config: Any, model_type: str) -> Any:
    """Return optimum's export configuration, corrected if the architecture needs a correction.

    Args:
        config: optimum's configuration class for the model type.
        model_type: `model_type` of the model's config.json.

    Returns:
        `config`, or a subclass of it.
    """
    if model_type == "longformer":
        return longformer_config(config)
    if model_type in DEBERTA_MODULES:
        return deberta_config(config, DEBERTA_MODULES[model_type])
    return config


def deberta_config(config: Any, module: Any) -> Any:
    """Return optimum's export configuration of DeBERTa for equal numbers of queries and keys.

    Scripted functions of the model compare the number of keys with the number of queries, which leaves an
    `If` in the graph. In a classifier both numbers are always equal.

    Args:
        config: optimum's configuration class for the model type.
        module: the module of the model in transformers.

    Returns:
        A subclass of `config`.
    """

    class EqualLengthConfig(config):  # type: ignore[misc] # optimum has no types
        PATCHING_SPECS = _deberta_patches(module)

    return EqualLengthConfig


def _deberta_patches(module: Any) -> list[Any]:
    found = [PatchingSpec(module, "build_rpos", custom_op=_equal_length_positions)]
    if hasattr(module, "uneven_size_corrected"):
        found.append(PatchingSpec(module, "uneven_size_corrected", custom_op=_equal_length_scores))
    return found


def _equal_length_positions(_query: Any, _key: Any, relative_pos: Any, *_: Any) -> Any:
    return relative_pos


def _equal_length_scores(p2c_att: Any, *_: Any) -> Any:
    return p2c_att


def longformer_config(config: Any) -> Any:
    """Return optimum's export configuration of Longformer, corrected for any length and for global attention.

    optimum traces an example without global tokens, so that the graph ignores the global attention mask, and
    without padding. It also freezes strides and index lists to the shape of the example.

    Args:
        config: optimum's configuration class for the model type.

    Returns:
        A subclass of `config`.
    """

    class LongformerConfig(config):  # type: ignore[misc] # optimum has no types
        DUMMY_INPUT_GENERATOR_CLASSES = (GlobalAttentionGenerator,)
        _MODEL_PATCHER = AttentionPatcher

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            axes = {0: "batch_size", 1: "sequence_length"}
            # Longformer has a single token type, and its tokenizers produce no token types.
            found = {"input_ids": axes, "attention_mask": axes}
            if self.task == "token-classification":
                # No mask input: transformers has no global token here, a TextClassifier the first one.
                return found
            return {**found, "global_attention_mask": axes}

    return LongformerConfig


class GlobalAttentionGenerator(DummyTextInputGenerator):  # type: ignore[misc] # optimum has no types
    """A generator of example inputs whose first token has global attention, like the worker's inputs."""

    SUPPORTED_INPUT_NAMES = ("input_ids", "attention_mask", "global_attention_mask")

    def __init__(self, task: str, normalized_config: Any, **options: Any) -> None:
        super().__init__(task, normalized_config, **{**options, "sequence_length": EXAMPLE_TOKENS})

    def generate(self, input_name: str, **options: Any) -> Any:
        if input_name != "global_attention_mask":
            return super().generate(input_name, **options)
        mask = torch.zeros_like(super().generate("attention_mask", **options))
        mask[:, 0] = 1
        return mask


class AttentionPatcher(ModelPatcher):  # type: ignore[misc] # optimum has no types
    """A patcher that replaces the self-attention by `attend` during an export."""

    def __enter__(self) -> Any:
        self._original = LongformerSelfAttention.forward, LongformerSelfAttention._chunk
        LongformerSelfAttention.forward = attend
        LongformerSelfAttention._chunk = staticmethod(_chunk)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        LongformerSelfAttention.forward, chunk = self._original
        LongformerSelfAttention._chunk = staticmethod(chunk)


def attend(
    self: Any,
    hidden_states: Any,
    attention_mask: Any = None,
    layer_head_mask: Any = None,  # noqa: ARG001 - part of the replaced signature
    is_index_masked: Any = None,
    is_index_global_attn: Any = None,
    is_global_attn: bool = False,
    output_attentions: bool = False,  # noqa: ARG001 - part of the replaced signature
) -> tuple[Any]:
    """Compute Longformer's self-attention (Beltagy et al. 2020) with operations that export for every length.

    A token attends to its window and to the global tokens; a global token attends to all tokens through
    separate projections. The result equals `LongformerSelfAttention.forward`.

    Args:
        self: the layer whose weights are used.
        hidden_states: float32 [rows, tokens, width]; the number of tokens is a multiple of the attention
            window.
        attention_mask: [rows, tokens]; 0 for local attention, positive for global, negative for none.
        layer_head_mask: not used.
        is_index_masked: bool [rows, tokens], true for padding.
        is_index_global_attn: bool [rows, tokens], true for global tokens.
        is_global_attn: whether there is any global token; the trace makes this a constant of the graph.
        output_attentions: not used.

    Returns:
        float32 [rows, tokens, width].
    """
    lowest = torch.finfo(hidden_states.dtype).min
    query = _heads(self, self.query(hidden_states)) / math.sqrt(self.head_dim)
    key, value = _heads(self, self.key(hidden_states)), _heads(self, self.value(hidden_states))
    local = self._sliding_chunks_query_key_matmul(query, key, self.one_sided_attn_window_size)
    not_local = (attention_mask != 0)[:, :, None, None]
    mask = not_local.type_as(query).masked_fill(not_local, lowest)
    local = local + self._sliding_chunks_query_key_matmul(
        torch.ones_like(mask), mask, self.one_sided_attn_window_size
    )
    if not is_global_attn:
        weights = local.softmax(dim=-1).masked_fill(is_index_masked[:, :, None, None], 0.0)
        return (_windowed_sum(self, weights, value).flatten(2),)

    indices, real = _global_indices(is_index_global_attn)
    distant = torch.einsum("blhd,bshd->blhs", query, _gather(key, indices))
    distant = distant.masked_fill(~real[:, None, None, :], lowest)
    weights = torch.cat((distant, local), dim=-1).softmax(dim=-1)
    weights = weights.masked_fill(is_index_masked[:, :, None, None], 0.0)
    to_global = weights[..., : indices.size(1)]
    output = _windowed_sum(self, weights[..., indices.size(1) :], value)
    output = (output + torch.einsum("blhs,bshd->blhd", to_global, _gather(value, indices))).flatten(2)

    globally = _global_attention(self, hidden_states, indices, is_index_masked, lowest)
    index = indices[:, :, None].expand(-1, -1, output.size(2))
    merged = torch.where(real[:, :, None], globally, output.gather(1, index))
    return (output.scatter(1, index, merged),)


def _heads(self: Any, projected: Any) -> Any:
    """Reshape [rows, tokens, width] to [rows, tokens, heads, size]."""
    return projected.view(projected.size(0), projected.size(1), self.num_heads, self.head_dim)


def _global_indices(is_global: Any) -> tuple[Any, Any]:
    """Return the indices of global tokens [rows, maximum per row], and a mask of the indices in use."""
    maximum = is_global.long().sum(dim=1).max()
    indices = is_global.long().argsort(dim=1, descending=True)[:, :maximum]
    return indices, is_global.gather(1, indices)


def _gather(heads: Any, indices: Any) -> Any:
    """Gather the vectors [rows, indices, heads, size] from [rows, tokens, heads, size]."""
    index = indices[:, :, None, None].expand(-1, -1, heads.size(2), heads.size(3))
    return heads.gather(1, index)


def _global_attention(self: Any, hidden: Any, indices: Any, masked: Any, lowest: float) -> Any:
    """Return the attention output of the global tokens, [rows, indices, width]."""
    global_hidden = hidden.gather(1, indices[:, :, None].expand(-1, -1, hidden.size(2)))
    query = _heads(self, self.query_global(global_hidden)) / math.sqrt(self.head_dim)
    key, value = _heads(self, self.key_global(hidden)), _heads(self, self.value_global(hidden))
    scores = torch.einsum("bshd,blhd->bhsl", query, key).masked_fill(masked[:, None, None, :], lowest)
    return torch.einsum("bhsl,blhd->bshd", scores.softmax(dim=-1), value).flatten(2)


def _windows(rows: Any, step: int, width: int, count: Any) -> Any:
    """Gather windows [rows, windows, width, size] from [rows, tokens, size], one every `step` tokens."""
    starts = torch.arange(count, device=rows.device) * step
    indices = starts[:, None] + torch.arange(width, device=rows.device)
    gathered = rows.index_select(1, indices.reshape(-1))
    return gathered.reshape(rows.size(0), -1, width, rows.size(2))


def _chunk(hidden_states: Any, window_overlap: int, _onnx_export: bool = False) -> Any:
    count = torch.div(hidden_states.size(1), window_overlap, rounding_mode="trunc") - 1
    return _windows(hidden_states, window_overlap, 2 * window_overlap, count)


def _windowed_sum(self: Any, weights: Any, value: Any) -> Any:
    """Return the sum of values [rows, tokens, heads, size] with weights [rows, tokens, heads, 2w + 1]."""
    rows, tokens, heads, size = value.size()
    overlap = self.one_sided_attn_window_size
    chunks = torch.div(tokens, overlap, rounding_mode="trunc")
    weights = weights.transpose(1, 2).reshape(rows * heads, chunks, overlap, 2 * overlap + 1)
    flat = value.transpose(1, 2).reshape(rows * heads, tokens, size)
    padded = nn.functional.pad(flat, (0, 0, overlap, overlap))
    windows = _windows(padded, overlap, 3 * overlap, chunks)
    summed = torch.einsum("bcwd,bcdh->bcwh", self._pad_and_diagonalize(weights), windows)
    return summed.view(rows, heads, tokens, size).transpose(1, 2)
