"""Longformer's export: windows that are gathered, not strided, and a first token that attends globally."""

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
    padding; and with strides over windows that hold for the length of the example alone.

    Args:
        config: optimum's class for the model type.

    Returns:
        A subclass of it.
    """

    class LongformerConfig(config):  # type: ignore[misc] # optimum has no types
        DUMMY_INPUT_GENERATOR_CLASSES = (FirstTokenGlobal,)
        _MODEL_PATCHER = GatheredWindows

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


class GatheredWindows(ModelPatcher):  # type: ignore[misc] # optimum has no types
    """Puts ways to cut windows that can be traced in the place of strides, for the time of an export."""

    def __enter__(self) -> Any:
        self._chunk = LongformerSelfAttention._chunk
        self._sum = LongformerSelfAttention._sliding_chunks_matmul_attn_probs_value
        LongformerSelfAttention._chunk = staticmethod(_chunk)
        LongformerSelfAttention._sliding_chunks_matmul_attn_probs_value = _sum_values
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        LongformerSelfAttention._chunk = staticmethod(self._chunk)
        LongformerSelfAttention._sliding_chunks_matmul_attn_probs_value = self._sum


def _windows(rows: Any, step: int, width: int, count: Any) -> Any:
    """Overlapping windows [rows, windows, width, size] of [rows, tokens, size], one every `step` tokens."""
    starts = torch.arange(count, device=rows.device) * step
    places = starts[:, None] + torch.arange(width, device=rows.device)
    gathered = rows.index_select(1, places.reshape(-1))
    return gathered.reshape(rows.size(0), -1, width, rows.size(2))


def _chunk(hidden_states: Any, window_overlap: int, _onnx_export: bool = False) -> Any:
    """Windows of 2w tokens, one every w, of [rows, tokens, size]."""
    count = torch.div(hidden_states.size(1), window_overlap, rounding_mode="trunc") - 1
    return _windows(hidden_states, window_overlap, 2 * window_overlap, count)


def _sum_values(self: Any, attn_probs: Any, value: Any, window_overlap: int) -> Any:
    """Values [rows, tokens, heads, size] weighted by [rows, tokens, heads, 2w + 1], a window around each."""
    rows, tokens, heads, size = value.size()
    chunks = torch.div(tokens, window_overlap, rounding_mode="trunc")
    weights = attn_probs.transpose(1, 2).reshape(rows * heads, chunks, window_overlap, 2 * window_overlap + 1)
    flat = value.transpose(1, 2).reshape(rows * heads, tokens, size)
    padded = nn.functional.pad(flat, (0, 0, window_overlap, window_overlap))
    windows = _windows(padded, window_overlap, 3 * window_overlap, chunks)
    summed = torch.einsum("bcwd,bcdh->bcwh", self._pad_and_diagonalize(weights), windows)
    return summed.view(rows, heads, tokens, size).transpose(1, 2)
