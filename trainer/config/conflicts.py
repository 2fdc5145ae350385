"""The combinations of flags that are refused, in one table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from stream.bundle import Task
from stream.errors import UsageError
from trainer.config.settings import SettingsGroup


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two flags that contradict each other.

    Attributes:
        flag: the flag that the user has to leave out.
        other: the flag or the input that it contradicts.
        cause: the reason.
        found: returns whether a configuration holds both.
    """

    flag: str
    other: str
    cause: str
    found: Callable[[Any], bool]


def refuse_conflicts(config: SettingsGroup, conflicts: Sequence[Conflict]) -> None:
    """Check a configuration against a table of conflicts.

    Raises:
        UsageError: the configuration holds two settings that contradict each other.
    """
    for conflict in conflicts:
        if conflict.found(config):
            raise UsageError(
                f"{conflict.flag} cannot be combined with {conflict.other}",
                cause=conflict.cause,
                fix=f"leave {conflict.flag} out",
            )


def _with_tasks(flag: str, tasks: Sequence[Task], cause: str, given: Callable[[Any], bool]) -> list[Conflict]:
    """Return one conflict for each task that the flag cannot be combined with."""

    def conflict(task: Task) -> Conflict:
        return Conflict(flag, f"--task {task}", cause, lambda config: config.task == task and given(config))

    return [conflict(task) for task in tasks]


def _except(*tasks: Task) -> list[Task]:
    return [task for task in get_args(Task) if task not in tasks]


_NUMBER = "a regression predicts a number, not one of several labels"
_SMOOTHING = "label smoothing is part of the cross-entropy, which is not used here"
_PAIR = "windows are cut from one text; a pair is truncated, the longer text first"
_LORA = "LoRA freezes the whole encoder"

DATA_CONFLICTS: tuple[Conflict, ...] = (
    Conflict(
        "--dataset-config",
        "data that --dataset-name does not name",
        "only a data set on the Hub has configurations",
        lambda config: config.dataset_config is not None and config.dataset_name is None,
    ),
    *_with_tasks(
        "--label-columns",
        _except("multi-label"),
        "a row has one target, in one column",
        lambda config: bool(config.label_columns),
    ),
    Conflict(
        "--label-columns",
        "--label-column",
        "both flags name the columns of the labels",
        lambda config: bool(config.label_columns and config.label_column),
    ),
    *_with_tasks(
        "--ordinal",
        _except("single-label", "pair"),
        "only classes can be ordered",
        lambda config: config.ordinal,
    ),
    *_with_tasks(
        "--decimal",
        _except("regression"),
        "only the numbers of a regression have a decimal mark",
        lambda config: config.decimal is not None,
    ),
    *_with_tasks(
        "--tag-scheme",
        _except("token"),
        "only the task token reads tags",
        lambda config: config.tag_scheme is not None,
    ),
    *_with_tasks(
        "--text-pair-column",
        ["token"],
        "tags belong to the words of one text",
        lambda config: bool(config.text_pair_column),
    ),
)
TRAINING_CONFLICTS: tuple[Conflict, ...] = (
    Conflict(
        "--max-train-samples, --max-eval-samples or --max-predict-samples",
        "--cross-validate",
        "cross-validation predicts every row",
        lambda config: config.cross_validate is not None and any(config.recipe.samples.model_dump().values()),
    ),
    Conflict(
        "--windows",
        "a second text",
        _PAIR,
        lambda config: (
            config.windows is not None and (config.task == "pair" or config.data.text_pair_column is not None)
        ),
    ),
    *_with_tasks("--abstain-below", ["regression"], _NUMBER, lambda config: config.abstain_below is not None),
    *_with_tasks(
        "--class-weights",
        ["regression"],
        _NUMBER,
        lambda config: config.imbalance.class_weights is not None,
    ),
    *_with_tasks("--sampling", ["regression"], _NUMBER, lambda config: config.imbalance.sampling is not None),
    *_with_tasks("--loss focal", ["regression"], _NUMBER, lambda config: config.recipe.loss == "focal"),
    *_with_tasks(
        "--augment",
        ["token"],
        "changed words would lose their tags",
        lambda config: bool(config.imbalance.augment),
    ),
    Conflict(
        "--label-smoothing",
        "--loss focal",
        _SMOOTHING,
        lambda config: config.recipe.label_smoothing > 0 and config.recipe.loss == "focal",
    ),
    *_with_tasks(
        "--label-smoothing",
        ["multi-label", "regression"],
        _SMOOTHING,
        lambda config: config.recipe.label_smoothing > 0,
    ),
    Conflict(
        "--freeze-layers",
        "--lora",
        _LORA,
        lambda config: config.recipe.lora is not None and config.recipe.freeze_layers > 0,
    ),
    Conflict(
        "--layer-decay",
        "--lora",
        _LORA,
        lambda config: config.recipe.lora is not None and config.recipe.layer_decay != 1,
    ),
)
