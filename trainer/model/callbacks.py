"""The callbacks of a training: early stopping, checkpoints and progress."""

import math
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, TrainerCallback

from trainer.metric_titles import SHOWN_METRICS, format_metrics
from trainer.progress import Stages


class PositiveMetricEarlyStopping(EarlyStoppingCallback):  # type: ignore[misc] # transformers has no types
    """Early stopping that ignores evaluations whose metric is 0, if a larger metric is better.

    A token classifier predicts no span at all in its first epochs; without this rule training would stop
    there.
    """

    def check_metric_value(self, args: Any, state: Any, control: Any, metric_value: float) -> None:
        """Update the patience counter, unless the metric is still 0."""
        if metric_value > 0 or not args.greater_is_better:
            super().check_metric_value(args, state, control, metric_value)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop at once if the resumed checkpoint is that of a training that had stopped."""
        super().on_train_begin(args, state, control, **kwargs)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class CheckpointCallback(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """A callback that makes a resumed training equal to one that was not interrupted."""

    def __init__(self) -> None:
        self._deferred = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the intervals of the flags instead of the checkpoint's, and end a finished training."""
        state.compute_steps(args, state.max_steps)
        if state.best_global_step:
            # The recorded path is that of the earlier training, relative to its working directory.
            state.best_model_checkpoint = str(Path(args.output_dir) / f"checkpoint-{state.best_global_step}")
        if state.global_step >= state.max_steps:
            control.should_training_stop = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save at the end of an epoch after its evaluation, which a resumed training would not repeat."""
        last = state.global_step >= state.max_steps or state.epoch == math.floor(state.epoch)
        if control.should_save and last and args.eval_strategy == "epoch":
            control.should_save, self._deferred = False, True

    def on_epoch_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        control.should_save |= self._deferred
        self._deferred = False


class StageCallback(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """A callback that updates the progress bar after each step and prints one line per evaluation."""

    def __init__(self, stages: Stages, steps: int) -> None:
        self._stages = stages
        self._task = stages.open("train", steps)
        self._loss = ""

    def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" in logs:
            self._loss = f"loss {logs['loss']:.3f}"

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._stages.set(self._task, state.global_step, self._loss, state.max_steps)

    def on_evaluate(self, args: Any, state: Any, _control: Any, metrics: dict[str, float], **_: Any) -> None:
        named = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        place = f"epoch {round(state.epoch)}"
        if args.eval_strategy == "steps":
            place = f"step {state.global_step} (epoch {state.epoch:.2f})"
        shown, selecting = format_metrics(named), args.metric_for_best_model
        if selecting not in SHOWN_METRICS:
            shown = ", ".join(filter(None, (shown, f"{selecting} {named[selecting]:.3f}")))
        self._stages.console.print(f"  {place}: {self._loss}, validation {shown}")

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._stages.set(self._task, state.global_step, self._loss, state.global_step)


class LogAtEpochEnd(TrainerCallback):  # type: ignore[misc] # transformers has no types
    """Logs the loss of the last steps of an epoch, which would otherwise count for the next epoch."""

    def on_epoch_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        control.should_log = True
