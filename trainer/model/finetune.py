"""Fine-tuning with the Hugging Face Trainer: the checkpoint that the task's own figure likes best wins."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from stream.errors import UsageError
from stream.runtime import usable_cores
from trainer.model.batches import Rows
from trainer.model.layers import parameter_groups
from trainer.model.losses import Loss
from trainer.model.precision import Chosen, device_name
from trainer.progress import Stages
from trainer.recipe import Recipe
from trainer.report import figures
from trainer.request import Checkpoints

NOTES_PER_EPOCH = 10

Validate = Callable[[Any], Mapping[str, float]]
"""A model to its figures on the validation part."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training came to; `best` is the figure that chose the epoch, epochs are counted from 1."""

    best_epoch: int
    epochs_run: int
    best: float


@dataclass(frozen=True, slots=True)
class Objective:
    """What is learnt, apart from the hyper-parameters.

    Attributes:
        collate: items of `Rows` to a padded batch.
        loss: what is minimised.
        validate: looks at the validation part.
        metric: the figure that chooses the epoch; more is better.
    """

    collate: Callable[[Any], Mapping[str, Any]]
    loss: Loss
    validate: Validate
    metric: str


class FineTuner(Trainer):  # type: ignore[misc] # transformers has no types
    """A Trainer that validates with our own inference, so that windows, metadata and spans count."""

    def __init__(self, validate: Validate, **rest: Any) -> None:
        super().__init__(**rest)
        self._validate = validate
        # Models whose forward takes anything would be handed the number of items too.
        self.model_accepts_loss_kwargs = False

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """The figures of the validation part, logged and told to the callbacks as the original's are."""
        found = {f"{metric_key_prefix}_{name}": value for name, value in self._validate(self.model).items()}
        self.log(found)
        control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        self.control: Any = control
        return found


class Patience(EarlyStoppingCallback):  # type: ignore[misc] # transformers has no types
    """Stops after so many epochs that bring nothing better, counted from the first that brings anything.

    A model that learns to tag finds no span at all for a while, which would look like standing still.
    """

    def check_metric_value(self, args: Any, state: Any, control: Any, metric_value: float) -> None:
        """Count an epoch."""
        if metric_value > 0:
            super().check_metric_value(args, state, control, metric_value)


class Bar(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """Moves our bar with the Trainer's steps, and leaves one line an epoch."""

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
        self._stages.console.print(f"  epoch {round(state.epoch)}: {self._loss}, validation {figures(named)}")

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._stages.set(self._task, state.global_step, self._loss, state.global_step)


def finetune(
    model: Any,
    train: Rows,
    objective: Objective,
    recipe: Recipe,
    precision: Chosen,
    stages: Stages,
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Train the model in place; it ends with the weights of its best epoch.

    Every core that the process may use works. Between epochs the validation part is computed as the training
    is, in the same precision.

    Args:
        model: a classifier with float32 weights.
        train: rows to learn from.
        objective: what is learnt.
        recipe: the hyper-parameters.
        precision: of the arithmetic.
        stages: where progress is shown.
        checkpoints: kept ones; by default they live in a temporary folder that is always removed.

    Raises:
        UsageError: there is no checkpoint to resume from, or the layers cannot be told apart.
    """
    torch.set_num_threads(usable_cores())
    steps = recipe.steps_per_epoch(len(train))
    kept = checkpoints or Checkpoints()
    with _folder(kept) as folder:
        trainer = FineTuner(
            objective.validate,
            model=model,
            args=_arguments(folder, recipe, precision, steps, objective.metric, kept.folder is not None),
            train_dataset=train,
            # Looked at by `validate`; the Trainer only wants to know that there is one.
            eval_dataset=[None],
            data_collator=objective.collate,
            compute_loss_func=_mean_of(objective.loss),
            optimizers=(_optimizer(model, recipe), None),
            callbacks=[Patience(recipe.patience), Bar(stages, steps * recipe.epochs)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_last(kept.folder) if kept.folder and kept.resume else None)
        state = trainer.state
        _unwrap(trainer, model)
    name = f"eval_{objective.metric}"
    evaluations = [entry for entry in state.log_history if name in entry]
    best = max(evaluations, key=lambda entry: entry[name])
    return Outcome(round(best["epoch"]), len(evaluations), best[name])


def _arguments(
    folder: Path, recipe: Recipe, precision: Chosen, steps: int, metric: str, resumable: bool
) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.scheduler,
        warmup_steps=math.ceil(recipe.warmup * steps * recipe.epochs),
        weight_decay=recipe.weight_decay,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=device_name() == "cpu",
        group_by_length=True,
        remove_unused_columns=False,
        label_names=["labels"],
        seed=recipe.seed,
        data_seed=recipe.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        save_only_model=not resumable,
        load_best_model_at_end=True,
        metric_for_best_model=metric,
        greater_is_better=True,
        logging_steps=max(1, steps // NOTES_PER_EPOCH),
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
    )


@contextmanager
def _folder(checkpoints: Checkpoints) -> Iterator[Path]:
    if checkpoints.folder is not None:
        yield checkpoints.folder
        return
    with TemporaryDirectory(prefix="labelstream-train-") as folder:
        yield Path(folder)


def _unwrap(trainer: Trainer, model: Any) -> None:
    """Give the model back its own forward, which computes in the precision of its weights."""
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    # What is left is the class's own, bound, which exporters cannot look into.
    model.__dict__.pop("forward", None)


def _last(folder: Path) -> str:
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if found is None:
        raise UsageError(
            f"there is nothing to resume from in {folder}",
            cause="it holds no checkpoint: the first one is written at the end of the first epoch",
            fix=f"start anew with --checkpoints {folder} in place of --resume",
        )
    return str(found)


def _optimizer(model: Any, recipe: Recipe) -> Any:
    """AdamW with a learning rate for each layer; None leaves it to the Trainer, which takes one for all."""
    if recipe.layer_decay == 1.0:
        return None
    groups = parameter_groups(model, recipe.learning_rate, recipe.weight_decay, recipe.layer_decay)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _mean_of(loss: Loss) -> Callable[..., Any]:
    """The mean over the items of a whole optimiser step, as the Trainer counts them."""

    def mean(outputs: Any, targets: Any, num_items_in_batch: Any = None) -> Any:
        items = (targets != -100).sum() if num_items_in_batch is None else num_items_in_batch
        return loss(outputs.logits, targets) / items

    return mean
