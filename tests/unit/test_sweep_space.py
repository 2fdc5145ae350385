"""The search space of a sweep: its file, its errors, its default, and the settings of a trial."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stream.errors import UsageError
from trainer.config import DataConfig, Lora, Recipe, TrainingConfig
from trainer.data.read import read_data
from trainer.sweep.default_space import default_space
from trainer.sweep.flags import command_flags, flags_of, with_flags
from trainer.sweep.space import Choices, Range, apply_values, default_values, space_digest
from trainer.sweep.space_file import read_space

PLAIN = TrainingConfig()


def space_of(tmp_path: Path, text: str, config: TrainingConfig = PLAIN, given: tuple[str, ...] = ()) -> Any:
    file = tmp_path / "space.toml"
    file.write_text(text, encoding="utf-8")
    return read_space(file, config, given)


def test_ranges_and_choices_by_any_spelling_of_a_flag(tmp_path: Path) -> None:
    space = space_of(
        tmp_path,
        """
        per_device_train_batch_size = [8, 16]
        class-weights = ["none", "inverse"]
        lora = [true, false]
        [learning-rate]
        low = 1e-5
        high = 1e-3
        log = true
        ["--epochs"]
        low = 2
        high = 6
        step = 2
        [lora-rank]
        low = 4
        high = 16
        """,
    )
    assert space == [
        Choices("batch_size", (8, 16)),
        Choices("class_weights", ("none", "inverse")),
        Choices("lora", (True, False)),
        Range("learning_rate", 1e-5, 1e-3, log=True),
        Range("epochs", 2, 6, step=2, integer=True),
        Range("lora_rank", 4, 16, integer=True),
    ]


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("", "is empty", "add a table"),
        ("x = [", "cannot be read", "TOML"),
        ("lerning-rate = [1e-4, 1e-5]", "unknown setting lerning-rate", "did you mean learning-rate?"),
        ("label-column = ['a', 'b']", "--label-column cannot be searched", "on the command line"),
        ("seed = [1, 2]", "--seed cannot be searched", "on the command line"),
        ("name = ['a', 'b']", "--name cannot be searched", "on the command line"),
        ("checkpoints = ['a', 'b']", "--checkpoints cannot be searched", "on the command line"),
        ("batch-size = 16", "neither a range nor choices", "--batch-size 16"),
        ("batch-size = [16]", "two or more different choices", "one value on the command line"),
        ("batch-size = [16, 16]", "two or more different choices", "one value on the command line"),
        ("batch-size = [16, 'many']", "invalid choices", "numbers"),
        ("batch-size = [16, 8.5]", "invalid choices", "numbers"),
        ("batch-size = [16, true]", "invalid choices", "other values"),
        ("batch-size = [0, 16]", "--batch-size 0 is not valid", "labelstream train --help"),
        ("batch-size = ['none', 16]", "--batch-size none is not valid", "labelstream train --help"),
        ("class-weights = ['sqrt', 'inverse']", "--class-weights sqrt", "sqrt_inverse"),
        ("lora = ['yes', 'no']", "invalid choices", "[true, false]"),
        ("class-weights = {low = 1, high = 2}", "no valid range", "inverse"),
        ("epochs = {low = 1}", "no valid range", "low and high"),
        ("epochs = {low = 1, high = 2.5}", "no valid range", "an integer"),
        ("epochs = {low = 0, high = 2}", "--epochs 0 is not valid", "labelstream train --help"),
        ("epochs = {low = 3, high = 3}", "no valid range", "below high"),
        ("warmup = {low = 0.2, high = 0.1}", "no valid range", "below high"),
        ("warmup = {low = 0.0, high = 2.0}", "--warmup 2.0 is not valid", "labelstream train --help"),
        ("warmup = {low = 0, high = inf}", "no valid range", "a number"),
        ("weight-decay = {low = 0, high = 1, log = true}", "no valid range", "above 0"),
        ("weight-decay = {low = 0.1, high = 1, log = true, step = 0.1}", "no valid range", "log or step"),
        ("weight-decay = {low = 0.1, high = 1, step = 2}", "no valid range", "up to 0.9"),
        ("weight-decay = {low = 0.1, high = 1, log = 'yes'}", "no valid range", "log = true"),
        ("weight-decay = {min = 0.1, max = 1}", "unknown key max", "correct its name"),
        ("epochs = {low = 1, high = 2, choices = [1, 2]}", "a range and choices", "one of the two"),
        ("lora-rank = [4, 8]", "--lora-rank has no effect", "lora = [true, false]"),
        ("batch-size = [8, 16]\nper-device-train-batch-size = [8, 16]", "--batch-size twice", "delete"),
    ],
)
def test_an_invalid_space_is_refused(tmp_path: Path, text: str, message: str, fix: str) -> None:
    with pytest.raises(UsageError, match=message.replace("[", r"\[")) as refused:
        space_of(tmp_path, text)
    assert fix in refused.value.fix


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_space(tmp_path / "none.toml", PLAIN)


def test_a_setting_is_not_fixed_and_searched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--epochs is fixed and searched"):
        space_of(tmp_path, "epochs = [1, 2]", given=("epochs",))


def test_a_choice_that_contradicts_a_fixed_flag_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(recipe=Recipe(lora=Lora()))
    with pytest.raises(UsageError, match="--freeze-layers cannot be combined with --lora"):
        space_of(tmp_path, "freeze-layers = [0, 2]", config)
    assert space_of(tmp_path, "lora-rank = [4, 8]", config)


def test_the_values_of_a_trial_become_its_configuration() -> None:
    config = TrainingConfig(name="tickets", recipe=Recipe(warmup=0.0, seed=3))
    values: dict[str, Any] = {"learning-rate": 2e-5, "class-weights": "none", "lora": True, "lora-rank": 4}
    changed = apply_values(config, {**values, "augment": "swap,noise"})
    assert (changed.name, changed.recipe.warmup, changed.recipe.seed) == ("tickets", 0.0, 3)
    assert changed.recipe.learning_rate == 2e-5
    assert changed.recipe.lora == Lora(rank=4)
    assert changed.imbalance.class_weights is None
    assert changed.imbalance.augment == ("swap", "noise")
    assert apply_values(changed, {"augment": "none"}).imbalance.augment == ()


def test_every_flag_survives_a_round_trip() -> None:
    config = with_flags(
        PLAIN, {"windows": True, "stride": 8, "task": "token", "variants": "int8", "encoding": "utf-8"}
    )
    assert with_flags(config, {}) == config
    assert config.windows is not None
    assert flags_of(config)["stride"] == 8


def test_the_command_of_a_configuration_has_the_flags_without_their_default() -> None:
    config = TrainingConfig(
        data=DataConfig(metadata_columns=("age", "channel"), ordinal=True),
        recipe=Recipe(warmup=0.0, learning_rate=1e-4),
    )
    assert command_flags(config) == ["--ordinal", "--metadata-columns", "age,channel", "--warmup", "0.0"]


def test_the_default_recipe_is_a_trial_only_if_the_space_contains_it() -> None:
    rates = Range("learning_rate", 1e-5, 1e-3, log=True)
    weights = Choices("class_weights", ("none", "inverse"))
    assert default_values(PLAIN, [rates, weights]) == {"learning-rate": 1e-4, "class-weights": "none"}
    assert default_values(PLAIN, [rates, Choices("batch_size", (8, 16))]) is None
    assert default_values(PLAIN, [Range("epochs", 2, 8, step=2, integer=True)]) is None
    assert default_values(PLAIN, [Range("epochs", 1, 7, step=2, integer=True)]) == {"epochs": 5}


def test_the_digest_of_a_space_depends_on_its_values_alone() -> None:
    first, second = Range("warmup", 0.0, 0.2), Choices("batch_size", (8, 16))
    assert space_digest([first, second]) == space_digest([second, first])
    assert space_digest([first]) != space_digest([Range("warmup", 0.0, 0.3)])


@pytest.mark.parametrize(
    ("setting", "fixed"), [("epochs", {"max_steps": 9}), ("warmup", {"warmup_steps": 1})]
)
def test_a_setting_that_a_flag_replaces_is_not_searched(
    tmp_path: Path, setting: str, fixed: dict[str, int]
) -> None:
    config = TrainingConfig(recipe=Recipe(**fixed))
    with pytest.raises(UsageError, match=f"--{setting} has no effect"):
        space_of(tmp_path, f"{setting} = [1, 2]", config)
    rows = [f"text number {number},{'ab'[number % 2]}" for number in range(8)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    space = default_space(read_data(tmp_path / "rows.csv", config.data), config)
    assert setting not in {dimension.parameter for dimension in space}


@pytest.mark.checkout
def test_the_space_of_the_documentation_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    found = re.search(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    assert len(space_of(tmp_path, found[1])) == 6


def test_the_default_space_follows_the_data_and_the_flags(tmp_path: Path) -> None:
    def parameters(labels: Sequence[object], given: tuple[str, ...] = (), **settings: Any) -> set[str]:
        file = tmp_path / "rows.csv"
        rows = [f"text number {number},{label}" for number, label in enumerate(labels)]
        file.write_text("\n".join(["text,label", *rows]))
        config = TrainingConfig(data=DataConfig(task=settings.get("task", "single-label")))
        return {found.parameter for found in default_space(read_data(file, config.data), config, given)}

    always = {"learning_rate", "epochs", "batch_size", "weight_decay", "warmup"}
    assert parameters(["a", "b"] * 4) == {*always, "label_smoothing"}
    assert parameters(["a"] * 9 + ["b"] * 3) == {*always, "label_smoothing", "class_weights"}
    assert parameters([0.5, 1.5, 2.25, 4], task="regression") == always
    assert "epochs" not in parameters(["a", "b"] * 4, given=("epochs",))
    with pytest.raises(UsageError, match="no setting is left"):
        parameters(["a", "b"] * 4, given=(*always, "label_smoothing"))
