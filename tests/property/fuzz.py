"""Fuzzing of the record path: `python -m tests.property.fuzz --inputs 1000000`.

Each batch of random records passes through the compiled and the Python codec, a real tokenizer and a constant
model. Every record must lead to exactly one valid output record, and both codecs must agree. A failure prints
the seed and the record that fails.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import time_ns
from typing import Annotated

import typer
from rich.progress import track

from tests.property.odd_records import random_body, random_timestamp
from tests.property.one_outcome import RecordPath, check_both, outcome_of

BATCH = 500


@contextmanager
def both_codecs() -> Iterator[Sequence[RecordPath]]:
    """Yield the record path with the compiled codec and with the Python codec.

    Raises:
        SystemExit: the compiled codec is not built.
    """
    with TemporaryDirectory() as folder, ExitStack() as stack:
        paths = [RecordPath(Path(folder), name) for name in ("compiled", "python")]
        for path in paths:
            stack.callback(path.close)
        if paths[0].codec.name != "compiled":
            sys.exit("stream.codec._records is not built: it needs a C compiler and Python's headers")
        yield paths


def fuzz_batch(paths: Sequence[RecordPath], seed: str, count: int) -> Counter[str]:
    """Check one batch of random records, and count its outcomes: `label` or the reason of a dead letter.

    Raises:
        AssertionError: a record has no valid outcome; the message holds its bytes.
    """
    rng = Random(seed)
    bodies = [random_body(rng) for _ in range(count)]
    timestamps = [random_timestamp(rng) for _ in range(count)]
    try:
        return Counter(map(outcome_of, check_both(paths, bodies, timestamps)))
    except Exception as exc:
        for body, timestamp in zip(bodies, timestamps, strict=True):
            try:
                check_both(paths, [body], [timestamp])
            except Exception as single:
                raise AssertionError(
                    f"seed {seed!r}: record body {body!r}, timestamp {timestamp}: {single!r}"
                ) from single
        raise AssertionError(f"seed {seed!r}: only the whole batch fails: {exc!r}") from exc


def main(
    inputs: Annotated[int, typer.Option(min=1, help="Number of random records.")] = 1_000_000,
    seed: Annotated[str, typer.Option(help="Seed of the records; default: the time.")] = "",
) -> None:
    """Check that any record leads to one outcome, the same with both codecs."""
    chosen = seed or str(time_ns())
    print(f"seed {chosen}")
    outcomes: Counter[str] = Counter()
    with both_codecs() as paths:
        for number in track(range(-(-inputs // BATCH)), description="batches"):
            outcomes += fuzz_batch(paths, f"{chosen}-{number}", min(BATCH, inputs - number * BATCH))
    print(f"{inputs} records: each led to one outcome, the same with both codecs")
    print(", ".join(f"{name} {count}" for name, count in outcomes.most_common()))


if __name__ == "__main__":
    typer.run(main)
