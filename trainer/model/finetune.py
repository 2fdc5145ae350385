"""Fine-tuning with the Hugging Face Trainer, which keeps the epoch with the best validation metric.

A checkpoint folder belongs to one training, which can resume from it.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from stream.errors import UsageError
from stream.runtime import usable_cores
from trainer.config import Checkpoints, Recipe
from trainer.metric_titles import format_metrics
from trainer.model.encoding import IGNORED, WindowDataset
from trainer.model.layers import parameter_groups
from trainer.model.training_plan import Loss, Objective, TrainingPlan, Validate, device_name
from trainer.progress import Stages

LOGS_PER_EPOCH = 10
SETTINGS_FILE = "labelstream-training.json"


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        best_epoch: the number of the epoch whose weights the model has, from 1.
        epochs_run: the number of epochs before training stopped.
    """

    best_epoch: int
    epochs_run: int


class FineTuner(Trainer):  # type: ignore[misc] # transformers has no types
    """A Trainer that validates with `trainer.model.inference`, which supports windows, metadata and spans."""

    def __init__(self, validate: Validate, **settings: Any) -> None:
        super().__init__(**settings)
        self._validate = validate
        # Trainer would otherwise pass num_items_in_batch to models whose forward accepts any keyword.
        self.model_accepts_loss_kwargs = False

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Return the validation metrics, and log and report them to the callbacks like `Trainer.evaluate`."""
        found = {f"{metric_key_prefix}_{name}": value for name, value in self._validate(self.model).items()}
        self.log(found)
        control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        self.control: Any = control
        return found


class PositiveMetricEarlyStopping(EarlyStoppingCallback):  # type: ignore[misc] # transformers has no types
    """Early stopping that ignores epochs whose validation metric is 0.

    A token classifier predicts no span at all in its first epochs; without this rule training would stop
    there.
    """

    def check_metric_value(self, args: Any, state: Any, control: Any, metric_value: float) -> None:
        """Update the patience counter, unless the metric is still 0."""
        if metric_value > 0:
            super().check_metric_value(args, state, control, metric_value)


class StageCallback(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """A callback that updates the progress bar after each step and prints one line per epoch."""

    def __init__(self, stages: Stages, steps: int) -> None:
        self._stages = stages
        self._task = stages.open("train", steps)
        self._loss = ""

    def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" in logs:
            self._loss = f"loss {logs['loss']:.3f}"

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._stages.set(self._task, state.global_step, self._loss, state.max_steps)

    def on_evaluate(self, _args: Any, state: Any, _control: Any, metrics: dict[str, float], **_: Any) -> None:
        named = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        self._stages.console.print(
            f"  epoch {round(state.epoch)}: {self._loss}, validation {format_metrics(named)}"
        )

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._stages.set(self._task, state.global_step, self._loss, state.global_step)


def claim_checkpoint_folder(checkpoints: Checkpoints, settings: Mapping[str, Any]) -> None:
    """Record the settings of a training in its checkpoint folder, or check them when the training resumes.

    A training that resumes with other data or another learning-rate schedule would run without an error and
    give a wrong result.

    Args:
        checkpoints: the folder; without one the function does nothing.
        settings: all settings that affect the result, JSON-serialisable.

    Raises:
        UsageError: the folder holds checkpoints of another training.
    """
    folder = checkpoints.folder
    if folder is None:
        return
    file = folder / SETTINGS_FILE
    requested = orjson.loads(orjson.dumps(settings))
    if not checkpoints.resume:
        if folder.is_dir() and any(folder.glob("checkpoint-*")):
            raise UsageError(
                f"{folder} already holds checkpoints",
                cause="the checkpoints of two trainings in one folder cannot be distinguished",
                fix=f"use --resume {folder} to continue that training, or choose another folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(orjson.dumps(requested, option=orjson.OPT_INDENT_2))
        return
    recorded = orjson.loads(file.read_bytes()) if file.is_file() else requested
    names = {*recorded, *requested}
    different = sorted(name for name in names if recorded.get(name) != requested.get(name))
    if different:
        raise UsageError(
            f"the checkpoints in {folder} belong to another training",
            cause=f"these settings differ: {', '.join(different)}",
            fix="resume with the original flags and data, or start a new training in another folder",
        )


def finetune(
    model: Any, train: WindowDataset, objective: Objective, plan: TrainingPlan, stages: Stages
) -> TrainingResult:
    """Train a model in place; it ends with the weights of its best epoch.

    Training uses all cores that are available to the process. Validation between epochs computes in the same
    precision as training.

    Args:
        model: a classifier with float32 weights.
        train: the training dataset.
        objective: the loss and the validation metric.
        plan: hyper-parameters, precision and checkpoints.
        stages: the progress display.

    Raises:
        UsageError: there is no checkpoint to resume from, or the layers of the encoder cannot be identified.
    """
    torch.set_num_threads(usable_cores())
    recipe = plan.recipe
    steps = recipe.steps_per_epoch(len(train))
    with _checkpoint_folder(plan.checkpoints) as folder:
        trainer = FineTuner(
            objective.validate,
            model=model,
            args=_arguments(folder, plan, steps, objective.metric),
            train_dataset=train,
            # Trainer requires an evaluation dataset; `FineTuner.evaluate` does not read it.
            eval_dataset=[None],
            data_collator=objective.collate,
            compute_loss_func=_mean_loss(objective.loss),
            optimizers=(_optimizer(model, recipe), None),
            callbacks=[
                PositiveMetricEarlyStopping(recipe.patience),
                StageCallback(stages, steps * recipe.epochs),
            ],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_checkpoint_to_resume(plan.checkpoints))
        state = trainer.state
        _unwrap(trainer, model)
    name = f"eval_{objective.metric}"
    evaluations = [entry for entry in state.log_history if name in entry]
    best = max(evaluations, key=lambda entry: entry[name])
    return TrainingResult(round(best["epoch"]), len(evaluations))


@contextmanager
def _checkpoint_folder(checkpoints: Checkpoints) -> Iterator[Path]:
    """Yield the checkpoint folder, or a temporary folder that is removed at the end."""
    if checkpoints.folder is not None:
        yield checkpoints.folder
        return
    with TemporaryDirectory(prefix="labelstream-train-") as folder:
        yield Path(folder)


def _checkpoint_to_resume(checkpoints: Checkpoints) -> str | None:
    """Return the path of the last checkpoint, or None for a training that does not resume.

    Raises:
        UsageError: the folder holds no checkpoint.
    """
    folder = checkpoints.folder
    if folder is None or not checkpoints.resume:
        return None
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        raise UsageError(
            f"there is no checkpoint to resume from in {folder}",
            cause="the first checkpoint is written at the end of the first epoch",
            fix=f"start a new training with --checkpoints {folder} instead of --resume",
        )
    return str(found)


def _arguments(folder: Path, plan: TrainingPlan, steps: int, metric: str) -> TrainingArguments:
    recipe = plan.recipe
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.scheduler,
        warmup_steps=math.ceil(recipe.warmup * steps * recipe.epochs),
        weight_decay=recipe.weight_decay,
        bf16=plan.precision == "bf16",
        fp16=plan.precision == "fp16",
        use_cpu=device_name() == "cpu",
        group_by_length=True,
        remove_unused_columns=False,
        label_names=["labels"],
        seed=recipe.seed,
        data_seed=recipe.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        # Checkpoints in a temporary folder are never resumed, so they need no optimiser state.
        save_only_model=plan.checkpoints.folder is None,
        load_best_model_at_end=True,
        metric_for_best_model=metric,
        greater_is_better=True,
        logging_steps=max(1, steps // LOGS_PER_EPOCH),
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _unwrap(trainer: Trainer, model: Any) -> None:
    """Restore the forward method of the model, which computes in the precision of its weights."""
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    # accelerate leaves a bound method on the instance, which exporters cannot inspect.
    model.__dict__.pop("forward", None)


def _optimizer(model: Any, recipe: Recipe) -> Any:
    """Return AdamW with a learning rate per layer, or None for the default optimiser of the Trainer."""
    if recipe.layer_decay == 1.0:
        return None
    groups = parameter_groups(model, recipe.learning_rate, recipe.weight_decay, recipe.layer_decay)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _mean_loss(loss: Loss) -> Callable[..., Any]:
    """Return a loss averaged over the items of an optimiser step, whose number the Trainer passes."""

    def mean(outputs: Any, targets: Any, num_items_in_batch: Any = None) -> Any:
        items = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return loss(outputs.logits, targets) / items

    return mean
