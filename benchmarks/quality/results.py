"""Results of a set: bundles, metrics, baseline, comparison and data statistics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from benchmarks.quality.baseline import baseline_figures
from benchmarks.quality.paired import Estimate, estimates, label_numbers, predict_labels
from benchmarks.quality.prepare import read_rows
from benchmarks.quality.sets import Options, QualitySet, Run
from benchmarks.quality.training import RunRecord, resolve_folders
from stream.bundle import Manifest, read_bundle
from trainer.config import DataConfig
from trainer.data.examples import Data
from trainer.data.read import read_data


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished run with its record, the manifest of its bundle, and its metrics.json."""

    spec: Run
    record: RunRecord
    manifest: Manifest
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetResults:
    """The results that a section of the report shows.

    Attributes:
        trained_runs: the finished runs, in the order of the set.
        baseline: the figures of the baseline, if the set has one.
        compared: by figure and arm, the figure of the arm and its difference from the reference arm.
        truncated: the share of truncated rows in each part.
    """

    trained_runs: Sequence[TrainedRun]
    baseline: Mapping[str, Any] | None = None
    compared: Mapping[str, Mapping[str, tuple[Estimate, Estimate]]] = field(default_factory=dict)
    truncated: Mapping[str, float] = field(default_factory=dict)


def load_trained(run: Run, record: RunRecord) -> TrainedRun:
    """Load the bundle of a finished run.

    Raises:
        BundleError: the bundle is missing or invalid.
    """
    bundle = read_bundle(record.bundle)
    metrics = json.loads((bundle.path / "metrics.json").read_text(encoding="utf-8"))
    return TrainedRun(run, record, bundle.manifest, metrics)


def load_data(quality_set: QualitySet, source: str, data: Path, work: Path) -> Data:
    """Load the rows of the training with the trainer's own code."""
    options: Options = {
        name: resolve_folders([value], data, work)[0] if isinstance(value, str) else value
        for name, value in quality_set.reading.items()
    }
    return read_data(Path(resolve_folders([source], data, work)[0]), DataConfig.model_validate(options))


def collect_results(
    quality_set: QualitySet, trained_runs: Sequence[TrainedRun], read: Data, prepared_folder: Path, runs: Path
) -> SetResults:
    """Fit the baseline, compare the arms row by row, and count truncated rows.

    Args:
        quality_set: the data set.
        trained_runs: the finished runs of the set.
        read: the rows of the set.
        prepared_folder: the folder of the set's prepared files, which contains the test part.
        runs: the folder for predictions.
    """
    return SetResults(
        trained_runs,
        baseline_figures(read) if quality_set.baseline else None,
        _compare_arms(quality_set, trained_runs, prepared_folder / "test.jsonl", runs),
        truncated(
            read, Path(trained_runs[0].record.bundle) / "tokenizer.json", trained_runs[0].manifest.max_length
        ),
    )


def truncated(read: Data, tokenizer: Path, max_length: int) -> dict[str, float]:
    """Compute the share of rows in each part that exceed `max_length` tokens, special tokens included."""
    counting_tokenizer = Tokenizer.from_file(str(tokenizer))
    counting_tokenizer.no_truncation()
    counting_tokenizer.no_padding()
    is_truncated: dict[str, list[bool]] = {}
    for example in read.examples:
        is_truncated.setdefault(example.split or "train", [])
    rows = [
        example.text if example.text_pair is None else (example.text, example.text_pair)
        for example in read.examples
    ]
    for example, encoding in zip(read.examples, counting_tokenizer.encode_batch(rows), strict=True):
        is_truncated[example.split or "train"].append(len(encoding.ids) > max_length)
    return {part: sum(flags) / len(flags) for part, flags in is_truncated.items()}


def _compare_arms(
    quality_set: QualitySet, trained_runs: Sequence[TrainedRun], test: Path, runs: Path
) -> dict[str, dict[str, tuple[Estimate, Estimate]]]:
    if quality_set.comparison is None:
        return {}
    rows = read_rows(test)
    names = [row[quality_set.reading["label_column"]] for row in rows]
    labels = sorted(
        set(names) | {label for trained_run in trained_runs for label in trained_run.manifest.labels}
    )
    arms: dict[str, list[Any]] = {}
    for trained_run in trained_runs:
        predictions = predict_labels(
            Path(trained_run.record.bundle), test, runs / f"{trained_run.spec.name}.jsonl"
        )
        arms.setdefault(trained_run.spec.arm, []).append(label_numbers(predictions, labels))
    truth = label_numbers(names, labels)
    return {
        figure: estimates(arms, truth, len(labels), figure, quality_set.comparison.against)
        for figure in quality_set.figures
    }
