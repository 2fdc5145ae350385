"""Bundles of the benchmarks, cached in the work folder for each version of the trainer."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.context import Bench
from benchmarks.speed.process import run_module
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from stream.bundle import Bundle, open_bundle

REFERENCE_TEXTS = 1_500


@dataclass(frozen=True, slots=True)
class BenchBundle:
    """A bundle, and the Hugging Face folder of the same architecture if there is one."""

    bundle: Bundle
    model: Path | None


def bench_bundle(bench: Bench, kind: str) -> BenchBundle:
    """Return the bundle of a kind (see benchmarks.speed.make_bundle), built if the work folder lacks it."""
    work = bench.options.work
    cache_file = work / f"{kind}-{_sources_digest()}.json"
    if not cache_file.exists():
        bench.show_step(f"building the bundle {kind}, once")
        # Static quantisation calibrates on these texts, so they come from all sets.
        sets = text_sets(bench.options.data).values()
        texts = [text for text_set in sets for text in unique_texts(text_set, REFERENCE_TEXTS // len(sets))]
        texts_file = write_texts(work / f"{kind}.texts.jsonl", texts)
        built = run_module("benchmarks.speed.make_bundle", kind, work / "bundles", texts_file)
        cache_file.write_text(json.dumps(built))
    paths = json.loads(cache_file.read_text())
    model_folder = paths.get("model")
    return BenchBundle(
        open_bundle(paths["bundle"], work / "bundles"), Path(model_folder) if model_folder else None
    )


def _sources_digest() -> str:
    """Return a digest of the sources that determine a bundle."""
    root = Path(__file__).parents[2]
    files = [*sorted((root / "trainer").rglob("*.py")), Path(__file__).with_name("make_bundle.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]
