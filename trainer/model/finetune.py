"""Fine-tuning with the Hugging Face Trainer, which keeps the weights of the best evaluation."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback

from stream.runtime import usable_cores
from trainer.model.arguments import layered_optimiser, training_arguments
from trainer.model.callbacks import (
    CheckpointCallback,
    LogAtEpochEnd,
    PositiveMetricEarlyStopping,
    StageCallback,
)
from trainer.model.checkpoint_folder import checkpoint_folder, checkpoint_to_resume, claim_checkpoint_folder
from trainer.model.encoding import IGNORED, WindowDataset
from trainer.model.heads import TextClassifier
from trainer.model.memory import recomputed_activations
from trainer.model.sampling import EpochSampler, saved_order
from trainer.model.saving import SETTINGS, loadable_model, write_model
from trainer.model.training_history import epoch_history
from trainer.model.training_plan import Loss, Objective, TrainingPlan, device_name
from trainer.processes import (
    connect,
    disconnect,
    from_main,
    is_main_process,
    process_count,
    processes_here,
    wait_for_all,
)
from trainer.progress import Stages

__all__ = ["FineTuner", "StageCallback", "TrainingResult", "claim_checkpoint_folder", "finetune"]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        best_epoch: the number of the epoch whose weights the model has, from 1.
        epochs_run: the number of epochs before training stopped.
        best_step: the number of optimiser steps before the best evaluation.
        steps_run: the number of optimiser steps before training stopped.
        history: for each evaluation its epoch, `epoch`, the mean training loss since the one before and the
            validation metrics.
    """

    best_epoch: int
    epochs_run: int
    best_step: int
    steps_run: int
    history: Sequence[Mapping[str, float]] = ()


class FineTuner(Trainer):  # type: ignore[misc] # transformers has no types
    """A Trainer that validates with `trainer.model.inference`, which supports windows, metadata and spans."""

    def __init__(self, objective: Objective, order: Any = None, **settings: Any) -> None:
        """
        Args:
            objective: the loss, the collator and the validation metric.
            order: the random state of the order of the first epoch; see `EpochSampler`.
            settings: the arguments of `Trainer`.
        """
        super().__init__(
            data_collator=objective.collate, compute_loss_func=_mean_loss(objective.loss), **settings
        )
        self._objective = objective
        self._order = order
        self._sampler: EpochSampler | None = None
        # Trainer would otherwise pass num_items_in_batch to models whose forward accepts any keyword.
        self.model_accepts_loss_kwargs = False

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Return the validation metrics, and log and report them to the callbacks like `Trainer.evaluate`."""
        # The processes take their decisions on the same numbers, which are not bit-equal on all devices.
        metrics = from_main(dict(self._objective.validate(self.model)) if is_main_process() else {})
        found = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(found)
        control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        # The best model is loaded from its checkpoint at the end.
        control.should_save |= self._is_better(metrics[self._objective.metric])
        self.control: Any = control
        return found

    def _is_better(self, value: float) -> bool:
        best = self.state.best_metric
        return best is None or (value > best if self._objective.larger else value < best)

    def _run_epoch(self, **state: Any) -> None:
        """Run an epoch, unless the training had stopped before it was resumed."""
        if not self.control.should_training_stop:
            super()._run_epoch(**state)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * process_count()
        self._sampler = EpochSampler(rows, train_dataset or self.train_dataset, self._order)
        return self._sampler

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save a checkpoint that `from_pretrained` loads."""
        super()._save(output_dir, state_dict)
        if isinstance(self.model, TextClassifier):
            folder = Path(output_dir or self.args.output_dir)
            model = loadable_model(self.model, token=self.model.pooling == "tokens")
            setattr(model.config, SETTINGS, getattr(self.model.config, SETTINGS, None))
            write_model(model, folder, weights=False)

    def _save_rng_state(self, output_dir: str) -> None:
        """Save the random state of now, and that at the start of the epoch, which gives the order of rows."""
        super()._save_rng_state(output_dir)
        if self._sampler is not None and is_main_process():
            self._sampler.save(Path(output_dir))

    def _load_best_model(self) -> None:
        """Load the best weights in the process that evaluates and exports them."""
        if is_main_process():
            super()._load_best_model()


def finetune(
    model: Any,
    train: WindowDataset,
    objective: Objective,
    plan: TrainingPlan,
    stages: Stages,
    callbacks: Sequence[TrainerCallback] = (),
) -> TrainingResult:
    """Train a model in place; in the main process it ends with the weights of its best evaluation.

    Training uses all cores that are available to the process. Validation between epochs computes in the same
    precision as training. With several processes each of them trains on its share of every batch, and the
    group of processes is dissolved at the end.

    Args:
        model: a classifier with float32 weights.
        train: the training dataset.
        objective: the loss and the validation metric.
        plan: hyper-parameters, precision and checkpoints.
        stages: the progress display.
        callbacks: further callbacks, such as those of the trackers.

    Raises:
        UsageError: there is no checkpoint to resume from, or the layers of the encoder cannot be identified.
    """
    torch.set_num_threads(max(1, usable_cores() // processes_here()))
    recipe = plan.recipe
    resumed = checkpoint_to_resume(plan.checkpoints)
    within_epoch = resumed and resumed.step % recipe.steps_per_epoch(len(train), process_count())
    connect(device_name())
    with (
        checkpoint_folder(plan.checkpoints) as folder,
        recomputed_activations(model, on=recipe.compute.gradient_checkpointing),
    ):
        trainer = FineTuner(
            objective,
            saved_order(resumed.folder) if resumed and within_epoch else None,
            model=model,
            args=training_arguments(folder, plan, len(train), objective.metric, larger=objective.larger),
            train_dataset=train,
            # Trainer requires an evaluation dataset; `FineTuner.evaluate` does not read it.
            eval_dataset=[None],
            optimizers=(layered_optimiser(model, recipe), None),
            callbacks=[
                PositiveMetricEarlyStopping(recipe.patience),
                CheckpointCallback(),
                StageCallback(stages, recipe.total_steps(len(train), process_count())),
                LogAtEpochEnd(),
                *callbacks,
            ],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
        state = trainer.state
        _unwrap(trainer, model)
        # The main process removes the folder of temporary checkpoints.
        wait_for_all()
    disconnect()
    evaluations = [entry for entry in state.log_history if f"eval_{objective.metric}" in entry]
    best = next((entry for entry in evaluations if entry["step"] == state.best_global_step), evaluations[-1])
    return TrainingResult(
        math.ceil(best["epoch"]),
        math.ceil(evaluations[-1]["epoch"]),
        best["step"],
        state.global_step,
        epoch_history(state.log_history),
    )


def _unwrap(trainer: Trainer, model: Any) -> None:
    """Restore the forward method of the model, which computes in the precision of its weights."""
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    # accelerate leaves a bound method on the instance, which exporters cannot inspect.
    model.__dict__.pop("forward", None)


def _mean_loss(loss: Loss) -> Callable[..., Any]:
    """Return a loss averaged over the items of an optimiser step, whose number the Trainer passes."""

    def mean(outputs: Any, targets: Any, num_items_in_batch: Any = None) -> Any:
        items = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return loss(outputs.logits, targets) / items

    return mean
