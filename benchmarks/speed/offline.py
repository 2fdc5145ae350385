"""The bound of a model: the worker's session driven offline over texts sorted by length, no Kafka.

python -m benchmarks.speed.offline BUNDLE VARIANT DEVICE TEXTS SECONDS. Prints one line of JSON.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from benchmarks.speed.texts import read_texts
from stream.bundle import open_bundle
from stream.classify.inputs import TextInput
from stream.classify.queue import plan
from stream.classify.tokenise import Tokeniser
from stream.runtime import Runtime, choose, open_runtimes
from stream.worker.route_model import BATCH_ROWS, BATCH_TOKENS

TRIAL = 512
"""Texts of the trial that tells how many fill the time."""


def main(bundle: str, variant: str, device: str, file: str, seconds: float) -> dict[str, float | str]:
    """Infer as many of the texts as fill the time; tokenising is timed apart, sorting and padding count.

    Returns:
        texts, tokens (real ones), infer_s, tokenise_s, cpu_s (of infer_s), fill (real by padded tokens),
        variant and device as chosen.
    """
    opened = open_bundle(bundle, Path(bundle).parent)
    choice = choose(opened.manifest, device, variant)
    tokeniser, runtimes = Tokeniser(opened), open_runtimes(opened, choice)
    limits = {"max_rows": BATCH_ROWS[choice.device], "max_tokens": BATCH_TOKENS[choice.device]}
    texts = [TextInput(text) for text in read_texts(Path(file))]
    began = time.perf_counter()
    tokens = tokeniser.encode(texts)
    tokenise_s = time.perf_counter() - began

    def run(count: int) -> tuple[float, float, float]:
        began, cpu = time.perf_counter(), time.process_time()
        by_length = sorted(tokens[:count], key=len)
        lengths = [*map(len, by_length)]
        batches = plan(lengths, **limits)
        todo = iter(batches)

        def work(runtime: Runtime) -> None:
            # Advancing a list's iterator is one step of the interpreter, so no batch is taken twice.
            for batch in todo:
                runtime.infer(tokeniser.pad([by_length[at] for at in batch]))

        with ThreadPoolExecutor(len(runtimes)) as threads:
            list(threads.map(work, runtimes))
        padded = sum(len(batch) * max(lengths[at] for at in batch) for batch in batches)
        return time.perf_counter() - began, time.process_time() - cpu, sum(lengths) / padded

    trial = min(TRIAL, len(texts))
    run(trial)
    trial_s, _, _ = run(trial)
    count = max(trial, min(len(texts), int(trial / trial_s * seconds)))
    infer_s, cpu_s, fill = run(count)
    return {
        "texts": count,
        "tokens": sum(len(tokens[at]) for at in range(count)),
        "infer_s": infer_s,
        "tokenise_s": tokenise_s * count / len(texts),
        "cpu_s": cpu_s,
        "fill": fill,
        "variant": choice.variant,
        "device": choice.device,
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    print(orjson.dumps(main(given[0], given[1], given[2], given[3], float(given[4]))).decode(), flush=True)
