"""What a set came to: bundles, metrics, floor, comparison, and facts about the data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.quality.floor import floor_figures
from benchmarks.quality.paired import Estimate, estimates, numbered, predicted
from benchmarks.quality.prepare import read_rows
from benchmarks.quality.sets import Options, QualitySet, Run
from benchmarks.quality.training import Done, resolved
from stream.bundle import Manifest, read_bundle
from trainer.data.read import Data, read_data


@dataclass(frozen=True, slots=True)
class Trained:
    """A training, its bundle's manifest and its metrics.json."""

    run: Run
    done: Done
    manifest: Manifest
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a section is written from.

    Attributes:
        trained: a training each, in the set's order.
        floor: the SVM's figures, if there is a floor.
        compared: by figure and arm, the arm's figure and its difference from the arm that it is held against.
        truncated: share of the rows of each part that are longer than the model reads.
    """

    trained: Sequence[Trained]
    floor: Mapping[str, Any] | None = None
    compared: Mapping[str, Mapping[str, tuple[Estimate, Estimate]]] = field(default_factory=dict)
    truncated: Mapping[str, float] = field(default_factory=dict)


def trained(run: Run, done: Done) -> Trained:
    """Read what a training left behind.

    Raises:
        BundleError: it is not there.
    """
    bundle = read_bundle(done.bundle)
    metrics = json.loads((bundle.path / "metrics.json").read_text(encoding="utf-8"))
    return Trained(run, done, bundle.manifest, metrics)


def data_of(wanted: QualitySet, source: str, data: Path, work: Path) -> Data:
    """The very rows of the training, read by the trainer's own code."""
    options: Options = {
        name: resolved([value], data, work)[0] if isinstance(value, str) else value
        for name, value in wanted.reading.items()
    }
    given: dict[str, Any] = {**options}
    if "label_names" in given:
        given["label_names"] = Path(given["label_names"])
    return read_data(Path(resolved([source], data, work)[0]), **given)


def findings(wanted: QualitySet, every: Sequence[Trained], read: Data, made: Path, runs: Path) -> Findings:
    """Fit the floor, compare arms row by row, count what is cut.

    Args:
        wanted: the set.
        every: its trainings.
        read: its rows.
        made: folder of its prepared files, for predictions of the test part.
        runs: folder for the predictions.
    """
    return Findings(
        every,
        floor_figures(read) if wanted.floor else None,
        _compared(wanted, every, made / "test.jsonl", runs),
        truncated(read, Path(every[0].done.bundle) / "tokenizer.json", every[0].manifest.max_length),
    )


def truncated(read: Data, tokenizer: Path, max_length: int) -> dict[str, float]:
    """Share of the rows of each part that have more tokens, special ones included, than the model reads."""
    counter = Tokenizer.from_file(str(tokenizer))
    counter.no_truncation()
    counter.no_padding()
    longer: dict[str, list[bool]] = {}
    for example in read.examples:
        longer.setdefault(example.split or "train", [])
    rows = [
        example.text if example.text_pair is None else (example.text, example.text_pair)
        for example in read.examples
    ]
    for example, encoding in zip(read.examples, counter.encode_batch(rows), strict=True):
        longer[example.split or "train"].append(len(encoding.ids) > max_length)
    return {part: sum(found) / len(found) for part, found in longer.items()}


def _compared(
    wanted: QualitySet, every: Sequence[Trained], test: Path, runs: Path
) -> dict[str, dict[str, tuple[Estimate, Estimate]]]:
    if wanted.comparison is None:
        return {}
    rows = read_rows(test)
    names = [row[wanted.reading["label_column"]] for row in rows]
    labels = sorted(set(names) | {label for one in every for label in one.manifest.labels})
    arms: dict[str, list[Any]] = {}
    for one in every:
        said = predicted(Path(one.done.bundle), test, runs / f"{one.run.name}.jsonl")
        arms.setdefault(one.run.arm, []).append(numbered(said, labels))
    truth = numbered(names, labels)
    return {
        figure: estimates(arms, truth, len(labels), figure, wanted.comparison.against)
        for figure in wanted.figures
    }
