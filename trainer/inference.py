"""PyTorch's own answer: the logits that every export is held against."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from stream.classify.planner import plan
from stream.runtime.base import Logits

BATCH_ROWS = 32
BATCH_TOKENS = 4096


def torch_logits(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    max_length: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits of many texts, float32 [texts, labels], in their order.

    Tokens come from the Hugging Face tokenizer, so a comparison with the worker's covers the tokens too.

    Args:
        model: a sequence classifier; it is put into eval mode.
        tokenizer: its fast tokenizer.
        texts: any number of texts.
        max_length: tokens after which a text is cut.
        progress: told how many rows were done.
    """
    model.eval()
    encoded = tokenizer(list(texts), truncation=True, max_length=max_length)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    found = np.zeros((len(texts), model.config.num_labels), dtype=np.float32)
    for batch in plan(lengths, max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
        rows = {name: [values[at] for at in batch] for name, values in encoded.items()}
        padded = tokenizer.pad(rows, padding="longest", return_tensors="pt").to(model.device)
        with torch.inference_mode():
            found[batch] = model(**padded).logits.float().cpu().numpy()
        progress(len(batch))
    return found
