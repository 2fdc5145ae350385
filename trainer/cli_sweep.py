"""`labelstream sweep`; it checks its arguments before it imports torch."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from stream.errors import UsageError
from stream.sample import sample_path
from stream.termination import exit_on_termination
from trainer.cli import heavy_imports, not_installed
from trainer.config import ModelLocation, TrainingConfig, bundle_name
from trainer.config.options import with_settings
from trainer.data.read import read_data
from trainer.model.base_location import resolve_base_model, stay_offline
from trainer.processes import process_count
from trainer.progress import open_console
from trainer.sweep.flags import settings_by_parameter
from trainer.sweep.space import NONE, Choices, Space
from trainer.sweep.space_file import read_space
from trainer.tracking import check_trackers

PANEL = "Sweep"
LIBRARIES = ("optuna", "matplotlib", "jinja2")


@with_settings(TrainingConfig)
def sweep(
    context: typer.Context,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Labelled texts, as for `labelstream train`.")
    ] = None,
    *,
    trials: Annotated[
        int,
        typer.Option(min=1, help="Number of trials, earlier runs included.", rich_help_panel=PANEL),
    ] = 20,
    space: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a range or choices for each searched setting.",
            show_default="learning rate, epochs, batch size, weight decay, warm-up, label smoothing, weights",
            rich_help_panel=PANEL,
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; an existing study is continued.",
            show_default="sweeps/NAME",
            rich_help_panel=PANEL,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds after which no new trial starts.", rich_help_panel=PANEL),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of seeds with which the winner and the default recipe are trained and compared.",
            rich_help_panel=PANEL,
        ),
    ] = 3,
    config: TrainingConfig,
) -> None:
    """Search the settings of a training, and publish the bundle of the best ones.

    Each trial trains with settings that Optuna draws, and is pruned when its validation metric falls below
    the median of the earlier trials. All flags of `labelstream train` are accepted; they are fixed in all
    trials. The best settings are then compared with the settings before the search, on the test split and
    with several seeds, and trained as by `labelstream train`. Repeat the command to continue a sweep that
    was interrupted.

        labelstream sweep sample --trials 10

        labelstream sweep tickets.csv --label-column team --space space.toml --timeout 7200

        labelstream sweep tickets.csv --label-column team --trials 40 --epochs 3 --seeds 5
    """
    exit_on_termination()
    check_installed()
    _refuse_unused(config)
    check_trackers(config.tracking)
    source = config.data.source(data)
    base = resolve_base_model(config.base_model, config.bundle_store, config.revision)
    given = given_flags(context)
    # The file is read here too, so that its errors appear before the data are read.
    searched = searched_models(read_space(space, config, given), config) if space is not None else []
    path = sample_path() if source == "sample" else Path(source)
    console = open_console()
    examples = read_data(path if path.exists() else source, config.data)
    on_hub = next((model for model in searched if not model.local), base)
    stay_offline(on_hub, push=config.push_to_hub is not None)
    with heavy_imports("sweep", console, "sweep"):
        from trainer.checks import check_machine
        from trainer.report import show_data
        from trainer.sweep.run import SweepOptions
        from trainer.sweep.run import sweep as run_sweep
    check_machine(config)
    show_data(console, examples)
    folder = study or Path("sweeps") / bundle_name(config.name, examples.path.stem)
    options = SweepOptions(folder, trials, seeds, space, timeout, given)
    run_sweep(examples, config, base, options, console)


def check_installed() -> None:
    """Check that the libraries of the extra `sweep` are installed, without importing them.

    Raises:
        UsageError: a library is missing.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise not_installed("sweep", missing[0], "sweep")


def searched_models(space: Space, config: TrainingConfig) -> list[ModelLocation]:
    """Return the locations of the base models that the trials choose from.

    Raises:
        UsageError: a folder holds no model.
        BundleError: a file of a bundle was changed.
    """
    return [
        resolve_base_model(str(name), config.bundle_store, config.revision)
        for dimension in space
        if isinstance(dimension, Choices) and dimension.parameter == "base_model"
        for name in dimension.values
        if name != NONE
    ]


def given_flags(context: typer.Context) -> set[str]:
    """Return the parameters of the training flags on the command line."""

    def on_command_line(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    return {
        name
        for name, setting in settings_by_parameter().items()
        if any(map(on_command_line, (name, *setting.flag.shorthands)))
    }


def _refuse_unused(config: TrainingConfig) -> None:
    if process_count() > 1:
        raise UsageError(
            "a sweep runs in one process",
            cause="torchrun or accelerate has started this command more than once",
            fix="sweep without a launcher, and train with the best settings in several processes",
        )
    if config.checkpoints.folder is not None:
        raise UsageError(
            "a sweep keeps no checkpoints",
            cause="each trial is a training of its own, and an interrupted trial is repeated",
            fix="leave --checkpoints and --resume out; --study names the folder that a sweep continues from",
        )
    if config.recipe.evaluation.metric is not None:
        raise UsageError(
            "a sweep compares its trials by the main metric of the task",
            cause=f"--metric-for-best-model {config.recipe.evaluation.metric} selects within one training",
            fix="leave --metric-for-best-model out",
        )
