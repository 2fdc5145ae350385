"""From findings to a section of the report. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.quality.checks import checks
from benchmarks.quality.results import Findings, Trained
from benchmarks.quality.sets import WORDS, QualitySet
from benchmarks.speed.report import Section, Table
from stream.bundle.manifest import Parity

MANY = 3
"""Runs beyond which the table of variants shows the worst of them instead of every one."""


def section(wanted: QualitySet, found: Findings) -> Section:
    """The section of a set, without its provenance."""
    tables = [
        figures_table(wanted, found),
        *comparison_tables(wanted, found),
        training_table(found.trained),
        parity_table(found.trained),
        *calibration_tables(found.trained),
    ]
    method = f"{wanted.method}\n\n{commands(found.trained)}"
    return Section(wanted.title, method, tables, checks(wanted, found), notes(found))


def provenance(trained: Sequence[Trained], command: str) -> str:
    """The paragraph under a section: when and where its first training was, and how to get it again."""
    first = trained[0]
    seeds = sorted({one.run.seed for one in trained})
    words = "seed" if len(seeds) == 1 else "seeds"
    told = [*first.done.provenance, f"{words} {', '.join(map(str, seeds))}"]
    return f"<sub>{'; '.join(told)}. `{command}`</sub>"


def commands(trained: Sequence[Trained]) -> str:
    """The trainings' command lines, of several seeds the first."""
    first: dict[str, list[str]] = {}
    for one in trained:
        first.setdefault(one.run.arm, one.done.command)
    lines = "\n".join(shlex.join(words) for words in first.values())
    return f"```sh\n{lines}\n```"


def figures_table(wanted: QualitySet, found: Findings) -> Table:
    """Test figures with their intervals, the floor below them."""
    columns = ["test part", *(WORDS[name] for name in wanted.figures)]
    rows = [
        [one.run.label, *(_figure(one.metrics["test"], name) for name in wanted.figures)]
        for one in found.trained
    ]
    for one in found.trained:
        if half := one.metrics["test"].get("at_half"):
            cells = (f"{half[name]:.4f}" if name in half else "–" for name in wanted.figures)
            rows.append([f"{one.run.label}, thresholds of 0.5", *cells])
    if found.floor is not None:
        rows.append(["TF-IDF + linear SVM", *(_figure(found.floor, name) for name in wanted.figures)])
    return Table(
        f"{found.trained[0].metrics['test']['rows']:,} rows, 95% intervals by bootstrap", columns, rows
    )


def comparison_tables(wanted: QualitySet, found: Findings) -> list[Table]:
    """Arms side by side: mean over the seeds, its spread, and the paired difference."""
    if wanted.comparison is None:
        return []
    tables = []
    for figure, arms in found.compared.items():
        rows = []
        for arm, (value, gain) in arms.items():
            each = [one.metrics["test"][figure] for one in found.trained if one.run.arm == arm]
            told = "–" if arm == wanted.comparison.against else gain.text(signed=True)
            rows.append([arm, f"{len(each)}", value.text(), f"{min(each):.4f} – {max(each):.4f}", told])
        header = ["arm", "seeds", "mean", "least – most", f"above {wanted.comparison.against}"]
        tables.append(Table(f"{WORDS[figure]}, by fp32 predictions, paired", header, rows))
    return tables


def training_table(trained: Sequence[Trained]) -> Table:
    """What each run took."""
    rows = []
    for one in trained:
        told = one.metrics["training"]
        epochs = f"{told['best_epoch']} of {told['epochs_run']}"
        minutes = f"{one.done.seconds / 60:.1f}"
        rows.append([one.run.label, f"{one.run.seed}", minutes, epochs, f"{told['precision']}"])
    return Table(
        "The runs, from command to proven bundle",
        ["run", "seed", "minutes", "best epoch, of those run", "precision"],
        rows,
    )


def parity_table(trained: Sequence[Trained]) -> Table:
    """Each variant against PyTorch over the bundle's reference rows; of many runs the worst figures."""
    rows: list[list[str]] = []
    if len(trained) > MANY:
        found: dict[str, list[Parity]] = {}
        for one in trained:
            for name, entry in one.manifest.variants.items():
                found.setdefault(name, []).append(entry.parity)
        rows = [[f"worst of {len(every)}", name, *_worst(every)] for name, every in found.items()]
    else:
        rows = [
            [one.run.label, name, *_worst([entry.parity])]
            for one in trained
            for name, entry in one.manifest.variants.items()
        ]
    return Table(
        "Variants against PyTorch",
        ["run", "variant", "largest logit difference", "agreement", "metric loss", "close rows", "rows"],
        rows,
    )


def calibration_tables(trained: Sequence[Trained]) -> list[Table]:
    """Expected calibration error before and after temperature scaling; nothing for a regression."""
    rows = []
    for one in trained:
        if found := one.metrics.get("calibration"):
            errors = [f"{found[part][key]:.4f}" for part in ("validation", "test") for key in _ECE]
            rows.append([one.run.label, f"{found['temperature']:.3f}", *errors])
    header = ["run", "temperature", "validation before", "after", "test before", "after"]
    return [Table("Expected calibration error", header, rows)] if rows else []


def notes(found: Findings) -> list[str]:
    """Facts about the data, and the variants that the gate refused."""
    first = found.trained[0]
    data = first.manifest.data
    sizes = ", ".join(f"{part} {rows:,}" for part, rows in data["splits"].items())
    left = {name.replace("_", " "): rows for name, rows in data.get("left_out", {}).items() if rows}
    told = [f"Rows: {sizes}.{_left_out(left)}"]
    told.append(f"Texts of the test part that stand in the training part: {_leaks(first.metrics['leaks'])}.")
    if found.truncated:
        shares = ", ".join(f"{part} {share:.2%}" for part, share in found.truncated.items())
        told.append(f"Rows longer than {first.manifest.max_length} tokens, which are cut: {shares}.")
    told += [f"{one.run.label}: {line}" for one in found.trained for line in one.done.left_out]
    return told


_ECE = ("ece_before", "ece_after")


def _figure(found: Mapping[str, Any], name: str) -> str:
    if name not in found:
        return "–"
    interval = found["intervals"].get(name)
    return f"{found[name]:.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def _worst(every: Sequence[Parity]) -> list[str]:
    losses = [parity.metric_loss for parity in every if parity.metric_loss is not None]
    close = [len(parity.close_rows) for parity in every if parity.close_rows is not None]
    return [
        f"{max(parity.max_abs_logit_diff for parity in every):.2e}",
        f"{min(parity.label_agreement for parity in every):.2%}",
        f"{max(losses):+.4f}" if losses else "–",
        f"{max(close)}" if close else "–",
        f"{max(parity.rows for parity in every):,}",
    ]


def _left_out(left: Mapping[str, int]) -> str:
    return "".join(f" Left out for {name}: {rows:,}." for name, rows in left.items())


def _leaks(found: Mapping[str, Mapping[str, int]]) -> str:
    equal, near = (found.get(kind, {}).get("test in train", 0) for kind in ("equal", "near"))
    return f"{equal:,} equal ones, {near:,} nearly equal ones"
