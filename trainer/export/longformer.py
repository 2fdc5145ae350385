"""Longformer's export: sliding windows by gathering, and global attention without lists of places."""

import math
from typing import Any

import torch
from optimum.exporters.onnx.model_patcher import ModelPatcher
from optimum.utils.input_generators import DummyTextInputGenerator
from torch import nn
from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

# Not a multiple of any attention window, which are even: padding up to the window is traced then.
EXAMPLE_TOKENS = 15


def longformer_config(config: Any) -> Any:
    """optimum's export configuration of Longformer, made to hold for every length and for global attention.

    Its own traces with no token that attends globally, so that the graph never looks at the mask; without
    padding; and with strides and lists of places that hold for the shape of the example alone.

    Args:
        config: optimum's class for the model type.

    Returns:
        A subclass of it.
    """

    class LongformerConfig(config):  # type: ignore[misc] # optimum has no types
        DUMMY_INPUT_GENERATOR_CLASSES = (FirstTokenGlobal,)
        _MODEL_PATCHER = TraceableAttention

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            axes = {0: "batch_size", 1: "sequence_length"}
            # No token types: its tokenizers make none, and it knows only one.
            found = {"input_ids": axes, "attention_mask": axes}
            if self.task == "token-classification":
                # Taggers have their own way: that of transformers has no global token, ours always the first.
                return found
            return {**found, "global_attention_mask": axes}

    return LongformerConfig


class FirstTokenGlobal(DummyTextInputGenerator):  # type: ignore[misc] # optimum has no types
    """Example inputs whose first token attends globally, as the worker's do."""

    SUPPORTED_INPUT_NAMES = ("input_ids", "attention_mask", "global_attention_mask")

    def __init__(self, task: str, normalized_config: Any, **options: Any) -> None:
        super().__init__(task, normalized_config, **{**options, "sequence_length": EXAMPLE_TOKENS})

    def generate(self, input_name: str, **options: Any) -> Any:
        if input_name != "global_attention_mask":
            return super().generate(input_name, **options)
        mask = torch.zeros_like(super().generate("attention_mask", **options))
        mask[:, 0] = 1
        return mask


class TraceableAttention(ModelPatcher):  # type: ignore[misc] # optimum has no types
    """Puts `attend` in place of the self-attention for the time of an export."""

    def __enter__(self) -> Any:
        self._before = LongformerSelfAttention.forward, LongformerSelfAttention._chunk
        LongformerSelfAttention.forward = attend
        LongformerSelfAttention._chunk = staticmethod(_chunk)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        LongformerSelfAttention.forward, chunk = self._before
        LongformerSelfAttention._chunk = staticmethod(chunk)


def attend(
    self: Any,
    hidden_states: Any,
    attention_mask: Any = None,
    layer_head_mask: Any = None,  # noqa: ARG001 - the layer passes it
    is_index_masked: Any = None,
    is_index_global_attn: Any = None,
    is_global_attn: bool = False,
    output_attentions: bool = False,  # noqa: ARG001 - as above
) -> tuple[Any]:
    """Longformer's self-attention (Beltagy et al. 2020), in operations that hold for every length.

    A token attends to its window and to the global tokens; a global token attends to all, through projections
    of its own. Equal to `LongformerSelfAttention.forward`.

    Args:
        self: the layer; its weights are used.
        hidden_states: float32 [rows, tokens, width], tokens a multiple of the attention window.
        attention_mask: [rows, tokens]; 0 means local attention, above it global, below it none.
        layer_head_mask: not used.
        is_index_masked: bool [rows, tokens], padding.
        is_index_global_attn: bool [rows, tokens].
        is_global_attn: whether there is any global token; the graph keeps to it.
        output_attentions: not used.

    Returns:
        float32 [rows, tokens, width].
    """
    lowest = torch.finfo(hidden_states.dtype).min
    query = _heads(self, self.query(hidden_states)) / math.sqrt(self.head_dim)
    key, value = _heads(self, self.key(hidden_states)), _heads(self, self.value(hidden_states))
    near = self._sliding_chunks_query_key_matmul(query, key, self.one_sided_attn_window_size)
    closed = (attention_mask != 0)[:, :, None, None]
    barred = closed.type_as(query).masked_fill(closed, lowest)
    near = near + self._sliding_chunks_query_key_matmul(
        torch.ones_like(barred), barred, self.one_sided_attn_window_size
    )
    if not is_global_attn:
        chances = near.softmax(dim=-1).masked_fill(is_index_masked[:, :, None, None], 0.0)
        return (_windowed_sum(self, chances, value).flatten(2),)

    places, real = _global_places(is_index_global_attn)
    far = torch.einsum("blhd,bshd->blhs", query, _taken(key, places))
    far = far.masked_fill(~real[:, None, None, :], lowest)
    chances = torch.cat((far, near), dim=-1).softmax(dim=-1)
    chances = chances.masked_fill(is_index_masked[:, :, None, None], 0.0)
    to_global = chances[..., : places.size(1)]
    seen = _windowed_sum(self, chances[..., places.size(1) :], value)
    seen = (seen + torch.einsum("blhs,bshd->blhd", to_global, _taken(value, places))).flatten(2)

    ours = _seen_by_global(self, hidden_states, places, is_index_masked, lowest)
    index = places[:, :, None].expand(-1, -1, seen.size(2))
    kept = torch.where(real[:, :, None], ours, seen.gather(1, index))
    return (seen.scatter(1, index, kept),)


def _heads(self: Any, projected: Any) -> Any:
    """[rows, tokens, width] as [rows, tokens, heads, size]."""
    return projected.view(projected.size(0), projected.size(1), self.num_heads, self.head_dim)


def _global_places(is_global: Any) -> tuple[Any, Any]:
    """Where each row's global tokens are, [rows, most global tokens of a row], and which places are real."""
    most = is_global.long().sum(dim=1).max()
    places = is_global.long().argsort(dim=1, descending=True)[:, :most]
    return places, is_global.gather(1, places)


def _taken(heads: Any, places: Any) -> Any:
    """The vectors [rows, places, heads, size] of [rows, tokens, heads, size]."""
    index = places[:, :, None, None].expand(-1, -1, heads.size(2), heads.size(3))
    return heads.gather(1, index)


def _seen_by_global(self: Any, hidden: Any, places: Any, masked: Any, lowest: float) -> Any:
    """What the global tokens see, [rows, places, width]."""
    asking = hidden.gather(1, places[:, :, None].expand(-1, -1, hidden.size(2)))
    query = _heads(self, self.query_global(asking)) / math.sqrt(self.head_dim)
    key, value = _heads(self, self.key_global(hidden)), _heads(self, self.value_global(hidden))
    scores = torch.einsum("bshd,blhd->bhsl", query, key).masked_fill(masked[:, None, None, :], lowest)
    return torch.einsum("bhsl,blhd->bshd", scores.softmax(dim=-1), value).flatten(2)


def _windows(rows: Any, step: int, width: int, count: Any) -> Any:
    """Overlapping windows [rows, windows, width, size] of [rows, tokens, size], one every `step` tokens."""
    starts = torch.arange(count, device=rows.device) * step
    places = starts[:, None] + torch.arange(width, device=rows.device)
    gathered = rows.index_select(1, places.reshape(-1))
    return gathered.reshape(rows.size(0), -1, width, rows.size(2))


def _chunk(hidden_states: Any, window_overlap: int, _onnx_export: bool = False) -> Any:
    count = torch.div(hidden_states.size(1), window_overlap, rounding_mode="trunc") - 1
    return _windows(hidden_states, window_overlap, 2 * window_overlap, count)


def _windowed_sum(self: Any, chances: Any, value: Any) -> Any:
    """Values [rows, tokens, heads, size] weighted by chances [rows, tokens, heads, 2w + 1]."""
    rows, tokens, heads, size = value.size()
    overlap = self.one_sided_attn_window_size
    chunks = torch.div(tokens, overlap, rounding_mode="trunc")
    weights = chances.transpose(1, 2).reshape(rows * heads, chunks, overlap, 2 * overlap + 1)
    flat = value.transpose(1, 2).reshape(rows * heads, tokens, size)
    padded = nn.functional.pad(flat, (0, 0, overlap, overlap))
    windows = _windows(padded, overlap, 3 * overlap, chunks)
    summed = torch.einsum("bcwd,bcdh->bcwh", self._pad_and_diagonalize(weights), windows)
    return summed.view(rows, heads, tokens, size).transpose(1, 2)
