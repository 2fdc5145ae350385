"""The benchmarks, as one program: `python -m benchmarks.speed [GROUP ...]`."""

import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.speed.context import Bench, NotRun, Options
from benchmarks.speed.groups import GROUPS, TITLES
from benchmarks.speed.machine import provenance
from benchmarks.speed.report import Section, merge, missing

REPORT = Path("docs/benchmarks.md")
NEEDS_GPU = "gpu"


def main(
    groups: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(GROUPS)}; default: all.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of real texts; default: the sample.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of every row; the median counts.")] = 3,
    row: Annotated[list[str] | None, typer.Option(help="Only rows whose name holds this.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One repeat, few events: tries the program.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda, for the group gpu.")] = "cpu",
    compression: Annotated[str, typer.Option(help="Of all that is produced: none, lz4, …")] = "none",
    work: Annotated[Path, typer.Option(help="Folder that keeps models between runs.")] = Path(".bench"),
    report: Annotated[
        Path | None,
        typer.Option(help=f"Where tables go; default: {REPORT}, WORK/trial.md with --quick or --row."),
    ] = None,
) -> None:
    """Run groups of rows side by side on Apache Kafka, show tables, write the report.

    Sections of groups that are not run stay as they are in the report.
    """
    console = Console()
    # Tables are wider than the 80 columns of a terminal that tells none.
    console.width = max(console.width, 120)
    chosen = groups or [name for name in GROUPS if device != "cpu" or name != NEEDS_GPU]
    if unknown := [name for name in chosen if name not in GROUPS]:
        raise typer.BadParameter(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if data is not None and not data.is_dir():
        raise typer.BadParameter(f"{data} is no folder")
    # Ctrl-C's way for SIGTERM too: everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    options = Options(
        1 if quick else repeats, quick, device, data, work.resolve(), compression, tuple(row or ())
    )
    file = report or (work / "trial.md" if quick or row else REPORT)
    # Where the data lie is this machine's affair.
    words = ["DATA" if data is not None and word == str(data) else word for word in sys.argv[1:]]
    command = shlex.join(["python", "-m", "benchmarks.speed", *words])
    bars = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    failed = False
    with Progress(*bars, console=console, transient=True) as progress:
        bench = Bench(options, progress)
        try:
            for name in chosen:
                try:
                    section = GROUPS[name](bench)
                except Exception as error:  # noqa: BLE001 - the other groups go on
                    kind = "not run" if isinstance(error, NotRun) else "failed"
                    console.print(f"{TITLES[name]}: {kind}: {error}", markup=False)
                    failed = True
                    continue
                told = [*bench.about_kafka(), f"compression {compression}"]
                show(console, section)
                if not any(table.rows for table in section.tables):
                    # What an earlier run found is worth more than a list of failures.
                    failed = True
                    continue
                write(file, {name: section.markdown(provenance(command, options.repeats, told))})
        finally:
            bench.close()
    console.print(f"written to {file}")
    if failed:
        raise typer.Exit(1)


def show(console: Console, section: Section) -> None:
    """Print a section's tables and notes."""
    console.rule(section.title, align="left")
    for table in section.everything():
        table.show(console)
    for note in section.notes:
        console.print(f"- {note}", markup=False)


def write(file: Path, sections: dict[str, str]) -> None:
    """Merge sections into the report; groups that it lacks get a line that says so."""
    document = file.read_text(encoding="utf-8") if file.exists() else ""
    order = list(GROUPS)
    absent = {name: f"## {TITLES[name]}\n\n{_absent(name)}" for name in missing(document, order)}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(merge(document, absent | sections, order), encoding="utf-8")


def _absent(name: str) -> str:
    if name == NEEDS_GPU:
        return f"Not run yet, no GPU was at hand: `python -m benchmarks.speed {name} --device cuda`."
    return f"Not run yet: `python -m benchmarks.speed {name}`."


if __name__ == "__main__":
    typer.run(main)
