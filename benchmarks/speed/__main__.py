"""Command line of the benchmarks: `python -m benchmarks.speed [GROUP ...]`."""

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
from benchmarks.speed.report import Section, merge, missing
from stream.output_files import write_file
from tests.real.machine import provenance

REPORT = Path("docs/benchmarks.md")
NEEDS_GPU = "gpu"


def main(
    groups: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(GROUPS)}; default: all.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of real texts; default: the sample.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of every row; the report shows the median.")] = 3,
    row: Annotated[list[str] | None, typer.Option(help="Run only rows whose name contains this.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="One repeat with few events, to try the program.")
    ] = False,
    device: Annotated[str, typer.Option(help="Device of the group gpu: cpu or cuda.")] = "cpu",
    compression: Annotated[str, typer.Option(help="Compression of produced records: none, lz4, …")] = "none",
    work: Annotated[Path, typer.Option(help="Folder that keeps models between runs.")] = Path(".bench"),
    report: Annotated[
        Path | None,
        typer.Option(help=f"Report file; default: {REPORT}, or WORK/trial.md with --quick or --row."),
    ] = None,
) -> None:
    """Run benchmark groups on Apache Kafka, print their tables and update the report.

    The report keeps the sections of groups that are not run.
    """
    console = Console()
    # The tables are wider than the 80 columns that rich assumes for a terminal of unknown width.
    console.width = max(console.width, 120)
    chosen = groups or [name for name in GROUPS if device != "cpu" or name != NEEDS_GPU]
    if unknown := [name for name in chosen if name not in GROUPS]:
        raise typer.BadParameter(f"unknown group: {', '.join(unknown)}; the groups are {', '.join(GROUPS)}")
    if data is not None and not data.is_dir():
        raise typer.BadParameter(f"{data} is not a folder")
    # SIGTERM takes the same path as Ctrl-C, so that all started processes are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    options = Options(
        1 if quick else repeats, quick, device, data, work.resolve(), compression, tuple(row or ())
    )
    report_file = report or (work / "trial.md" if quick or row else REPORT)
    # The report does not show local paths.
    arguments = ["DATA" if data is not None and word == str(data) else word for word in sys.argv[1:]]
    command = shlex.join(["python", "-m", "benchmarks.speed", *arguments])
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
                except Exception as error:  # noqa: BLE001 - the other groups still run
                    outcome = "not run" if isinstance(error, NotRun) else "failed"
                    console.print(f"{TITLES[name]}: {outcome}: {error}", markup=False)
                    failed = True
                    continue
                details = [*bench.describe_kafka(), f"compression {compression}"]
                show(console, section)
                if not any(table.rows for table in section.tables):
                    # Results of an earlier run are worth more than a list of failures.
                    failed = True
                    continue
                write(report_file, {name: section.markdown(provenance(command, options.repeats, details))})
        finally:
            bench.close()
    console.print(f"written to {report_file}")
    if failed:
        raise typer.Exit(1)


def show(console: Console, section: Section) -> None:
    """Print a section's tables and notes."""
    console.rule(section.title, align="left")
    for table in section.all_tables():
        table.show(console)
    for note in section.notes:
        console.print(f"- {note}", markup=False)


def write(report_file: Path, sections: dict[str, str]) -> None:
    """Merge sections into the report, with a placeholder for each group that has no section yet."""
    document = report_file.read_text(encoding="utf-8") if report_file.exists() else ""
    order = list(GROUPS)
    placeholders = {name: f"## {TITLES[name]}\n\n{_placeholder(name)}" for name in missing(document, order)}
    report_file.parent.mkdir(parents=True, exist_ok=True)
    write_file(report_file, merge(document, placeholders | sections, order).encode())


def _placeholder(name: str) -> str:
    if name == NEEDS_GPU:
        return f"Not run yet because no GPU was available: `python -m benchmarks.speed {name} --device cuda`."
    return f"Not run yet: `python -m benchmarks.speed {name}`."


if __name__ == "__main__":
    typer.run(main)
