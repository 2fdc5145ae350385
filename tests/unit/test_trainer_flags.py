"""Every flag of the training procedure has an effect, and combinations without one are refused."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import torch

from stream.errors import UsageError
from tests.real.tiny_training import TinyTraining, equal_weights
from trainer.config import (
    LOSS,
    SELECTION_METRICS,
    Checkpoints,
    Compute,
    DataConfig,
    Evaluation,
    Optimiser,
    Recipe,
    TrainingConfig,
    selection_metric,
)
from trainer.evaluation.figures import LOWER_IS_BETTER, figure_names
from trainer.model.layers import encoder_of
from trainer.model.memory import check_compiler


def recipe(**values: Any) -> Recipe:
    return Recipe(**{"epochs": 1, "batch_size": 4, "learning_rate": 1e-3, "patience": 9, **values})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    return TinyTraining(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def plain(tiny: TinyTraining) -> Any:
    """The model of a training with the default flags."""
    return tiny.run(recipe(), [0.5])[0]


@pytest.mark.parametrize(
    "flags",
    [
        {"optimiser": Optimiser(name="adafactor")},
        {"optimiser": Optimiser(name="sgd")},
        {"optimiser": Optimiser(name="adagrad")},
        {"optimiser": Optimiser(name="rmsprop")},
        {"optimiser": Optimiser(adam_beta1=0.5)},
        {"optimiser": Optimiser(adam_beta2=0.5)},
        {"optimiser": Optimiser(adam_epsilon=1e-2)},
        {"optimiser": Optimiser(max_grad_norm=1e-6, adam_epsilon=1e-3)},
        {"scheduler": "polynomial"},
        {"scheduler": "polynomial", "scheduler_options": {"power": 3.0}},
        {"scheduler": "cosine_with_restarts", "scheduler_options": '{"num_cycles": 2}'},
        {"scheduler": "inverse_sqrt"},
        {"scheduler": "cosine_with_min_lr", "scheduler_options": {"min_lr_rate": 0.5}},
        {"scheduler": "cosine_warmup_with_min_lr", "scheduler_options": {"min_lr_rate": 0.5}},
        {"scheduler": "warmup_stable_decay", "scheduler_options": {"num_decay_steps": 2}},
        {"warmup_steps": 4},
        {"max_steps": 5},
    ],
)
def test_a_flag_changes_the_trained_model(tiny: TinyTraining, plain: Any, flags: dict[str, Any]) -> None:
    model, _ = tiny.run(recipe(**flags), [0.5])
    assert not equal_weights(model, plain)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_adamw_without_fusion_is_the_same_optimiser(tiny: TinyTraining, plain: Any) -> None:
    model, _ = tiny.run(recipe(optimiser=Optimiser(name="adamw_torch")), [0.5])
    for name, value in model.state_dict().items():
        # The softmax cancels the bias of keys: its gradient is rounding noise, of which AdamW takes the sign.
        if name.endswith("key.bias"):
            continue
        torch.testing.assert_close(value, plain.state_dict()[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("values", "larger", "lowered"), [([1.0, 2.0], True, 0), ([1.0, 2.0], False, 1)])
def test_the_plateau_of_a_metric_follows_its_direction(
    tiny: TinyTraining, tmp_path: Path, values: list[float], larger: bool, lowered: int
) -> None:
    plan = recipe(
        epochs=2,
        scheduler="reduce_lr_on_plateau",
        scheduler_options={"patience": 0, "factor": 0.5},
        evaluation=Evaluation(logging_steps=1),
    )
    tiny.run(plan, [*values], checkpoints=Checkpoints(keep_in=tmp_path, save_total_limit=5), larger=larger)
    scheduler = torch.load(tmp_path / "checkpoint-12" / "scheduler.pt", weights_only=False)
    assert scheduler["_last_lr"] == [1e-3 * 0.5**lowered] * 2


def test_steps_of_evaluations_logs_and_checkpoints(tiny: TinyTraining, tmp_path: Path) -> None:
    plan = recipe(max_steps=8, evaluation=Evaluation(eval_strategy="steps", eval_steps=3, logging_steps=2))
    kept = Checkpoints(keep_in=tmp_path, save_strategy="steps", save_steps=2, save_total_limit=3)
    _, result = tiny.run(plan, [0.3, 0.2, 0.1], checkpoints=kept)
    assert (result.steps_run, result.best_step, result.epochs_run) == (8, 3, 2)
    state = orjson.loads((tmp_path / "checkpoint-8" / "trainer_state.json").read_bytes())
    steps = {
        kind: [entry["step"] for entry in state["log_history"] if kind in entry]
        for kind in ("loss", "eval_macro_f1")
    }
    assert steps == {"loss": [2, 4, 6, 8], "eval_macro_f1": [3, 6, 8]}
    # The limit keeps the last ones, and the best evaluation at step 3.
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-3",
        "checkpoint-6",
        "checkpoint-8",
    ]
    assert "step 3 (epoch 0.50)" in tiny.output.getvalue()


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_gradient_checkpointing_recomputes_and_changes_nothing(tmp_path: Path, head: str) -> None:
    tiny = TinyTraining(tmp_path, rows=8, head=head)
    calls: list[int] = []

    def validate(model: Any) -> float:
        calls.append(int(encoder_of(model).is_gradient_checkpointing))
        return 0.5

    plain, _ = tiny.run(recipe(), validate)
    model, _ = tiny.run(recipe(compute=Compute(gradient_checkpointing=True)), validate)
    assert calls == [0, 1]
    assert not encoder_of(model).is_gradient_checkpointing, "the export has no checkpointing"
    assert equal_weights(model, plain)


@pytest.mark.slow
def test_a_compiled_training_gives_a_plain_model(tmp_path: Path) -> None:
    tiny = TinyTraining(tmp_path, rows=8)
    plain, _ = tiny.run(recipe(), [0.5])
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model, _ = tiny.run(recipe(compute=Compute(torch_compile_backend="eager")), [0.5])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert type(model) is type(plain)
    assert "forward" not in vars(model)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], atol=1e-4, rtol=1e-3)


def test_compilation_without_a_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="--torch-compile needs a compiler"):
        check_compiler(Compute(torch_compile=True))
    with pytest.raises(UsageError, match="--torch-compile-backend inducto is not valid"):
        check_compiler(Compute(torch_compile_backend="inducto"))


@pytest.mark.parametrize(
    ("requested", "task", "ordinal", "expected"),
    [
        ("eval_f1", "single-label", False, "macro_f1"),
        ("accuracy", "pair", False, "accuracy"),
        ("overall_f1", "token", False, "entity_f1"),
        ("eval_loss", "token", False, "loss"),
        ("quadratic_kappa", "single-label", True, "quadratic_kappa"),
        ("mae", "regression", False, "mae"),
        ("matthews_correlation", "single-label", False, "mcc"),
    ],
)
def test_metrics_have_the_names_of_hugging_face(
    requested: str, task: Any, ordinal: bool, expected: str
) -> None:
    assert selection_metric(requested, task, ordinal=ordinal) == expected


@pytest.mark.parametrize("task", ["single-label", "multi-label", "regression", "token"])
def test_every_figure_of_a_task_selects_an_evaluation_in_its_direction(task: Any) -> None:
    figures = {*figure_names(task, 3, ordinal=task == "single-label")} - {"ece"}
    known = {name: metric for name, metric in SELECTION_METRICS.items() if task in metric.tasks}
    assert {*known} - {LOSS} == figures
    for name, metric in known.items():
        assert metric.larger == (name not in (LOSS, *LOWER_IS_BETTER))


def test_the_output_shows_the_metric_that_selects(tiny: TinyTraining) -> None:
    tiny.run(recipe(epochs=1), [0.5], metric="mcc")
    assert "validation mcc 0.500" in tiny.output.getvalue()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"evaluation": Evaluation(metric="acuracy")}, "acuracy is not valid"),
        ({"evaluation": Evaluation(metric="mae")}, "mae is not valid"),
    ],
)
def test_a_metric_of_another_task_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingConfig(data=DataConfig(), recipe=Recipe(**values))


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (Evaluation, {"eval_strategy": "steps"}, "--eval-strategy steps needs --eval-steps"),
        (Evaluation, {"eval_strategy": "epoch", "eval_steps": 3}, "--eval-steps cannot be combined"),
        (Checkpoints, {"save_steps": 3}, "--save-steps needs a folder"),
        (Checkpoints, {"save_total_limit": 3}, "--save-total-limit needs a folder"),
        (Checkpoints, {"save_strategy": "steps"}, "--save-strategy steps needs --save-steps"),
        (Checkpoints, {"save_strategy": "best", "save_steps": 3}, "--save-steps cannot be combined"),
        (Optimiser, {"name": "sgd", "adam_beta1": 0.5}, "--adam-beta1 cannot be combined"),
        (Recipe, {"layer_decay": 0.9, "optimiser": {"name": "sgd"}}, "--layer-decay cannot be combined"),
        (Recipe, {"scheduler_options": "{"}, "--scheduler-options { is not valid"),
        (Recipe, {"scheduler": "cosine", "scheduler_options": {"num_cycle": 2}}, "has no option num_cycle"),
        (Recipe, {"scheduler": "warmup_stable_decay"}, "needs the option num_decay_steps"),
        (DataConfig, {"dataset_config": "en"}, "--dataset-config cannot be combined"),
    ],
)
def test_a_setting_without_effect_is_refused(group: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        group(**values)
    assert message in refused.value.message
