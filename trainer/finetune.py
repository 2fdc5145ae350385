"""Fine-tuning with the Hugging Face Trainer: the checkpoint with the best validation macro-F1 wins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from stream.runtime import usable_cores
from trainer.progress import Stages
from trainer.recipe import PATIENCE, Recipe

WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
EVALUATION_ROWS = 64
NOTES_PER_EPOCH = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training came to; `macro_f1` and `accuracy` on the validation part, epochs counted from 1."""

    best_epoch: int
    epochs_run: int
    macro_f1: float
    accuracy: float


class Rows:
    """Tokenised texts with the numbers of their labels; not padded, batches are."""

    def __init__(self, tokenizer: Any, texts: Sequence[str], labels: Sequence[int], max_length: int) -> None:
        self._encoded = tokenizer(list(texts), truncation=True, max_length=max_length)
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, at: int) -> dict[str, Any]:
        return {**{name: values[at] for name, values in self._encoded.items()}, "labels": self._labels[at]}


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
        self._stages.console.print(
            f"  epoch {round(state.epoch)}: {self._loss}, "
            f"validation macro-F1 {metrics['eval_macro_f1']:.3f}, accuracy {metrics['eval_accuracy']:.3f}"
        )

    def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        self._stages.set(self._task, state.global_step, self._loss, state.global_step)


def finetune(
    model: Any, tokenizer: Any, train: Rows, validation: Rows, recipe: Recipe, stages: Stages
) -> Outcome:
    """Train the model in place; it ends with the weights of its best epoch.

    Every core that the process may use works. Checkpoints live in a temporary folder that is always removed.

    Args:
        model: a sequence classifier, float32.
        tokenizer: its fast tokenizer.
        train: rows to learn from.
        validation: rows that choose the epoch.
        recipe: the hyper-parameters.
        stages: where progress is shown.
    """
    torch.set_num_threads(usable_cores())
    steps = recipe.steps_per_epoch(len(train))
    with TemporaryDirectory(prefix="labelstream-train-") as checkpoints:
        arguments = TrainingArguments(
            output_dir=checkpoints,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=EVALUATION_ROWS,
            learning_rate=recipe.learning_rate,
            warmup_steps=math.ceil(WARMUP_SHARE * steps * recipe.epochs),
            weight_decay=WEIGHT_DECAY,
            group_by_length=True,
            seed=recipe.seed,
            data_seed=recipe.seed,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            save_only_model=True,
            load_best_model_at_end=True,
            metric_for_best_model="macro_f1",
            greater_is_better=True,
            logging_steps=max(1, steps // NOTES_PER_EPOCH),
            disable_tqdm=True,
            report_to=[],
            dataloader_pin_memory=torch.cuda.is_available(),
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=validation,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=_metrics,
            callbacks=[EarlyStoppingCallback(PATIENCE), Bar(stages, steps * recipe.epochs)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        state = trainer.state
    evaluations = [entry for entry in state.log_history if "eval_macro_f1" in entry]
    best = max(evaluations, key=lambda entry: entry["eval_macro_f1"])
    return Outcome(
        best_epoch=round(best["epoch"]),
        epochs_run=len(evaluations),
        macro_f1=best["eval_macro_f1"],
        accuracy=best["eval_accuracy"],
    )


def _metrics(evaluated: Any) -> dict[str, float]:
    guessed = np.argmax(evaluated.predictions, axis=-1)
    return {
        "macro_f1": float(f1_score(evaluated.label_ids, guessed, average="macro", zero_division=0)),
        "accuracy": float(accuracy_score(evaluated.label_ids, guessed)),
    }
