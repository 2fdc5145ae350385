"""The arguments of the Hugging Face Trainer for a training plan."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from trainer.config import Recipe
from trainer.model.layers import parameter_groups
from trainer.model.training_plan import TrainingPlan, device_name
from trainer.processes import process_count

LOGS_PER_EPOCH = 10


def training_arguments(
    folder: Path, plan: TrainingPlan, rows: int, metric: str, *, larger: bool
) -> TrainingArguments:
    """Return the arguments of the Trainer.

    Args:
        folder: the folder for checkpoints.
        plan: hyper-parameters, precision and checkpoints.
        rows: the number of training rows.
        metric: the validation metric that selects the best evaluation.
        larger: whether a larger value of the metric is better.
    """
    recipe, checkpoints = plan.recipe, plan.checkpoints
    evaluation, optimiser = recipe.evaluation, recipe.optimiser
    steps = recipe.steps_per_epoch(rows, process_count())
    eval_strategy = "steps" if evaluation.eval_steps else "epoch"
    save_strategy = "steps" if checkpoints.save_steps else checkpoints.save_strategy or eval_strategy
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.scheduler,
        lr_scheduler_kwargs=_scheduler_options(recipe, larger=larger),
        warmup_steps=recipe.rising_steps(rows, process_count()),
        weight_decay=recipe.weight_decay,
        optim=optimiser.name,
        adam_beta1=optimiser.adam_beta1,
        adam_beta2=optimiser.adam_beta2,
        adam_epsilon=optimiser.adam_epsilon,
        max_grad_norm=optimiser.max_grad_norm,
        bf16=plan.precision == "bf16",
        fp16=plan.precision == "fp16",
        use_cpu=device_name() == "cpu",
        torch_compile=recipe.compute.backend is not None,
        torch_compile_backend=recipe.compute.backend,
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        label_names=["labels"],
        seed=recipe.seed,
        data_seed=recipe.seed,
        eval_strategy=eval_strategy,
        eval_steps=evaluation.eval_steps,
        save_strategy=save_strategy,
        save_steps=checkpoints.save_steps or evaluation.eval_steps or 500,
        save_total_limit=checkpoints.save_total_limit or 1,
        # Checkpoints in a temporary folder are never resumed, so they need no optimiser state.
        save_only_model=checkpoints.folder is None,
        metric_for_best_model=metric,
        greater_is_better=larger,
        # Without the count of evaluations that did not improve, a resumed training would stop later.
        restore_callback_states_from_checkpoint=True,
        logging_steps=evaluation.logging_steps or max(1, steps // LOGS_PER_EPOCH),
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
        # A pooler that no head reads gets no gradient.
        ddp_find_unused_parameters=True if process_count() > 1 else None,
    )
    # The constructor would require a checkpoint at each evaluation. `FineTuner` saves each new best model, so
    # the best one always exists.
    arguments.load_best_model_at_end = True
    return arguments


def layered_optimiser(model: Any, recipe: Recipe) -> Any:
    """Return AdamW with a learning rate per layer, or None for the optimiser of the Trainer."""
    if recipe.layer_decay == 1.0:
        return None
    groups = parameter_groups(model, recipe.learning_rate, recipe.weight_decay, recipe.layer_decay)
    optimiser = recipe.optimiser
    return torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        betas=(optimiser.adam_beta1, optimiser.adam_beta2),
        eps=optimiser.adam_epsilon,
    )


def _scheduler_options(recipe: Recipe, *, larger: bool) -> dict[str, Any]:
    options = dict(recipe.scheduler_options or {})
    if recipe.scheduler == "reduce_lr_on_plateau":
        options["mode"] = "max" if larger else "min"
    return options
