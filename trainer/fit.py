"""One training in memory: from splits and settings to a fine-tuned model, without export or bundle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from transformers import set_seed

from trainer.config import LOSS, SELECTION_METRICS, ModelLocation, Recipe, TrainingConfig
from trainer.continuation import Continuation, open_continuation
from trainer.data.examples import Data, Example, Splits
from trainer.data.imbalance import balance, loss_weights
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.evaluation.figures import SELECTION_METRIC
from trainer.export.saved_settings import settings_of
from trainer.learning_task import LearningTask, define_task
from trainer.metric_titles import SHOWN_METRICS
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input
from trainer.model.finetune import TrainingResult, finetune
from trainer.model.inference import ModelOutput
from trainer.model.layers import add_adapters, freeze_layers, merge_adapters
from trainer.model.saving import SETTINGS
from trainer.model.training_plan import Objective, TrainingPlan, choose_precision, make_loss, mean_loss
from trainer.progress import Stages

OnEpoch = Callable[[Mapping[str, float]], None]
"""A function that receives the validation metrics of each epoch; an exception ends the training."""


class DivergedError(ArithmeticError):
    """The model's logits are not finite, so the training has diverged."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What one training reads.

    Attributes:
        data: the labelled examples.
        splits: the splits of the examples.
        config: the settings of the training.
        base: the pretrained model.
    """

    data: Data
    splits: Splits
    config: TrainingConfig
    base: ModelLocation


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """The task of a training, before the training.

    Attributes:
        task: the task with what was fitted on the training rows.
        tokenizer: the tokenizer of the base model.
        config: the settings, with a maximum length that the base model can read.
        base: the pretrained model.
        previous: the classifier that the training continues from, if the base model is a bundle.
        new_head_cause: why the training does not keep the head of that classifier; "" if it does.
    """

    task: LearningTask
    tokenizer: Any
    config: TrainingConfig
    base: ModelLocation
    previous: Continuation | None
    new_head_cause: str

    def evaluator(self, examples: Sequence[Example]) -> Evaluator:
        """Return an evaluator of model outputs for these examples."""
        return self.task.evaluator(self.tokenizer, examples)

    def load_model(self) -> Any:
        """Return the model to train: that of the bundle, with its head or a new one, or the base model."""
        recipe = self.config.recipe
        if self.previous is not None:
            return self.previous.classifier(self.task, recipe.head, kept=not self.new_head_cause)
        return load_classifier(
            self.base,
            self.tokenizer,
            self.task.labels,
            head=self.task.head,
            classifier=recipe.head,
            metadata=self.task.metadata,
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fine-tuned model in memory.

    Attributes:
        prepared: the task and the tokenizer.
        model: the classifier, with the weights of its best epoch.
        result: the epochs of the training.
    """

    prepared: PreparedTask
    model: Any
    result: TrainingResult

    def logits(self, examples: Sequence[Example]) -> ModelOutput:
        """Return the logits of examples."""
        return self.prepared.task.logits(self.model, self.prepared.tokenizer, examples)


def prepare_task(job: TrainingJob) -> PreparedTask:
    """Load the tokenizer, and fit on the training rows what the task needs.

    Raises:
        UsageError: the base model cannot be used with these settings.
    """
    model_config, tokenizer = load_tokenizer(job.base)
    config = job.config.limited_to(longest_input(model_config, tokenizer))
    return prepare_with(tokenizer, replace(job, config=config))


def prepare_with(tokenizer: Any, job: TrainingJob) -> PreparedTask:
    """Fit on the training rows what the task needs.

    Args:
        tokenizer: the tokenizer of the base model.
        job: the training, with a maximum length that the base model can read.

    Raises:
        UsageError: the base model cannot be used with these settings.
    """
    task = define_task(job.data, job.splits.train, job.config)
    previous = open_continuation(job.base)
    cause = previous.new_head_cause(task, job.config.recipe.head) if previous is not None else ""
    if previous is not None and not cause:
        task = previous.adapt(task)
    return PreparedTask(task, tokenizer, job.config, job.base, previous, cause)


def fit(job: TrainingJob, stages: Stages, on_epoch: OnEpoch = lambda _: None) -> Fitted:
    """Fine-tune a model as `trainer.run` does; the test split is not read, and no checkpoint is kept.

    The folder of --checkpoints belongs to the training of the bundle, whose rows can include those that this
    model is evaluated on.

    Args:
        job: data, splits, settings and base model.
        stages: the progress display.
        on_epoch: receives the validation metrics of each epoch.

    Raises:
        DivergedError: the logits of the validation rows are not finite.
        UsageError: the base model cannot be used with these settings.
        DeviceError: the device does not compute in the requested precision.
    """
    prepared = prepare_task(job)
    task, tokenizer = prepared.task, prepared.tokenizer
    recipe, examples = prepared.config.recipe, job.splits.validation
    training = balance(job.splits.train, prepared.config.imbalance, recipe.seed)
    weights = loss_weights(training, task.labels, task.head, prepared.config.imbalance)
    set_seed(recipe.seed)
    model = prepare_layers(prepared.load_model(), task, recipe)
    objective = make_objective(task, tokenizer, prepared.config, weights, examples, _check_finite)

    def validate(fitted: Any) -> Mapping[str, float]:
        metrics = objective.validate(fitted)
        on_epoch(metrics)
        return metrics

    reported = replace(objective, validate=validate)
    plan = TrainingPlan(recipe, choose_precision(recipe.precision))
    result = finetune(model, task.dataset(tokenizer, training), reported, plan, stages)
    if recipe.lora is not None:
        model = merge_adapters(model)
    return Fitted(prepared, model, result)


def _check_finite(output: ModelOutput) -> None:
    if not all(np.isfinite(row).all() for row in output):
        raise DivergedError("the logits of the validation rows are not finite")


def prepare_layers(model: Any, task: LearningTask, recipe: Recipe) -> Any:
    """Freeze layers or add adapters; return the model to train."""
    # Checkpoints state the meaning of the logits, without the decision rule, which is fitted later.
    setattr(model.config, SETTINGS, settings_of(task.inference))
    freeze_layers(model, recipe.freeze_layers)
    return model if recipe.lora is None else add_adapters(model, recipe.lora)


def make_objective(
    task: LearningTask,
    tokenizer: Any,
    config: TrainingConfig,
    weights: Sequence[float] | None,
    examples: Sequence[Example],
    check: Callable[[ModelOutput], None] = lambda _: None,
) -> Objective:
    """Return the loss of a training, and the validation metric that selects its best evaluation.

    Args:
        task: the task.
        tokenizer: the tokenizer of the model.
        config: the settings of the training.
        weights: the weights of the labels in the loss.
        examples: the validation split.
        check: receives the logits of the validation split in each evaluation.
    """
    recipe = config.recipe
    metric = config.selected_by(SELECTION_METRIC[task.head])
    loss = make_loss(task.head, recipe.loss, weights, recipe.gamma, recipe.label_smoothing)
    collate = task.collator(tokenizer)
    validation = task.evaluator(tokenizer, examples)

    def validate(fitted: Any) -> dict[str, float]:
        output = task.logits(fitted, tokenizer, examples)
        check(output)
        metrics = validation.evaluate(output, resamples=0)
        if metric == LOSS:
            metrics[LOSS] = mean_loss(fitted, task.dataset(tokenizer, examples), loss, collate)
        return {name: metrics[name] for name in (*SHOWN_METRICS, metric) if name in metrics}

    return Objective(collate, loss, validate, metric, larger=SELECTION_METRICS[metric].larger)


def fit_rule(validation: Evaluator, output: ModelOutput) -> DecisionRule:
    """Return the decision rule that is fitted on the validation split."""
    fitted = validation.calibrate(output)
    if fitted is None:
        return DecisionRule()
    return DecisionRule(fitted.temperature, validation.thresholds(output, fitted.temperature))
