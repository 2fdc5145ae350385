"""The hyper-parameters of a training."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stream.errors import UsageError
from trainer.config.optimiser import ADAM, Compute, Optimiser, Scheduler, check_options, parse_options
from trainer.config.settings import (
    DATA,
    EVALUATION,
    IMBALANCE,
    INPUT,
    LAYERS,
    OPTIMISER,
    TASK,
    TRAINING,
    Flag,
    SettingsGroup,
)

HeadName = Literal["linear", "mlp"]
LossName = Literal["default", "focal"]
RequestedPrecision = Literal["auto", "fp32", "bf16", "fp16"]
EvalStrategy = Literal["epoch", "steps"]


class Lora(SettingsGroup):
    """Low-rank adaptation (Hu et al. 2021)."""

    rank: Annotated[int, Flag(LAYERS, "--lora-rank")] = Field(8, ge=1, description="Rank of the adapters.")
    alpha: Annotated[int, Flag(LAYERS, "--lora-alpha")] = Field(
        16, ge=1, description="The adapters' output is multiplied by alpha / rank."
    )
    dropout: float = 0.05


class Evaluation(SettingsGroup):
    """When the model is evaluated on the validation split, and the metric that selects the best evaluation.

    Raises:
        UsageError: the strategy and the number of steps contradict each other.
    """

    eval_strategy: Annotated[
        EvalStrategy | None,
        Flag(EVALUATION, aliases=("--eval_strategy", "--evaluation_strategy"), default="epoch"),
    ] = Field(None, description="Evaluate after each epoch, or after --eval-steps steps.")
    eval_steps: Annotated[int | None, Flag(EVALUATION, aliases=("--eval_steps",))] = Field(
        None, ge=1, description="Steps between two evaluations; the last step is always evaluated."
    )
    metric: Annotated[
        str | None,
        Flag(
            EVALUATION,
            "--metric-for-best-model",
            ("--metric_for_best_model",),
            default="macro_f1, for regression pearson, for token entity_f1",
        ),
    ] = Field(None, description="Validation metric that selects the best evaluation, or loss.")
    logging_steps: Annotated[
        int | None, Flag(EVALUATION, aliases=("--logging_steps",), default="a tenth of an epoch")
    ] = Field(None, ge=1, description="Steps over which a logged training loss is averaged.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.eval_strategy == "epoch" and self.eval_steps is not None:
            raise UsageError(
                "--eval-steps cannot be combined with --eval-strategy epoch",
                cause="the strategy evaluates after each epoch",
                fix="leave one of them out",
            )
        if self.eval_strategy == "steps" and self.eval_steps is None:
            raise UsageError(
                "--eval-strategy steps needs --eval-steps",
                cause="the number of steps between two evaluations is unknown",
                fix="add --eval-steps, such as --eval-steps 500",
            )
        return self


class Samples(SettingsGroup):
    """The number of rows of each split that are used, for a quick trial."""

    train: Annotated[int | None, Flag(DATA, "--max-train-samples", ("--max_train_samples",))] = Field(
        None, ge=1, description="Maximum number of training rows, sampled with at least one of each label."
    )
    validation: Annotated[int | None, Flag(DATA, "--max-eval-samples", ("--max_eval_samples",))] = Field(
        None, ge=1, description="Maximum number of validation rows, sampled."
    )
    test: Annotated[int | None, Flag(DATA, "--max-predict-samples", ("--max_predict_samples",))] = Field(
        None, ge=1, description="Maximum number of test rows, sampled."
    )


class Recipe(SettingsGroup):
    """The hyper-parameters of a training.

    Raises:
        UsageError: a value is invalid, or two settings contradict each other.
    """

    head: Annotated[HeadName, Flag(TASK)] = Field(
        "linear", description="The classification head; mlp has one hidden layer."
    )
    max_length: Annotated[int, Flag(INPUT, aliases=("--max_seq_length",))] = Field(
        256,
        ge=8,
        description="Tokens after which a text is truncated; the model's own limit applies if it is lower.",
    )
    epochs: Annotated[int, Flag(TRAINING, aliases=("--num_train_epochs",))] = Field(
        5, ge=1, description="Maximum number of epochs; training stops early when the model stops improving."
    )
    max_steps: Annotated[int | None, Flag(TRAINING, aliases=("--max_steps",))] = Field(
        None, ge=1, description="Maximum number of optimiser steps; replaces --epochs."
    )
    patience: Annotated[int, Flag(TRAINING, aliases=("--early_stopping_patience",))] = Field(
        2, ge=1, description="Evaluations without improvement after which training stops."
    )
    batch_size: Annotated[int, Flag(TRAINING, aliases=("--per_device_train_batch_size",))] = Field(
        32, ge=1, description="Texts in one batch on the device."
    )
    gradient_accumulation: Annotated[int, Flag(TRAINING, aliases=("--gradient_accumulation_steps",))] = Field(
        1, ge=1, description="Batches in one optimiser step."
    )
    learning_rate: Annotated[float, Flag(TRAINING, aliases=("--learning_rate",))] = Field(
        1e-4, ge=1e-9, description="Peak learning rate; larger models need a smaller one, such as 2e-5."
    )
    weight_decay: Annotated[float, Flag(TRAINING, aliases=("--weight_decay",))] = Field(
        0.01, ge=0.0, description="Weight decay of AdamW on all weights except biases and norms."
    )
    warmup: Annotated[float, Flag(TRAINING, aliases=("--warmup_ratio",))] = Field(
        0.1, ge=0.0, le=1.0, description="Share of the steps during which the learning rate rises."
    )
    warmup_steps: Annotated[int | None, Flag(TRAINING, aliases=("--warmup_steps",))] = Field(
        None, ge=0, description="Steps during which the learning rate rises; replaces --warmup."
    )
    scheduler: Annotated[Scheduler, Flag(OPTIMISER, aliases=("--lr_scheduler_type",))] = Field(
        "linear", description="Schedule of the learning rate after the warm-up."
    )
    scheduler_options: Annotated[
        dict[str, Any] | None, Flag(OPTIMISER, aliases=("--lr_scheduler_kwargs",))
    ] = Field(None, description='Options of the schedule, a JSON object such as {"num_cycles": 2}.')
    precision: Annotated[RequestedPrecision, Flag(TRAINING, shorthands=("bf16", "fp16"))] = Field(
        "auto", description="Precision of the arithmetic; auto takes bf16 or fp16 where that is faster."
    )
    label_smoothing: Annotated[float, Flag(TRAINING, aliases=("--label_smoothing_factor",))] = Field(
        0.0, ge=0.0, le=0.99, description="Share of the target that is spread evenly over all labels."
    )
    seed: Annotated[int, Flag(TRAINING)] = Field(
        42, ge=0, le=2**32 - 1, description="Seed of splits, head, row order and dropout."
    )
    loss: Annotated[LossName, Flag(IMBALANCE)] = Field(
        "default", description="Loss function; focal gives difficult rows more weight."
    )
    gamma: Annotated[float, Flag(IMBALANCE, "--focal-gamma")] = Field(
        2.0, ge=0.0, description="Exponent of the focal loss; 0 is the default loss."
    )
    freeze_layers: Annotated[int, Flag(LAYERS)] = Field(
        0, ge=0, description="Number of lowest layers that are not trained, in addition to the embeddings."
    )
    layer_decay: Annotated[float, Flag(LAYERS)] = Field(
        1.0,
        ge=0.01,
        le=1.0,
        description="Factor from the learning rate of a layer to that of the layer below it.",
    )
    lora: Annotated[Lora | None, Flag(LAYERS)] = Field(
        None, description="Train low-rank adapters instead of the encoder; needs the package peft."
    )

    optimiser: Optimiser = Optimiser()
    compute: Compute = Compute()
    evaluation: Evaluation = Evaluation()
    samples: Samples = Samples()

    @field_validator("scheduler_options", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        return parse_options(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_options(self.scheduler, self.scheduler_options or {})
        if self.layer_decay != 1.0 and self.optimiser.name not in ADAM:
            raise UsageError(
                f"--layer-decay cannot be combined with --optim {self.optimiser.name}",
                cause="layer-wise learning rates are implemented for AdamW",
                fix=f"leave one of them out, or use --optim {ADAM[0]}",
            )
        return self

    def steps_per_epoch(self, rows: int, processes: int = 1) -> int:
        """Return the number of optimiser steps in one pass over the rows."""
        return math.ceil(math.ceil(rows / (self.batch_size * processes)) / self.gradient_accumulation)

    def total_steps(self, rows: int, processes: int = 1) -> int:
        """Return the number of optimiser steps of a training that does not stop early."""
        return self.max_steps or self.epochs * self.steps_per_epoch(rows, processes)

    def rising_steps(self, rows: int, processes: int = 1) -> int:
        """Return the number of steps during which the learning rate rises."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        if self.max_steps is not None:
            return math.ceil(self.warmup * self.max_steps)
        # The order of the factors is that of earlier versions, which the rounding depends on.
        return math.ceil(self.warmup * self.steps_per_epoch(rows, processes) * self.epochs)

    def evaluations(self, rows: int, processes: int = 1) -> int:
        """Return the number of evaluations of a training that does not stop early."""
        total = self.total_steps(rows, processes)
        return math.ceil(total / (self.evaluation.eval_steps or self.steps_per_epoch(rows, processes)))
