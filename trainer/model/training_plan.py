"""The plan of a training: its loss, its arithmetic precision and an estimate of its duration."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from stream.bundle import HeadKind
from stream.errors import DeviceError
from stream.runtime import usable_cores
from trainer.config import Checkpoints, LossName, Recipe, RequestedPrecision
from trainer.model.encoding import IGNORED, WindowDataset
from trainer.processes import process_count, processes_here

TIMED_BATCHES = 3
FORWARD_SHARE = 1 / 3
"""The cost of a forward pass relative to a training step, which has about three times the arithmetic."""

LOSS_BATCH = 32
"""The windows of one batch of `mean_loss`."""

# For gamma < 1 the slope of x**gamma is infinite at 0.
MIN_FOCAL_BASE = 1e-6

Loss = Callable[[Any, Any], Any]
"""A function of logits and targets that returns the *sum* of the losses of all items, not their mean."""

ComputePrecision = Literal["fp32", "bf16", "fp16"]
"""A `RequestedPrecision` after `auto` has been resolved."""

Validate = Callable[[Any], Mapping[str, float]]
"""A function that returns the validation metrics of a model."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss that training minimises, and the metric that selects the best epoch.

    Attributes:
        collate: pads items of a `WindowDataset` to a batch.
        loss: the training loss.
        validate: computes the validation metrics.
        metric: the name of the validation metric that selects the best evaluation.
        larger: whether a larger value of this metric is better.
    """

    collate: Callable[[Any], Mapping[str, Any]]
    loss: Loss
    validate: Validate
    metric: str
    larger: bool = True


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The settings of a training, resolved for this machine.

    Attributes:
        recipe: the hyper-parameters.
        precision: the precision of the arithmetic; the weights stay float32.
        checkpoints: the folder for checkpoints; by default a temporary folder that is removed at the end.
    """

    recipe: Recipe
    precision: ComputePrecision
    checkpoints: Checkpoints = field(default_factory=Checkpoints)


def make_loss(
    head: HeadKind,
    name: LossName = "default",
    weights: Sequence[float] | None = None,
    gamma: float = 2.0,
    smoothing: float = 0.0,
) -> Loss:
    """Return the loss of a head.

    | head | default | logits | targets |
    |---|---|---|---|
    | single-label | cross-entropy | float [rows, labels] | int64 [rows] |
    | token | cross-entropy | float [rows, tokens, labels] | int64 [rows, tokens], -100 for ignored tokens |
    | multi-label | binary cross-entropy | float [rows, labels] | float [rows, labels], 0 or 1 |
    | regression | squared error | float [rows, 1] | float [rows], standardised |

    Args:
        head: the head of the model.
        name: the loss of the head, or `focal` (Lin et al. 2017, "Focal Loss for Dense Object Detection"),
            which scales the loss of an item by (1 - probability of the target) ** gamma.
        weights: one weight per label. For single-label and token, the weight scales the loss of all items
            with that label; for multi-label, only the loss of the positive items.
        gamma: the exponent of the focal loss; 0 gives the plain loss.
        smoothing: the share of a target that is spread evenly over all labels (label smoothing, Szegedy et
            al. 2016); for the plain cross-entropy only.

    Raises:
        ValueError: a regression gets weights or the focal loss, or another loss than the plain cross-entropy
            gets label smoothing.
    """
    if head == "regression" and (name == "focal" or weights is not None):
        raise ValueError("a regression supports only the plain squared error")
    if smoothing and (name == "focal" or head not in ("single-label", "token")):
        raise ValueError("label smoothing needs the plain cross-entropy")
    if head == "regression":
        return squared_error
    # The tensor is created once here; the losses move it to the device of the logits.
    given = None if weights is None else torch.tensor(list(weights), dtype=torch.float32)
    power = gamma if name == "focal" else 0.0
    if head == "multi-label":
        return lambda logits, targets: binary_cross_entropy(logits, targets, given, power)
    return lambda logits, targets: cross_entropy(logits, targets, given, power, smoothing)


def cross_entropy(
    logits: Any, targets: Any, weights: Any = None, gamma: float = 0.0, smoothing: float = 0.0
) -> Any:
    """Sum weight[target] x (1 - p)**gamma x -log p over all items, with p the probability of the target."""
    rows, truth = logits.flatten(0, -2).float(), targets.flatten()
    moved = None if weights is None else weights.to(rows.device)
    if not gamma:
        return functional.cross_entropy(
            rows, truth, weight=moved, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing
        )
    plain = functional.cross_entropy(rows, truth, ignore_index=IGNORED, reduction="none")
    focal = (1 - torch.exp(-plain)).clamp(min=MIN_FOCAL_BASE) ** gamma * plain
    if moved is not None:
        # The clamp avoids an invalid index; the plain loss of ignored items is 0.
        focal = focal * moved[truth.clamp(min=0)]
    return focal.sum()


def binary_cross_entropy(logits: Any, targets: Any, weights: Any = None, gamma: float = 0.0) -> Any:
    """Sum (1 - p)**gamma x binary cross-entropy over rows and labels; `weights` scale the positive items."""
    scores, truth = logits.float(), targets.float()
    moved = None if weights is None else weights.to(scores.device)
    plain = functional.binary_cross_entropy_with_logits(scores, truth, pos_weight=moved, reduction="none")
    if not gamma:
        return plain.sum()
    probability = torch.sigmoid(scores)
    missed = torch.where(truth > 0.5, 1 - probability, probability)
    return (missed.clamp(min=MIN_FOCAL_BASE) ** gamma * plain).sum()


def squared_error(logits: Any, targets: Any) -> Any:
    """Sum the squared differences of all rows, in standardised units."""
    return functional.mse_loss(logits.squeeze(-1).float(), targets.float(), reduction="sum")


def mean_loss(
    model: Any, rows: WindowDataset, loss: Loss, collate: Callable[[Any], Mapping[str, Any]]
) -> float:
    """Return the loss of a model on a data set, averaged over its items; the model is in eval mode after it.

    Args:
        model: the classifier, on any device.
        rows: the windows with their targets.
        loss: the loss of the training.
        collate: pads items to a batch.
    """
    model.eval()
    total = items = 0.0
    order = np.argsort(rows.lengths, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), LOSS_BATCH):
            batch = collate([rows[at] for at in order[start : start + LOSS_BATCH].tolist()])
            moved = {name: tensor.to(model.device) for name, tensor in batch.items()}
            targets = moved.pop("labels")
            total += float(loss(model(**moved).logits, targets))
            items += int((targets != IGNORED).sum())
    return total / max(1.0, items)


def device_name() -> str:
    """Return the device for training: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(requested: RequestedPrecision) -> ComputePrecision:
    """Return the precision for training on this machine.

    `auto` selects bf16 if the device supports it natively (NVIDIA GPUs from Ampere on; CPUs with AVX512-BF16
    or AMX, on which a training step of MiniLM is 2.5 times as fast), fp16 on older NVIDIA GPUs, and fp32
    otherwise.

    Raises:
        DeviceError: fp16 is requested without an NVIDIA GPU, or bf16 on mps.
    """
    device = device_name()
    if requested == "fp32":
        return "fp32"
    if requested == "fp16" and device != "cuda":
        raise DeviceError(
            "--precision fp16 is not supported on this machine",
            cause=f"gradient scaling for fp16 needs an NVIDIA GPU; this machine trains on {device}",
            fix="use --precision auto",
        )
    if requested == "bf16" and device == "mps":
        raise DeviceError(
            "--precision bf16 is not supported on this machine",
            cause="training on mps does not support bf16",
            fix="use --precision auto",
        )
    if requested != "auto":
        return requested
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device == "cpu" and _cpu_supports_bf16() else "fp32"


def estimate_seconds(
    model: Any, train: WindowDataset, validation_rows: int, objective: Objective, plan: TrainingPlan
) -> float:
    """Estimate the seconds that a training takes if it does not stop early, to within about 20%.

    The function times forward and backward passes of one batch of short, one of medium and one of long
    windows. It changes no weights; the training sets the seed again.

    Args:
        model: the classifier; it is moved to the training device.
        train: the training dataset.
        validation_rows: the number of rows of an evaluation.
        objective: the collator and the loss.
        plan: batch size, epochs and precision.
    """
    torch.set_num_threads(max(1, usable_cores() // processes_here()))
    device = device_name()
    recipe = plan.recipe
    model.to(device).train()
    batches = [
        {name: tensor.to(device) for name, tensor in objective.collate([train[at] for at in batch]).items()}
        for batch in _timed_batches(train.lengths, recipe.batch_size)
    ]
    # The first pass allocates memory and selects kernels, so it is not timed.
    _forward_backward(model, batches[0], objective.loss, plan.precision)
    started = time.perf_counter()
    for batch in batches:
        _forward_backward(model, batch, objective.loss, plan.precision)
    seconds = (time.perf_counter() - started) / len(batches)
    model.zero_grad(set_to_none=True)
    processes = process_count()
    batches_run = recipe.total_steps(len(train), processes) * recipe.gradient_accumulation
    evaluated_rows = recipe.evaluations(len(train), processes) * validation_rows
    return seconds * (batches_run + FORWARD_SHARE * evaluated_rows / recipe.batch_size)


def _timed_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Return the window numbers of the timed batches, from different quantiles of the lengths."""
    order = np.argsort(lengths, kind="stable")
    centres = [(2 * at + 1) * len(order) // (2 * TIMED_BATCHES) for at in range(TIMED_BATCHES)]
    return [order[max(0, centre - size // 2) :][:size].tolist() for centre in centres]


def _forward_backward(model: Any, batch: dict[str, Any], loss: Loss, precision: ComputePrecision) -> None:
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    with torch.autocast(device_name(), dtype=dtype, enabled=precision != "fp32"):
        total = loss(model(**inputs).logits, batch["labels"])
    total.backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _cpu_supports_bf16() -> bool:
    # Older versions of torch have no get_capabilities; fp32 is then the safe choice.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
