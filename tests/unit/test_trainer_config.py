"""The description of the training settings, and what is derived from it."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream.errors import UsageError
from trainer.config import AUGMENTATIONS, DataConfig, Imbalance, Recipe, TrainingConfig, WindowSettings
from trainer.config.__main__ import rewritten
from trainer.config.conflicts import DATA_CONFLICTS, TRAINING_CONFLICTS
from trainer.config.options import help_text, with_settings
from trainer.config.settings import PANELS, settings_of

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
SETTINGS = list(settings_of(TrainingConfig))


def parsed(*words: str) -> TrainingConfig:
    """Return the configuration that a command line gives."""
    configs: list[TrainingConfig] = []

    @with_settings(TrainingConfig)
    def command(config: TrainingConfig) -> None:
        configs.append(config)

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return configs[0]


def test_the_documented_flags_are_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page) == page, "run `make docs`"


def test_every_setting_has_a_unique_flag_a_description_and_a_panel() -> None:
    options = [option for setting in SETTINGS for option in (setting.option, *setting.flag.aliases)]
    assert len(set(options)) == len(options)
    for setting in SETTINGS:
        assert setting.info.description
        assert setting.info.description.endswith(".")
        assert setting.flag.panel in PANELS


def test_help_lists_the_choices_of_the_type() -> None:
    (scheduler,) = (setting for setting in SETTINGS if setting.option == "--scheduler")
    assert " One of: linear, cosine, constant, constant_with_warmup, " in help_text(scheduler)
    assert help_text(scheduler).endswith(", warmup_stable_decay.")


def test_no_flag_gives_the_defaults() -> None:
    assert parsed() == TrainingConfig()


@pytest.mark.parametrize("option", ["--max-windows", "--most-windows"])
def test_the_old_name_of_max_windows_is_an_alias(option: str) -> None:
    assert parsed("--windows", option, "3").windows == WindowSettings(most=3)


def test_the_settings_of_a_switch_count_only_with_the_switch() -> None:
    assert parsed("--stride", "4", "--lora-rank", "2").windows is None
    config = parsed("--windows", "--doc_stride", "4", "--lora", "--lora-rank", "2")
    assert config.manifest_windows is not None
    assert config.manifest_windows.stride == 4
    assert config.recipe.lora is not None
    assert (config.recipe.lora.rank, config.recipe.lora.alpha) == (2, 16)


def test_lists_are_separated_by_commas_or_repeated() -> None:
    config = parsed(
        "--metadata-columns", "age, shop", "--metadata-columns", "city", "--augment", "swap,noise"
    )
    assert config.data.metadata_columns == ("age", "shop", "city")
    assert config.imbalance.augment == ("swap", "noise")
    assert parsed("--augment", "all").imbalance.augment == AUGMENTATIONS


@pytest.mark.parametrize(
    ("words", "precision"),
    [
        (["--bf16"], "bf16"),
        (["--fp16", "--precision", "fp32"], "fp16"),
        (["--bf16", "--fp16"], "bf16"),
        (["--precision", "fp32"], "fp32"),
    ],
)
def test_precision_has_the_switches_of_hugging_face(words: list[str], precision: str) -> None:
    assert parsed(*words).recipe.precision == precision


def test_resume_takes_precedence_over_checkpoints() -> None:
    checkpoints = parsed("--checkpoints", "a").checkpoints
    assert (checkpoints.folder, checkpoints.resume) == (Path("a"), False)
    resumed = parsed("--checkpoints", "a", "--resume_from_checkpoint", "b").checkpoints
    assert (resumed.folder, resumed.resume) == (Path("b"), True)


def test_a_threshold_of_zero_never_abstains() -> None:
    assert parsed("--abstain-below", "0").abstain_below is None


@pytest.mark.parametrize(
    ("group", "values", "message", "fix"),
    [
        (Recipe, {"epochs": 0}, "--epochs 0 is not valid", "--help"),
        (Recipe, {"gamma": -1}, "--focal-gamma -1 is not valid", "--help"),
        (Recipe, {"scheduler": "cosin"}, "--scheduler cosin is not valid", "--scheduler cosine"),
        (Imbalance, {"augment": ("swop",)}, "--augment swop is not valid", "--augment swap"),
        (DataConfig, {"text_colum": "a"}, "the setting text_colum does not exist", "text_column"),
    ],
)
def test_a_wrong_value_names_its_flag(
    group: type[Any], values: dict[str, Any], message: str, fix: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        group(**values)
    assert fix in refused.value.fix


@pytest.mark.parametrize("word", ["--epochs=0", "--warmup=2", "--seed=-1", "--max-length=7", "--unknown=1"])
def test_the_command_line_refuses_a_value_out_of_range(word: str) -> None:
    app = typer.Typer()
    app.command()(with_settings(TrainingConfig)(lambda config: None))
    assert CliRunner().invoke(app, [word]).exit_code == 2


def test_the_defaults_hold_no_conflict() -> None:
    assert not any(conflict.found(DataConfig()) for conflict in DATA_CONFLICTS)
    assert not any(conflict.found(TrainingConfig()) for conflict in TRAINING_CONFLICTS)
