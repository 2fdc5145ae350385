"""A training of a few steps with a tiny BERT, for tests of the training procedure."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console
from transformers import set_seed

from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.config import Checkpoints, ModelLocation, Recipe
from trainer.data.examples import Example
from trainer.model.base_model import load_classifier, load_tokenizer
from trainer.model.encoding import Collator, Preprocessing, WindowDataset
from trainer.model.finetune import TrainingResult, finetune
from trainer.model.targets import row_dataset
from trainer.model.training_plan import Loss, Objective, TrainingPlan, make_loss
from trainer.progress import Stages

ROWS = 24
KINDS = ("billing", "refund", "delivery", "login", "bug", "cancel")


class Interruption(Exception):
    """Raised within a training in the place of a kill."""


class TinyTraining:
    """A model, its rows, and a scripted validation metric."""

    def __init__(self, folder: Path, rows: int = ROWS, head: str = "linear") -> None:
        save_tiny_base(folder)
        self._base = ModelLocation(str(folder), "tiny", local=True)
        _, self.tokenizer = load_tokenizer(self._base)
        examples = [
            Example(at + 1, f"{TEXTS[at % len(TEXTS)]} {'more words ' * (at % 5)}", KINDS[at % 12 // 2])
            for at in range(rows)
        ]
        self.dataset: WindowDataset = row_dataset(
            self.tokenizer, examples, LABELS, "single-label", Preprocessing(64), None
        )
        self.head: Any = head
        self.evaluated: list[dict[str, torch.Tensor]] = []
        self.losses = 0
        self.output = io.StringIO()

    def run(
        self,
        recipe: Recipe,
        values: Iterable[float] | Callable[[Any], float] = (),
        *,
        checkpoints: Checkpoints = Checkpoints(),
        metric: str = "macro_f1",
        larger: bool = True,
        interrupt_at: int | None = None,
    ) -> tuple[Any, TrainingResult]:
        """Train a new model.

        Args:
            recipe: the hyper-parameters.
            values: the metric of each evaluation from the start of the training, or a function of the model.
            checkpoints: where checkpoints are kept.
            metric: the name of the metric.
            larger: whether a larger value is better.
            interrupt_at: the loss, counted from 1, that raises `Interruption`.

        Returns:
            The model and the result.
        """
        set_seed(recipe.seed)
        model = load_classifier(self._base, self.tokenizer, LABELS, classifier=self.head)
        script = iter(values) if not callable(values) else None
        self.evaluated, self.losses = [], 0
        plain = make_loss("single-label")

        def validate(fitted: Any) -> dict[str, float]:
            fitted.eval()
            self.evaluated.append({name: value.clone() for name, value in fitted.state_dict().items()})
            value = values(fitted) if callable(values) else next(script)  # type: ignore[arg-type]
            return {metric: value}

        def loss(logits: Any, targets: Any) -> Any:
            self.losses += 1
            if self.losses == interrupt_at:
                raise Interruption
            return plain(logits, targets)

        counted: Loss = loss
        objective = Objective(Collator(self.tokenizer), counted, validate, metric, larger)
        console = Console(file=self.output, width=200)
        # Several threads for tensors of this size would only wait for each other on a busy machine.
        with patch("trainer.model.finetune.usable_cores", return_value=1), Stages(console) as stages:
            result = finetune(
                model, self.dataset, objective, TrainingPlan(recipe, "fp32", checkpoints), stages
            )
        return model, result


def equal_weights(model: Any, weights: Any) -> bool:
    """Return whether a model has exactly these weights, given as another model or as a state dictionary."""
    found = model.state_dict()
    expected = weights if isinstance(weights, dict) else weights.state_dict()
    return all(torch.equal(found[name], expected[name]) for name in expected)
