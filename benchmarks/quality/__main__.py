"""The quality figures, as one program: `python -m benchmarks.quality --data FOLDER [SET ...]`."""

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
from benchmarks.quality.results import Trained, data_of, findings, trained
from benchmarks.quality.sections import provenance, section
from benchmarks.quality.sets import SETS, QualitySet, Run
from benchmarks.quality.training import FailedError, command, earlier, resolved, train
from benchmarks.speed.report import Section, merge, missing
from stream.errors import LabelstreamError

REPORT = Path("docs/quality.md")
KIND = "quality"
TITLE = "# Quality\n"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line chose.

    Attributes:
        data: folder of all data, only read.
        work: folder for prepared files, runs and bundles.
        quick: few rows and one epoch, to try the program; the figures mean nothing.
        no_train: take the trainings that lie in the work folder.
    """

    data: Path
    work: Path
    quick: bool
    no_train: bool


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data, a folder for each set; only read.")],
    sets: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(SETS)}; default: all.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few rows, one epoch, one seed: tries the program.")
    ] = False,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Report the trainings in WORK again, train nothing.")
    ] = False,
    work: Annotated[Path, typer.Option(help="Folder of files, runs and bundles.")] = Path(".quality"),
    report: Annotated[
        Path | None, typer.Option(help=f"The report; default: {REPORT}, WORK/trial.md with --quick.")
    ] = None,
) -> None:
    """Train on published data by the real command, judge on the test parts, write the report.

    Sections of sets that are not run stay as they are in the report. Each training takes up to 25 minutes on
    two cores.
    """
    console = Console()
    console.width = max(console.width, 120)
    chosen = sets or [*SETS]
    if unknown := [name for name in chosen if name not in SETS]:
        raise typer.BadParameter(f"no such set: {', '.join(unknown)}; there are {', '.join(SETS)}")
    if not data.is_dir():
        raise typer.BadParameter(f"{data} is no folder")
    # Ctrl-C's way for SIGTERM too: the training that runs is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    place = (work / "quick" if quick else work).resolve()
    options = Options(data.resolve(), place, quick, no_train)
    file = report or (work / "trial.md" if quick else REPORT)
    failed = False
    for name in chosen:
        console.rule(f"{name}, {chosen.index(name) + 1} of {len(chosen)}", align="left")
        try:
            found, every = run_set(name, options, console)
        except (FailedError, NoDataError, LabelstreamError) as error:
            console.print(f"{name}: failed: {error}", markup=False)
            failed = True
            continue
        show(console, found)
        write(file, {name: found.markdown(provenance(every, _again(name, quick=quick)))})
        console.print(f"written to {file}")
    if failed:
        raise typer.Exit(1)


def run_set(name: str, options: Options, console: Console) -> tuple[Section, Sequence[Trained]]:
    """Prepare, train, judge.

    Raises:
        NoDataError: the data folder lacks the set.
        FailedError: a training failed, or there is none to report.
    """
    wanted = SETS[name]
    with console.status(f"{name}: preparing files"):
        source = prepare(name, wanted.source, options.data, options.work, quick=options.quick)
    every = []
    runs = _runs(wanted, quick=options.quick)
    for at, run in enumerate(runs, 1):
        if options.no_train:
            done = earlier(run, options.work)
        else:
            words = command(wanted, run, source, quick=options.quick)
            console.print(f"training {at} of {len(runs)}: {shlex.join(words)}", markup=False, highlight=False)
            done = train(words, run, options.data, options.work)
        every.append(trained(run, done))
    with console.status(f"{name}: floor, comparison, facts about the data"):
        read = data_of(wanted, source, options.data, options.work)
        made = Path(resolved([source], options.data, options.work)[0])
        found = findings(wanted, every, read, made, options.work / "runs")
    return section(wanted, found), every


def show(console: Console, found: Section) -> None:
    """Print a section's tables and notes."""
    for table in found.everything():
        table.show(console)
    for note in found.notes:
        console.print(f"- {note}", markup=False)


def write(file: Path, sections: dict[str, str]) -> None:
    """Merge sections into the report; sets that it lacks get a line that says so."""
    document = file.read_text(encoding="utf-8") if file.exists() else ""
    order = list(SETS)
    absent = {
        name: f"## {SETS[name].title}\n\nNot run yet: `{_again(name)}`."
        for name in missing(document, order, KIND)
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(merge(document, absent | sections, order, KIND, TITLE), encoding="utf-8")


def _runs(wanted: QualitySet, *, quick: bool) -> list[Run]:
    """All runs; of a quick one the first of each arm."""
    arms: dict[str, Run] = {}
    for run in wanted.runs:
        arms.setdefault(run.arm, run)
    return [*arms.values()] if quick else [*wanted.runs]


def _again(name: str, *, quick: bool = False) -> str:
    return f"python -m benchmarks.quality --data DATA {'--quick ' if quick else ''}{name}"


if __name__ == "__main__":
    typer.run(main)
