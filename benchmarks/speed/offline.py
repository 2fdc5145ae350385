"""Measures the offline bound of a model: the worker's session on texts sorted by length, without Kafka.

python -m benchmarks.speed.offline BUNDLE VARIANT DEVICE TEXTS SECONDS. Prints one line of JSON.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from benchmarks.speed.texts import read_texts
from stream.bundle import open_bundle
from stream.classify import TextInput, Tokeniser, plan_batches
from stream.runtime import Runtime, choose, open_runtimes
from stream.worker.route_model import BATCH_ROWS, BATCH_TOKENS

TRIAL = 512
"""Texts of the trial run that estimates how many texts fit into the time."""


def main(bundle: str, variant: str, device: str, texts_file: str, seconds: float) -> dict[str, float | str]:
    """Infer as many texts as fit into the time; sorting and padding count, tokenisation is timed separately.

    Returns:
        texts, tokens (without padding), infer_s, tokenise_s, cpu_s (during infer_s), fill (real per padded
        tokens), and the chosen variant and device.
    """
    opened = open_bundle(bundle, Path(bundle).parent)
    choice = choose(opened.manifest, device, variant)
    tokeniser, runtimes = Tokeniser(opened), open_runtimes(opened, choice)
    texts = [TextInput(text) for text in read_texts(Path(texts_file))]
    began = time.perf_counter()
    tokens = tokeniser.encode(texts)
    tokenise_s = time.perf_counter() - began

    def run(count: int) -> tuple[float, float, float]:
        began, cpu = time.perf_counter(), time.process_time()
        by_length = sorted(tokens[:count], key=len)
        lengths = [*map(len, by_length)]
        batches = plan_batches(
            lengths, max_rows=BATCH_ROWS[choice.device], max_tokens=BATCH_TOKENS[choice.device]
        )
        remaining = iter(batches)

        def work(runtime: Runtime) -> None:
            # next() on a list iterator is atomic in CPython, so no batch is taken twice.
            for batch in remaining:
                runtime.infer(tokeniser.pad([by_length[index] for index in batch]))

        with ThreadPoolExecutor(len(runtimes)) as threads:
            list(threads.map(work, runtimes))
        padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
        return time.perf_counter() - began, time.process_time() - cpu, sum(lengths) / padded

    trial = min(TRIAL, len(texts))
    run(trial)
    trial_s, _, _ = run(trial)
    count = max(trial, min(len(texts), int(trial / trial_s * seconds)))
    infer_s, cpu_s, fill = run(count)
    return {
        "texts": count,
        "tokens": sum(len(tokens[index]) for index in range(count)),
        "infer_s": infer_s,
        "tokenise_s": tokenise_s * count / len(texts),
        "cpu_s": cpu_s,
        "fill": fill,
        "variant": choice.variant,
        "device": choice.device,
    }


if __name__ == "__main__":
    folder, precision, target, texts, limit = sys.argv[1:]
    print(orjson.dumps(main(folder, precision, target, texts, float(limit))).decode(), flush=True)
