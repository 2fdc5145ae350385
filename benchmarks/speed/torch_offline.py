"""The same model in PyTorch with its fused attention, no Kafka: padded in arrival order, or sorted by length.

python -m benchmarks.speed.torch_offline MODEL DEVICE TEXTS SECONDS padded|sorted. Prints one line of JSON.
float16 on CUDA, float32 on the CPU; texts are tokenised before.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.speed.offline import TRIAL
from benchmarks.speed.texts import read_texts
from stream.classify.queue import plan
from stream.worker.route_model import BATCH_ROWS, BATCH_TOKENS

PADDED_ROWS = 128
"""Rows of a batch in arrival order."""


def main(folder: str, device: str, file: str, seconds: float, order: str) -> dict[str, float]:
    """Infer as many texts as fill the time.

    Returns:
        texts, infer_s, cpu_s, fill (real by padded tokens).
    """
    os.environ |= {"HF_HUB_OFFLINE": "1"}
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    kind = torch.float16 if device == "cuda" else torch.float32
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=kind, attn_implementation="sdpa", local_files_only=True
    )
    model = model.eval().to(device)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokens = tokenizer(read_texts(Path(file)), truncation=True)["input_ids"]

    def infer(rows: Sequence[list[int]]) -> Any:
        width = max(map(len, rows))
        ids = torch.zeros((len(rows), width), dtype=torch.int64)
        mask = torch.zeros((len(rows), width), dtype=torch.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = torch.tensor(row)
            mask[at, : len(row)] = 1
        return model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float().cpu()

    def run(count: int) -> tuple[float, float, float]:
        lengths = [len(tokens[at]) for at in range(count)]
        began, cpu = time.perf_counter(), time.process_time()
        if order == "sorted":
            batches = plan(lengths, max_rows=BATCH_ROWS[device], max_tokens=BATCH_TOKENS[device])
        else:
            starts = range(0, count, PADDED_ROWS)
            batches = [list(range(at, min(at + PADDED_ROWS, count))) for at in starts]
        with torch.inference_mode():
            for batch in batches:
                infer([tokens[at] for at in batch])
        padded = sum(len(batch) * max(lengths[at] for at in batch) for batch in batches)
        return time.perf_counter() - began, time.process_time() - cpu, sum(lengths) / padded

    trial = min(TRIAL, len(tokens))
    run(trial)
    trial_s, _, _ = run(trial)
    count = max(trial, min(len(tokens), int(trial / trial_s * seconds)))
    infer_s, cpu_s, fill = run(count)
    return {"texts": count, "infer_s": infer_s, "cpu_s": cpu_s, "fill": fill}


if __name__ == "__main__":
    given = sys.argv[1:]
    print(orjson.dumps(main(given[0], given[1], given[2], float(given[3]), given[4])).decode(), flush=True)
