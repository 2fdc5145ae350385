"""Command line of the quality figures: `python -m benchmarks.quality --data FOLDER [SET ...]`."""

import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.quality.prepare import NoDataError, prepare
from benchmarks.quality.results import TrainedRun, collect_results, load_data, load_trained
from benchmarks.quality.sections import provenance, section
from benchmarks.quality.sets import SETS, QualitySet, Run
from benchmarks.quality.training import FailedError, load_record, resolve_folders, train, train_command
from benchmarks.speed.report import Section, merge, missing
from stream.errors import LabelstreamError
from stream.output_files import write_file

REPORT = Path("docs/quality.md")
KIND = "quality"
TITLE = "# Quality\n"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command line.

    Attributes:
        data: the folder of all data sets, which is only read.
        work: the folder for prepared files, runs and bundles.
        quick: use few rows and one epoch to try the program; the figures are meaningless.
        no_train: report the existing runs in the work folder.
    """

    data: Path
    work: Path
    quick: bool
    no_train: bool


def main(
    data: Annotated[Path, typer.Option(help="Folder with one folder per data set; only read.")],
    sets: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(SETS)}; default: all.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few rows, one epoch, one seed, to try the program.")
    ] = False,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Report the existing runs in WORK without training.")
    ] = False,
    work: Annotated[Path, typer.Option(help="Folder for files, runs and bundles.")] = Path(".quality"),
    report: Annotated[
        Path | None, typer.Option(help=f"Report file; default: {REPORT}, or WORK/trial.md with --quick.")
    ] = None,
) -> None:
    """Train on published data sets with the real command, evaluate on the test parts and update the report.

    The report keeps the sections of sets that are not run. Each run takes up to 25 minutes on two cores.
    """
    console = Console()
    console.width = max(console.width, 120)
    selected = sets or [*SETS]
    if unknown := [name for name in selected if name not in SETS]:
        raise typer.BadParameter(f"unknown set: {', '.join(unknown)}; the sets are {', '.join(SETS)}")
    if not data.is_dir():
        raise typer.BadParameter(f"{data} is not a folder")
    # SIGTERM takes the same path as Ctrl-C, so that a running training is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    work_folder = (work / "quick" if quick else work).resolve()
    options = Options(data.resolve(), work_folder, quick, no_train)
    report_file = report or (work / "trial.md" if quick else REPORT)
    failed = False
    for name in selected:
        console.rule(f"{name}, {selected.index(name) + 1} of {len(selected)}", align="left")
        try:
            set_section, trained_runs = run_set(name, options, console)
        except (FailedError, NoDataError, LabelstreamError) as error:
            console.print(f"{name}: failed: {error}", markup=False)
            failed = True
            continue
        show(console, set_section)
        closing = provenance(trained_runs, _repeat_command(name, quick=quick))
        write(report_file, {name: set_section.markdown(closing)})
        console.print(f"written to {report_file}")
    if failed:
        raise typer.Exit(1)


def run_set(name: str, options: Options, console: Console) -> tuple[Section, Sequence[TrainedRun]]:
    """Prepare the files of a set, train its runs and return its section and runs.

    Raises:
        NoDataError: the data folder lacks the set.
        FailedError: a training failed, or there is no run to report.
    """
    quality_set = SETS[name]
    with console.status(f"{name}: preparing files"):
        source = prepare(name, quality_set.source, options.data, options.work, quick=options.quick)
    trained_runs = []
    runs = _runs(quality_set, quick=options.quick)
    for number, run in enumerate(runs, 1):
        if options.no_train:
            record = load_record(run, options.work)
        else:
            arguments = train_command(quality_set, run, source, quick=options.quick)
            console.print(
                f"training run {number} of {len(runs)}: {shlex.join(arguments)}",
                markup=False,
                highlight=False,
            )
            record = train(arguments, run, options.data, options.work)
        trained_runs.append(load_trained(run, record))
    with console.status(f"{name}: baseline, comparison, data statistics"):
        loaded = load_data(quality_set, source, options.data, options.work)
        prepared_folder = Path(resolve_folders([source], options.data, options.work)[0])
        results = collect_results(quality_set, trained_runs, loaded, prepared_folder, options.work / "runs")
    return section(quality_set, results), trained_runs


def show(console: Console, section: Section) -> None:
    """Print a section's tables and notes."""
    for table in section.all_tables():
        table.show(console)
    for note in section.notes:
        console.print(f"- {note}", markup=False)


def write(report_file: Path, sections: dict[str, str]) -> None:
    """Merge sections into the report, with a placeholder for each set that has no section yet."""
    document = report_file.read_text(encoding="utf-8") if report_file.exists() else ""
    order = list(SETS)
    placeholders = {
        name: f"## {SETS[name].title}\n\nNot run yet: `{_repeat_command(name)}`."
        for name in missing(document, order, KIND)
    }
    report_file.parent.mkdir(parents=True, exist_ok=True)
    write_file(report_file, merge(document, placeholders | sections, order, KIND, TITLE).encode())


def _runs(quality_set: QualitySet, *, quick: bool) -> list[Run]:
    """Return the runs of a set; in quick mode only the first run of each arm."""
    arms: dict[str, Run] = {}
    for run in quality_set.runs:
        arms.setdefault(run.arm, run)
    return [*arms.values()] if quick else [*quality_set.runs]


def _repeat_command(name: str, *, quick: bool = False) -> str:
    return f"python -m benchmarks.quality --data DATA {'--quick ' if quick else ''}{name}"


if __name__ == "__main__":
    typer.run(main)
