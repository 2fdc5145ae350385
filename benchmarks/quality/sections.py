"""Sections of the report, rendered from the results of a set."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.quality.checks import checks
from benchmarks.quality.results import SetResults, TrainedRun
from benchmarks.quality.sets import FIGURE_NAMES, QualitySet
from benchmarks.speed.report import Section, Table
from stream.bundle import Parity

MAX_LISTED_RUNS = 3
"""The number of runs above which the table of variants shows only the worst of them."""


def section(quality_set: QualitySet, results: SetResults) -> Section:
    """Return the section of a set, without its provenance."""
    tables = [
        figures_table(quality_set, results),
        *comparison_tables(quality_set, results),
        training_table(results.trained_runs),
        parity_table(results.trained_runs),
        *calibration_tables(results.trained_runs),
    ]
    method = f"{quality_set.method}\n\n{commands(results.trained_runs)}"
    return Section(quality_set.title, method, tables, checks(quality_set, results), notes(results))


def provenance(trained_runs: Sequence[TrainedRun], command: str) -> str:
    """Return the closing paragraph of a section: date and machine of the first run, seeds and command."""
    first = trained_runs[0]
    seeds = sorted({trained_run.spec.seed for trained_run in trained_runs})
    noun = "seed" if len(seeds) == 1 else "seeds"
    details = [*first.record.provenance, f"{noun} {', '.join(map(str, seeds))}"]
    return f"<sub>{'; '.join(details)}. `{command}`</sub>"


def commands(trained_runs: Sequence[TrainedRun]) -> str:
    """Return the command lines of the runs, one per arm."""
    first: dict[str, list[str]] = {}
    for trained_run in trained_runs:
        first.setdefault(trained_run.spec.arm, trained_run.record.command)
    lines = "\n".join(shlex.join(arguments) for arguments in first.values())
    return f"```sh\n{lines}\n```"


def figures_table(quality_set: QualitySet, results: SetResults) -> Table:
    """Return the table of test figures with intervals, with the baseline in the last row."""
    columns = ["test part", *(FIGURE_NAMES[name] for name in quality_set.figures)]
    rows = [
        [
            trained_run.spec.label,
            *(_figure(trained_run.metrics["test"], name) for name in quality_set.figures),
        ]
        for trained_run in results.trained_runs
    ]
    for trained_run in results.trained_runs:
        if half := trained_run.metrics["test"].get("at_half"):
            cells = (f"{half[name]:.4f}" if name in half else "–" for name in quality_set.figures)
            rows.append([f"{trained_run.spec.label}, thresholds of 0.5", *cells])
    if results.baseline is not None:
        rows.append(
            ["TF-IDF + linear SVM", *(_figure(results.baseline, name) for name in quality_set.figures)]
        )
    return Table(
        f"{results.trained_runs[0].metrics['test']['rows']:,} rows, 95% intervals by bootstrap", columns, rows
    )


def comparison_tables(quality_set: QualitySet, results: SetResults) -> list[Table]:
    """Return one table per figure that compares the arms by mean, spread and paired difference."""
    if quality_set.comparison is None:
        return []
    tables = []
    for figure, arms in results.compared.items():
        rows = []
        for arm, (value, gain) in arms.items():
            figures = [
                trained_run.metrics["test"][figure]
                for trained_run in results.trained_runs
                if trained_run.spec.arm == arm
            ]
            difference = "–" if arm == quality_set.comparison.against else gain.text(signed=True)
            rows.append(
                [arm, f"{len(figures)}", value.text(), f"{min(figures):.4f} – {max(figures):.4f}", difference]
            )
        header = ["arm", "seeds", "mean", "min – max", f"difference from {quality_set.comparison.against}"]
        tables.append(Table(f"{FIGURE_NAMES[figure]}, by fp32 predictions, paired", header, rows))
    return tables


def training_table(trained_runs: Sequence[TrainedRun]) -> Table:
    """Return the table of durations and epochs."""
    rows = []
    for trained_run in trained_runs:
        training = trained_run.metrics["training"]
        epochs = f"{training['best_epoch']} of {training['epochs_run']}"
        minutes = f"{trained_run.record.seconds / 60:.1f}"
        rows.append(
            [trained_run.spec.label, f"{trained_run.spec.seed}", minutes, epochs, f"{training['precision']}"]
        )
    return Table(
        "Runs, from the command to the verified bundle",
        ["run", "seed", "minutes", "best epoch", "precision"],
        rows,
    )


def parity_table(trained_runs: Sequence[TrainedRun]) -> Table:
    """Return the table of parity with PyTorch on the reference rows; of many runs only the worst figures."""
    rows: list[list[str]] = []
    if len(trained_runs) > MAX_LISTED_RUNS:
        by_variant: dict[str, list[Parity]] = {}
        for trained_run in trained_runs:
            for name, entry in trained_run.manifest.variants.items():
                by_variant.setdefault(name, []).append(entry.parity)
        rows = [
            [f"worst of {len(parities)}", name, *_worst(parities)] for name, parities in by_variant.items()
        ]
    else:
        rows = [
            [trained_run.spec.label, name, *_worst([entry.parity])]
            for trained_run in trained_runs
            for name, entry in trained_run.manifest.variants.items()
        ]
    return Table(
        "Variants against PyTorch",
        ["run", "variant", "largest logit difference", "agreement", "metric loss", "close rows", "rows"],
        rows,
    )


def calibration_tables(trained_runs: Sequence[TrainedRun]) -> list[Table]:
    """Return the table of expected calibration errors before and after scaling; none for a regression."""
    rows = []
    for trained_run in trained_runs:
        if calibration := trained_run.metrics.get("calibration"):
            errors = [f"{calibration[part][key]:.4f}" for part in ("validation", "test") for key in _ECE]
            rows.append([trained_run.spec.label, f"{calibration['temperature']:.3f}", *errors])
    header = ["run", "temperature", "validation before", "after", "test before", "after"]
    return [Table("Expected calibration error", header, rows)] if rows else []


def notes(results: SetResults) -> list[str]:
    """Return notes on the data, and on variants that the parity gate rejected."""
    first = results.trained_runs[0]
    data = first.manifest.data
    sizes = ", ".join(f"{part} {rows:,}" for part, rows in data["splits"].items())
    skipped = {name.replace("_", " "): rows for name, rows in data.get("left_out", {}).items() if rows}
    lines = [f"Rows: {sizes}.{_skipped_rows(skipped)}"]
    lines.append(
        f"Texts of the test part that also occur in the training part: {_leaks(first.metrics['leaks'])}."
    )
    if results.truncated:
        shares = ", ".join(f"{part} {share:.2%}" for part, share in results.truncated.items())
        lines.append(f"Rows truncated to {first.manifest.max_length} tokens: {shares}.")
    lines += [
        f"{trained_run.spec.label}: {line}"
        for trained_run in results.trained_runs
        for line in trained_run.record.left_out
    ]
    return lines


_ECE = ("ece_before", "ece_after")


def _figure(figures: Mapping[str, Any], name: str) -> str:
    if name not in figures:
        return "–"
    interval = figures["intervals"].get(name)
    return f"{figures[name]:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _worst(parities: Sequence[Parity]) -> list[str]:
    losses = [parity.metric_loss for parity in parities if parity.metric_loss is not None]
    close = [len(parity.close_rows) for parity in parities if parity.close_rows is not None]
    return [
        f"{max(parity.max_abs_logit_diff for parity in parities):.2e}",
        f"{min(parity.label_agreement for parity in parities):.2%}",
        f"{max(losses):+.4f}" if losses else "–",
        f"{max(close)}" if close else "–",
        f"{max(parity.rows for parity in parities):,}",
    ]


def _skipped_rows(skipped: Mapping[str, int]) -> str:
    return "".join(f" Skipped: {rows:,} ({name})." for name, rows in skipped.items())


def _leaks(leaks: Mapping[str, Mapping[str, int]]) -> str:
    exact, near = (leaks.get(kind, {}).get("test in train", 0) for kind in ("equal", "near"))
    return f"{exact:,} duplicates, {near:,} near-duplicates"
