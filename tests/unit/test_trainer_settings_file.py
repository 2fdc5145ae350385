"""Settings files, and settings as keyword arguments of Python."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import trainer
from stream.errors import UsageError
from trainer import TrainConfig, cli
from trainer.config import Recipe, TrainingConfig, WindowSettings
from trainer.config.files import is_settings_file, settings_in


class Read(Exception):
    """Raised in the place of the training, with its data and its settings."""


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs `labelstream train` until it reads its data."""
    monkeypatch.chdir(tmp_path)
    configs: list[TrainingConfig] = []
    monkeypatch.setattr(
        cli, "resolve_base_model", lambda model, store, revision: configs.append(TrainingConfig())
    )

    def stop(source: Any, config: Any) -> None:
        raise Read(str(source), config)

    monkeypatch.setattr(cli, "read_data", stop)
    app = typer.Typer()
    app.command()(cli.train)

    def run(*words: str) -> tuple[str, Any]:
        with pytest.raises(Read) as found:
            CliRunner().invoke(app, words, catch_exceptions=False)
        return found.value.args

    return run


@pytest.mark.parametrize("words", [["run.toml"], ["--config", "run.toml"]])
def test_a_toml_file_takes_the_place_of_flags(read: Any, words: list[str]) -> None:
    Path("run.toml").write_text(
        'data = "rows.csv"\n[columns]\ntext-column = "body"\nlabel_column_name = "team"\n'
    )
    source, config = read(*words)
    assert (source, config.text_column, config.label_column) == ("rows.csv", "body", "team")


def test_a_json_file_of_hugging_face_takes_the_place_of_flags(read: Any) -> None:
    Path("run.json").write_text('{"train_file": "rows.csv", "text_column_name": "body", "label_names": null}')
    source, config = read("run.json")
    assert (source, config.text_column, config.label_names) == ("rows.csv", "body", None)


def test_flags_have_precedence_over_the_file(read: Any) -> None:
    Path("run.toml").write_text('data = "rows.csv"\ntext_column = "body"\nencoding = "latin-1"\n')
    source, config = read("other.csv", "--config", "run.toml", "--text-column", "subject")
    assert (source, config.text_column, config.encoding) == ("other.csv", "subject", "latin-1")


def test_a_json_file_of_rows_is_data(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"data": [{"text": "a", "label": "b"}]}')
    assert not is_settings_file(str(tmp_path / "rows.json"))


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ('text_colum = "a"', "the setting text_colum does not exist", "text_column"),
        ("do_train = true", "do_train, which is not supported", "always trains"),
        ('token = "hf_x"', "token, which is not supported", "HF_TOKEN"),
        ("epochs = 3\nnum_train_epochs = 4", "sets --epochs twice", "num_train_epochs"),
        ("stride = 8", "stride has no effect without windows", "windows = true"),
        ("[a]\nepochs = 3\n[b]\nepochs = 4", "sets epochs twice", "[b]"),
        ("epochs = 3\n[b]\nepochs = 4", "sets epochs twice", "[b]"),
        ('fp16 = "false"', "fp16 false is not valid", "without quotes"),
        ("epochs = ", "cannot read the settings file", "TOML"),
    ],
)
def test_a_wrong_key_is_refused(tmp_path: Path, content: str, message: str, hint: str) -> None:
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(UsageError) as refused:
        settings_in(tmp_path / "run.toml")
    assert message in refused.value.message
    assert hint in f"{refused.value.cause} {refused.value.fix}"


def test_a_value_of_a_file_is_checked_as_that_of_a_flag(read: Any) -> None:
    Path("run.toml").write_text('data = "rows.csv"\nepochs = 0\n')
    with pytest.raises(UsageError, match="--epochs 0 is not valid"):
        cli.train("run.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"windows": "false"}, "--windows false is not valid"),
        ({"lora": 1}, "--lora 1 is not valid"),
        ({"label_columns": [1, 2]}, r"--label-columns \[1, 2\] is not valid"),
        ({"report_to": 3}, "--report-to 3 is not valid"),
    ],
)
def test_a_switch_and_a_list_have_no_value_of_another_kind(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig(**values)


@pytest.mark.parametrize(
    ("values", "group", "name", "expected"),
    [
        ({"data": {"metadata_columns": "x, y"}}, "data", "metadata_columns", ("x", "y")),
        ({"variants": {"names": "fp32,int8", "accepted": "int8"}}, "variants", "names", ("fp32", "int8")),
        ({"imbalance": {"augment": "swap"}}, "imbalance", "augment", ("swap",)),
        ({"tracking": {"report_to": "mlflow"}}, "tracking", "report_to", ("mlflow",)),
    ],
)
def test_a_list_in_a_group_may_be_a_text(
    values: dict[str, Any], group: str, name: str, expected: tuple[str, ...]
) -> None:
    assert getattr(getattr(TrainConfig(**values), group), name) == expected


def test_the_name_of_a_data_set_takes_the_place_of_data(read: Any) -> None:
    source, config = read("--dataset_name", "owner/reports", "--dataset_config_name", "de")
    assert (source, config.dataset_name, config.dataset_config) == ("owner/reports", "owner/reports", "de")
    with pytest.raises(UsageError, match="DATA cannot be combined with --dataset-name"):
        cli.train("rows.csv", dataset_name="owner/reports")


def test_python_takes_flat_names_nested_groups_and_those_of_hugging_face() -> None:
    flat = TrainConfig(batch_size=8, label_column="team", windows=True, stride=4, bf16=True)  # type: ignore[call-arg]
    assert (flat.recipe.batch_size, flat.data.label_column, flat.recipe.precision) == (8, "team", "bf16")
    assert flat.windows == WindowSettings(stride=4)
    nested = TrainConfig(
        recipe=Recipe(epochs=2), per_device_train_batch_size=8, data={"label_column": "team"}
    )  # type: ignore[call-arg]
    assert (nested.recipe.epochs, nested.recipe.batch_size, nested.data.label_column) == (2, 8, "team")
    assert TrainConfig().model_dump() == TrainingConfig().model_dump()
    with pytest.raises(UsageError, match="the setting epoch does not exist"):
        TrainConfig(epoch=3)  # type: ignore[call-arg]


def test_python_refuses_data_that_it_cannot_read() -> None:
    with pytest.raises(UsageError, match="data of the type int cannot be read"):
        trainer.train(3)
    with pytest.raises(UsageError, match="no training data are named"):
        trainer.train()
    with pytest.raises(UsageError, match="the data are empty"):
        trainer.train([])
