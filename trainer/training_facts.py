"""The facts about a training that metrics.json, the manifest and the trackers record."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainer.config import ModelLocation, TrainingConfig
from trainer.data.examples import SHARES, Data, Splits
from trainer.data.read import data_digest
from trainer.data.sources import HUB_ID
from trainer.model.finetune import TrainingResult
from trainer.model.training_plan import Objective


def config_metrics(
    config: TrainingConfig, base: ModelLocation, imbalance: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings that affect the result, for metrics.json and the checkpoint folder."""
    return {
        "base_model": base.name,
        "task": config.task,
        **config.recipe.model_dump(),
        "windows": config.windows.model_dump() if config.windows else None,
        "imbalance": imbalance,
    }


def result_metrics(result: TrainingResult, objective: Objective) -> dict[str, Any]:
    return {
        "epochs_run": result.epochs_run,
        "best_epoch": result.best_epoch,
        "steps_run": result.steps_run,
        "best_step": result.best_step,
        "chosen_by": objective.metric,
        "history": result.history,
    }


def split_assignments(splits: Splits) -> list[tuple[int, str | None, str]]:
    """Return row number, id and split of every row."""
    return sorted((example.row, example.id, name) for name in SHARES for example in getattr(splits, name))


def _hub_id(data: Data) -> dict[str, str]:
    """Return the Hub id of the data, OWNER/NAME or OWNER/NAME:CONFIG, for the model card."""
    name = data.path.as_posix()
    is_hub_id = not data.files and HUB_ID.fullmatch(name) and not data.path.exists()
    return {"hub_id": name} if is_hub_id else {}


def tracked_facts(data: Data, splits: Splits) -> dict[str, Any]:
    """Return the facts about the data that identify a run in a tracker; the manifest has the others."""
    return {
        name: value
        for name, value in data_facts(data, splits).items()
        if name in ("file", "sha256", "rows", "splits")
    }


def data_facts(data: Data, splits: Splits) -> dict[str, Any]:
    """Return the description of the data in the bundle's manifest."""
    return {
        "file": data.path.name,
        "sha256": data_digest(data),
        "rows": len(data.examples),
        "left_out": {
            "no_text": len(data.no_text),
            "no_label": len(data.empty_labels),
            "no_number": len(data.no_number),
        },
        "class_counts": data.class_counts,
        "splits": splits.sizes,
        **_hub_id(data),
        "columns": {role: name for role, name in asdict(data.columns).items() if name},
    }
