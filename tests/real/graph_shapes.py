"""The comparison of an exported graph with its PyTorch model, for many numbers of rows and tokens."""

from pathlib import Path
from typing import Any

import numpy as np

SHAPES = [(1, 1), (1, 2), (2, 1), (3, 5), (2, 15), (8, 16), (4, 17), (1, 64), (8, 64), (2, 120)]


def largest_difference(model: Any, file: Path, inputs: list[str], *, metadata_columns: int = 0) -> float:
    """Return the largest logit difference of all shapes; rows have padding of several lengths.

    For a token classifier, padding is left out: a worker does not read its logits.
    """
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == inputs
    torch.manual_seed(3)
    largest = 0.0
    for rows, tokens in SHAPES:
        mask = torch.ones(rows, tokens, dtype=torch.int64)
        for row in range(rows):
            mask[row, max(1, tokens - row * (tokens // 4)) :] = 0
        batch = {
            "input_ids": torch.randint(5, model.config.vocab_size, (rows, tokens)),
            "attention_mask": mask,
            "token_type_ids": torch.randint(0, 2, (rows, tokens)),
            "global_attention_mask": _global_mask(rows, tokens),
            "metadata": torch.randn(rows, metadata_columns).abs().round(),
        }
        batch["input_ids"][mask == 0] = model.config.pad_token_id
        given = {name: batch[name] for name in inputs}
        with torch.no_grad():
            expected = model(**given).logits.numpy()
        found = session.run(["logits"], {name: value.numpy() for name, value in given.items()})[0]
        difference = np.abs(found - expected)
        kept = difference[mask.numpy() == 1] if difference.ndim == 3 else difference
        largest = max(largest, float(kept.max()))
    return largest


def _global_mask(rows: int, tokens: int) -> Any:
    """Return a mask with the first token of each row; longer inputs have more global tokens."""
    import torch

    mask = torch.zeros(rows, tokens, dtype=torch.int64)
    mask[:, 0] = 1
    if tokens > 4:
        mask[0, 2:4] = 1
    return mask
