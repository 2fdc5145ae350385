"""Changes to a model during its ONNX export: eager attention, and Longformer's attention for any length.

torch.export cannot capture transformers' Longformer, whose control flow depends on the length of the input
and on the number of global tokens.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from transformers.models.longformer import modeling_longformer as longformer


@contextlib.contextmanager
def exportable(model: Any) -> Iterator[None]:
    """Change a classifier so that its graph is fast and fits every input, until the context ends.

    Eager attention has the logits of every other implementation for rows with at least one token. Fused
    attention would be exported with nodes for rows without tokens, which runtimes do not fuse.

    Args:
        model: a classifier of transformers, or an `nn.Module` with an encoder of transformers as `encoder`.
    """
    with contextlib.ExitStack() as stack:
        encoder = getattr(model, "encoder", model)
        implementation = encoder.config._attn_implementation
        encoder.set_attn_implementation("eager")
        stack.callback(encoder.set_attn_implementation, implementation)
        if model.config.model_type == "longformer":
            has_global_tokens = not isinstance(model, longformer.LongformerForTokenClassification)
            stack.enter_context(_replaced(longformer.LongformerModel, "_pad_to_window_size", pad_to_windows))
            stack.enter_context(
                _replaced(longformer.LongformerEncoder, "forward", _encode_with(has_global_tokens))
            )
            stack.enter_context(_replaced(longformer.LongformerSelfAttention, "forward", attend))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of a class until the context ends."""
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)


def pad_to_windows(
    self: Any,
    input_ids: Any,
    attention_mask: Any,
    token_type_ids: Any,
    position_ids: Any,
    inputs_embeds: Any,
    pad_token_id: int,
) -> tuple[Any, ...]:
    """Pad ids, mask and token types [rows, tokens] to a multiple of the window, without a branch."""
    windows = self.config.attention_window
    window = windows if isinstance(windows, int) else max(windows)
    length = input_ids.size(1)
    padding = (length + window - 1) // window * window - length
    input_ids = nn.functional.pad(input_ids, (0, padding), value=pad_token_id)
    attention_mask = nn.functional.pad(attention_mask, (0, padding), value=0)
    token_type_ids = nn.functional.pad(token_type_ids, (0, padding), value=0)
    return padding, input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds


def _encode_with(has_global_tokens: bool) -> Callable[..., Any]:
    """Return a replacement of `LongformerEncoder.forward` for inputs with or without global tokens."""

    def encode(self: Any, hidden: Any, attention_mask: Any, padding_len: Any = 0, **_options: Any) -> Any:
        for layer in self.layer:
            (hidden,) = layer(
                hidden,
                attention_mask=attention_mask,
                is_index_masked=attention_mask < 0,
                is_index_global_attn=attention_mask > 0,
                is_global_attn=has_global_tokens,
            )
        return longformer.LongformerBaseModelOutput(
            last_hidden_state=hidden.narrow(1, 0, hidden.size(1) - padding_len)
        )

    return encode


def attend(
    self: Any,
    hidden_states: Any,
    attention_mask: Any = None,
    is_index_masked: Any = None,
    is_index_global_attn: Any = None,
    is_global_attn: bool = False,
    output_attentions: bool = False,  # noqa: ARG001 - part of the replaced signature
) -> tuple[Any]:
    """Compute Longformer's self-attention (Beltagy et al. 2020) with operations that export for every length.

    A token attends to its window and to the global tokens; a global token attends to all tokens through
    separate projections. The result equals `LongformerSelfAttention.forward`. Queries are split into blocks
    of half a window; a block attends to itself and its two neighbours, and a mask cuts out the window.

    Args:
        self: the layer whose weights are used.
        hidden_states: float32 [rows, tokens, width]; the number of tokens is a multiple of the attention
            window.
        attention_mask: [rows, tokens]; 0 for local attention, positive for global, negative for none.
        is_index_masked: bool [rows, tokens], true for padding.
        is_index_global_attn: bool [rows, tokens], true for global tokens.
        is_global_attn: whether there are global tokens.
        output_attentions: not used.

    Returns:
        float32 [rows, tokens, width].
    """
    half = self.one_sided_attn_window_size
    lowest = torch.finfo(hidden_states.dtype).min
    query = _heads(self, self.query(hidden_states)) / math.sqrt(self.head_dim)
    key, value = _heads(self, self.key(hidden_states)), _heads(self, self.value(hidden_states))
    queries = _blocks(query, half)
    scores = torch.matmul(queries, _neighbours(_blocks(key, half)).transpose(-1, -2))
    scores = _mask_window(scores, attention_mask != 0, half, lowest)
    values = _neighbours(_blocks(value, half))
    if not is_global_attn:
        output = torch.matmul(scores.softmax(dim=-1), values)
        return (_merged(output, is_index_masked),)

    indices, used = _global_indices(is_index_global_attn)
    global_key, global_value = _pick(key, indices), _pick(value, indices)
    distant = torch.matmul(queries, global_key[:, :, None].transpose(-1, -2))
    distant = distant.masked_fill(~used[:, None, None, None, :], lowest)
    weights = torch.cat((scores, distant), dim=-1).softmax(dim=-1)
    local, to_global = weights[..., : 3 * half], weights[..., 3 * half :]
    output = torch.matmul(local, values) + torch.matmul(to_global, global_value[:, :, None])
    merged = _merged(output, is_index_masked)

    globally = _global_attention(self, hidden_states, indices, is_index_masked, lowest)
    index = indices[:, :, None].expand(-1, -1, merged.size(2))
    chosen = torch.where(used[:, :, None], globally, merged.gather(1, index))
    return (merged.scatter(1, index, chosen),)


def _heads(self: Any, projected: Any) -> Any:
    """Reshape [rows, tokens, width] to [rows, heads, tokens, size]."""
    return projected.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)


def _blocks(heads: Any, half: int) -> Any:
    """Split [rows, heads, tokens, size] into [rows, heads, blocks, half a window, size]."""
    return heads.unflatten(2, (heads.size(2) // half, half))


def _neighbours(blocks: Any) -> Any:
    """Return each block between its neighbours: [rows, heads, blocks, 3 halves, size]."""
    padded = nn.functional.pad(blocks, (0, 0, 0, 0, 1, 1))
    count = blocks.size(2)
    return torch.cat([padded[:, :, at : count + at] for at in range(3)], dim=3)


def _mask_window(scores: Any, not_local: Any, half: int, lowest: float) -> Any:
    """Mask the scores [rows, heads, blocks, half, 3 halves] of keys that a query does not attend to.

    Keys outside of the text or the window become -inf; padding and global tokens become the lowest number, as
    in transformers, so that a row without local tokens has no NaN.
    """
    distance = torch.arange(3 * half)[None, :] - torch.arange(half)[:, None]
    outside = (distance < 0) | (distance > 2 * half)
    blocks = not_local.unflatten(1, (not_local.size(1) // half, half)).to(scores.dtype)
    state = _neighbours(blocks[:, None, :, :, None] + 1)[..., 0]
    scores = scores.masked_fill((state > 1)[:, :, :, None, :], lowest)
    return scores.masked_fill((state < 1)[:, :, :, None, :] | outside, -math.inf)


def _merged(output: Any, masked: Any) -> Any:
    """Reshape [rows, heads, blocks, half, size] to [rows, tokens, width], with zeros for padding."""
    merged = output.flatten(2, 3).transpose(1, 2).flatten(2)
    return merged.masked_fill(masked[:, :, None], 0.0)


def _global_indices(is_global: Any) -> tuple[Any, Any]:
    """Return the indices of global tokens [rows, maximum per row], and a mask of the indices in use."""
    count = is_global.long().sum(dim=1).max().item()
    torch._check(count >= 1)
    torch._check(count <= is_global.size(1))
    order = is_global.long().argsort(dim=1, descending=True)
    indices = order[:, :count]
    return indices, is_global.gather(1, indices)


def _pick(heads: Any, indices: Any) -> Any:
    """Gather the vectors [rows, heads, indices, size] from [rows, heads, tokens, size]."""
    index = indices[:, None, :, None].expand(-1, heads.size(1), -1, heads.size(3))
    return heads.gather(2, index)


def _global_attention(self: Any, hidden: Any, indices: Any, masked: Any, lowest: float) -> Any:
    """Return the attention [rows, indices, width] of global tokens to all tokens."""
    picked = hidden.gather(1, indices[:, :, None].expand(-1, -1, hidden.size(2)))
    query = _heads(self, self.query_global(picked)) / math.sqrt(self.head_dim)
    key, value = _heads(self, self.key_global(hidden)), _heads(self, self.value_global(hidden))
    scores = torch.matmul(query, key.transpose(-1, -2)).masked_fill(masked[:, None, None, :], lowest)
    return torch.matmul(scores.softmax(dim=-1), value).transpose(1, 2).flatten(2)
