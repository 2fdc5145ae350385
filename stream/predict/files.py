"""`labelstream predict` for folders, for runs that can be continued, and on Ray."""

from pathlib import Path

import typer
from rich.console import Console

from stream.predict.checks import ScaleOptions
from stream.predict.folder import FolderRun
from stream.predict.job import PredictionJob
from stream.predict.parts import predict_in_parts, remove_parts
from stream.predict.ray_run import RayRun
from stream.predict.ray_tasks import PREDICTED
from stream.predict.run import RowPredictor, RunProgress
from stream.predict.run_record import file_stamp
from stream.wording import count_of


def predict_files(
    job: PredictionJob, source: Path, output: Path, options: ScaleOptions, console: Console
) -> None:
    """Label a file or the files of a folder, and print what was done.

    Args:
        job: what the run does with each file.
        source: the file or the folder.
        output: the output file or folder.
        options: the options of the run.
        console: the terminal.

    Raises:
        UsageError: a file cannot be read or written, or the outputs are those of another run.
        Exit: no row was labelled.
    """
    if options.engine == "ray":
        _predict_on_ray(job, source, output, options, console)
    elif source.is_dir():
        _predict_folder(job, source, output, options, console)
    else:
        _predict_one(job, source, output, options, console)


def _predict_folder(
    job: PredictionJob, source: Path, output: Path, options: ScaleOptions, console: Console
) -> None:
    folder = FolderRun(job, source, output, options.suffix, options.glob)
    run = RunProgress(console, folder.size)
    try:
        folder.predict(run, resume=options.resume, overwrite=options.overwrite)
    except (KeyboardInterrupt, SystemExit):
        _print_interrupted(run, console)
        raise
    if folder.finished:
        _print_finished(folder.finished, folder.count, console)
    if folder.empty:
        console.print(
            f"{count_of(len(folder.empty), 'file')} without rows, such as {folder.empty[0]}", markup=False
        )
    _print_counts(run, console, rows=folder.count == 1)


def _predict_one(
    job: PredictionJob, source: Path, output: Path, options: ScaleOptions, console: Console
) -> None:
    run = RunProgress(console, file_stamp(source)["size"])
    if options.overwrite:
        remove_parts(output)
    try:
        with RowPredictor(job.bundle.path, job.settings) as predictor, run.bar:
            opened = predict_in_parts(predictor, job, source, output, run)
    except (KeyboardInterrupt, SystemExit):
        _print_interrupted(run, console)
        raise
    for line in opened.notes():
        console.print(line, markup=False)
    _print_counts(run, console, rows=True)


def _predict_on_ray(
    job: PredictionJob, source: Path, output: Path, options: ScaleOptions, console: Console
) -> None:
    run = RayRun(job, source, output, options)
    try:
        run.predict(console)
    except (KeyboardInterrupt, SystemExit):
        console.print("interrupted; repeat the command to continue", markup=False)
        raise
    if run.finished:
        _print_finished(run.finished, run.count, console)
    if run.resumed_parts:
        console.print(f"{count_of(run.resumed_parts, 'part')} written before", markup=False)
    predicted = run.counts.pop(PREDICTED, 0)
    failed = "; ".join(f"{reason} {count}" for reason, count in run.counts.most_common())
    more = f", {run.counts.total()} failed: {failed}" if failed else ""
    console.print(f"{count_of(predicted, 'row')} predicted{more}", markup=False)
    if failed and not predicted and not run.resumed_parts:
        raise typer.Exit(1)


def _print_finished(finished: int, count: int, console: Console) -> None:
    console.print(f"finished before: {finished} of {count_of(count, 'file')}", markup=False)


def _print_interrupted(run: RunProgress, console: Console) -> None:
    console.print(
        f"interrupted: {run.counts.summary(rows=False)}; repeat the command to continue", markup=False
    )


def _print_counts(run: RunProgress, console: Console, *, rows: bool) -> None:
    if run.resumed_rows:
        console.print(f"{count_of(run.resumed_rows, 'row')} labelled before", markup=False)
    console.print(run.counts.summary(rows=rows), markup=False)
    if run.counts.failed and not run.counts.predicted and not run.resumed_rows:
        raise typer.Exit(1)
