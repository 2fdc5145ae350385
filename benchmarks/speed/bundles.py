"""The bundles of the benchmarks: made once by each version of the trainer, kept in the work folder."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.context import Bench
from benchmarks.speed.process import ask
from benchmarks.speed.texts import text_sets, unique_texts, write_texts
from stream.bundle import Bundle, open_bundle

REFERENCE_TEXTS = 1_500


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle, and the Hugging Face folder of the same architecture where there is one."""

    bundle: Bundle
    model: Path | None


def bundle_of(bench: Bench, kind: str) -> Made:
    """The bundle of a kind (see benchmarks.speed.make_bundle), made if the work folder does not have it."""
    work = bench.options.work
    told = work / f"{kind}-{_recipe()}.json"
    if not told.exists():
        bench.tell(f"making the bundle {kind}, once")
        # Texts of all sets, so that variants which need some to be calibrated see both kinds.
        sets = text_sets(bench.options.data).values()
        texts = [text for found in sets for text in unique_texts(found, REFERENCE_TEXTS // len(sets))]
        file = write_texts(work / f"{kind}.texts.jsonl", texts)
        made = ask("benchmarks.speed.make_bundle", kind, work / "bundles", file)
        told.write_text(json.dumps(made))
    made = json.loads(told.read_text())
    folder = made.get("model")
    return Made(open_bundle(made["bundle"], work / "bundles"), Path(folder) if folder else None)


def _recipe() -> str:
    """A digest of the sources that make a bundle."""
    root = Path(__file__).parents[2]
    files = [*sorted((root / "trainer").rglob("*.py")), Path(__file__).with_name("make_bundle.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]
