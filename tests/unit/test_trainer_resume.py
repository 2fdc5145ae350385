"""A training that resumes equals one that was not interrupted; the winner is the best evaluation."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from stream.errors import UsageError
from tests.real.tiny_training import Interruption, TinyTraining, equal_weights
from trainer.config import Checkpoints, Evaluation, Recipe

STEPS_PER_EPOCH = 6


def recipe(epochs: int = 3, patience: int = 9, **values: object) -> Recipe:
    return Recipe(epochs=epochs, patience=patience, batch_size=4, learning_rate=1e-3, **values)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyTraining:
    return TinyTraining(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    ("interrupt_at", "save", "evaluation"),
    [
        # The checkpoint of step 8 lies within the second epoch.
        (11, {"save_steps": 2}, Evaluation()),
        # The checkpoint of step 12 is that of the end of an epoch, after its evaluation.
        (14, {"save_steps": 3}, Evaluation()),
        (9, {}, Evaluation(eval_steps=4)),
        (10, {"save_strategy": "epoch"}, Evaluation(eval_steps=5)),
    ],
)
def test_a_resumed_training_equals_one_that_was_not_interrupted(
    tiny: TinyTraining,
    tmp_path: Path,
    interrupt_at: int,
    save: dict[str, object],
    evaluation: Evaluation,
) -> None:
    plan = recipe(evaluation=evaluation)
    values = [0.1 * (at + 1) for at in range(9)]
    kept = Checkpoints(keep_in=tmp_path / "whole", **save)
    whole, expected = tiny.run(plan, values, checkpoints=kept)
    evaluations = tiny.evaluated
    folder = tmp_path / "parts"
    with pytest.raises(Interruption):
        tiny.run(
            plan,
            values,
            checkpoints=Checkpoints(keep_in=folder, **save),
            interrupt_at=interrupt_at,
        )
    state = orjson.loads(max(folder.glob("checkpoint-*/trainer_state.json")).read_bytes())
    done = len([entry for entry in state["log_history"] if "eval_macro_f1" in entry])
    resume = Checkpoints(resume_from=folder, **save)
    resumed, found = tiny.run(plan, values[done:], checkpoints=resume)
    assert found == expected
    assert len(tiny.evaluated) == len(evaluations) - done
    assert equal_weights(resumed, whole)


def test_an_evaluation_that_was_interrupted_is_repeated(tiny: TinyTraining, tmp_path: Path) -> None:
    """Step 6 is a step of --save-steps and the end of an epoch: its checkpoint follows the evaluation."""

    def values() -> Iterator[float]:
        yield 0.1
        raise Interruption

    plan, save = recipe(2), {"save_steps": 3}
    with pytest.raises(Interruption):
        tiny.run(plan, values(), checkpoints=Checkpoints(keep_in=tmp_path, **save))
    resume = Checkpoints(resume_from=tmp_path, **save)
    _, result = tiny.run(plan, [0.2], checkpoints=resume)
    assert (result.best_epoch, result.epochs_run, len(tiny.evaluated)) == (2, 2, 1)


def test_patience_counts_the_evaluations_before_the_interruption(tiny: TinyTraining, tmp_path: Path) -> None:
    values = [0.9, 0.5, 0.4, 0.3, 0.2]
    with pytest.raises(Interruption):
        tiny.run(
            recipe(5, patience=3),
            values,
            checkpoints=Checkpoints(keep_in=tmp_path),
            interrupt_at=3 * STEPS_PER_EPOCH + 2,
        )
    _, result = tiny.run(recipe(5, patience=3), values[3:], checkpoints=Checkpoints(resume_from=tmp_path))
    assert (result.best_epoch, result.epochs_run) == (1, 4)


@pytest.mark.parametrize(("values", "max_steps"), [([0.9, 0.5, 0.4], None), ([0.1, 0.2], 10)])
def test_a_finished_training_is_not_continued(
    tiny: TinyTraining,
    tmp_path: Path,
    values: list[float],
    max_steps: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training that ended before its bundle was written gives the same model without a further step."""
    plan = recipe(5, patience=2, max_steps=max_steps)
    limit = {"save_total_limit": 9}
    whole, expected = tiny.run(plan, values, checkpoints=Checkpoints(keep_in=tmp_path / "kept", **limit))
    # Another name and working directory: the recorded path of the best checkpoint is no longer valid.
    (tmp_path / "kept").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    again, found = tiny.run(plan, [], checkpoints=Checkpoints(resume_from=Path("moved"), **limit))
    assert tiny.losses == 0
    assert found == expected
    assert equal_weights(again, whole)


def test_an_incomplete_checkpoint_is_ignored(tiny: TinyTraining, tmp_path: Path) -> None:
    values = [0.1, 0.2, 0.3]
    with pytest.raises(Interruption):
        tiny.run(recipe(), values, checkpoints=Checkpoints(keep_in=tmp_path), interrupt_at=9)
    (tmp_path / "checkpoint-8").mkdir()
    (tmp_path / "checkpoint-8" / "model.safetensors").write_bytes(b"")
    _, result = tiny.run(recipe(), values[1:], checkpoints=Checkpoints(resume_from=tmp_path))
    assert result.steps_run == 3 * STEPS_PER_EPOCH


def test_a_resumed_training_writes_checkpoints_at_the_intervals_of_its_own_flags(
    tiny: TinyTraining, tmp_path: Path
) -> None:
    values = [0.3, 0.2, 0.1]
    kept = Checkpoints(keep_in=tmp_path, save_steps=5)
    with pytest.raises(Interruption):
        tiny.run(recipe(), values, checkpoints=kept, interrupt_at=9)
    resume = Checkpoints(resume_from=tmp_path, save_steps=4, save_total_limit=9)
    tiny.run(recipe(), values[1:], checkpoints=resume)
    steps = {int(path.name.split("-")[1]) for path in tmp_path.glob("checkpoint-*")}
    assert {8, 16} <= steps
    assert not steps & {10, 15}


def test_without_a_complete_checkpoint_nothing_resumes(tiny: TinyTraining, tmp_path: Path) -> None:
    (tmp_path / "checkpoint-8").mkdir()
    with pytest.raises(UsageError, match="no checkpoint to resume from"):
        tiny.run(recipe(), [], checkpoints=Checkpoints(resume_from=tmp_path))


@pytest.mark.parametrize(
    ("values", "larger", "best"),
    [([0.1, 0.8, 0.3, 0.2, 0.5], True, 1), ([3.0, 2.0, 0.0, 2.0, 1.0], False, 2)],
)
@pytest.mark.parametrize("save", [{}, {"save_steps": 5}, {"save_strategy": "best"}])
def test_the_model_has_the_weights_of_the_best_evaluation(
    tiny: TinyTraining,
    tmp_path: Path,
    values: list[float],
    larger: bool,
    best: int,
    save: dict[str, object],
) -> None:
    """The best evaluation, at step 4 or 6, is not a multiple of the steps between two checkpoints."""
    plan = recipe(epochs=2, max_steps=10, evaluation=Evaluation(eval_steps=2))
    model, result = tiny.run(
        plan,
        values,
        checkpoints=Checkpoints(keep_in=tmp_path, **save),
        metric="score",
        larger=larger,
    )
    assert (result.best_step, result.steps_run) == (2 * (best + 1), 10)
    assert equal_weights(model, tiny.evaluated[best])
    assert not equal_weights(model, tiny.evaluated[-1])
