"""A training from data to bundle, top to bottom."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers import set_seed

from stream.bundle import Bundle
from trainer.base_model import BaseModel, load_classifier, load_tokenizer, longest_input
from trainer.data import Data, Example, data_digest
from trainer.data_report import show_lengths, show_splits
from trainer.evaluate import evaluate
from trainer.export import check_exportable, export_onnx
from trainer.finetune import Outcome, Rows, finetune
from trainer.inference import torch_logits
from trainer.package import ONNX_FILE, About, build_bundle, staging_folder, write_splits
from trainer.progress import Stages
from trainer.quiet import silence_libraries
from trainer.recipe import Recipe
from trainer.report import show_cost, show_per_label, show_result
from trainer.splits import SHARES, Splits, split


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    name: str
    store: Path
    base: BaseModel
    recipe: Recipe


def run(data: Data, request: Request, console: Console) -> Bundle:
    """Split, fine-tune, evaluate, export, prove, publish.

    Raises:
        UsageError: the data cannot be split, or the base model cannot be used.
        BundleError: the exported graph does not say what the trained model says.
    """
    silence_libraries()
    with console.status(f"loading the tokenizer of {request.base.name}"):
        config, tokenizer = load_tokenizer(request.base)
    check_exportable(config.model_type)
    recipe = _capped(request.recipe, longest_input(config, tokenizer))
    splits = split(data, recipe.seed)
    show_splits(console, data, splits)
    encoded = tokenizer([example.text for example in data.examples], truncation=False)
    show_lengths(console, [len(ids) for ids in encoded["input_ids"]], recipe.max_length)
    show_cost(console, request.base.name, recipe, len(splits.train))

    set_seed(recipe.seed)
    with staging_folder(request.store, request.name) as staging:
        with console.status(f"loading {request.base.name}"):
            model = load_classifier(request.base, tokenizer, data.labels)
        with console.status("trying the export before anything is trained"):
            export_onnx(model, staging / ONNX_FILE)
        with Stages(console) as stages:
            number = {label: at for at, label in enumerate(data.labels)}

            def rows(part: list[Example]) -> Rows:
                return Rows(tokenizer, _texts(part), [number[e.names[0]] for e in part], recipe.max_length)

            outcome = finetune(model, tokenizer, rows(splits.train), rows(splits.validation), recipe, stages)
            told = stages.stage("evaluate", len(splits.test))
            logits = torch_logits(model, tokenizer, _texts(splits.test), recipe.max_length, told)
            test = evaluate(logits, [number[example.names[0]] for example in splits.test], data.labels)
            metrics = {
                "training": _training(request, recipe, outcome),
                "validation": _validation(outcome),
                "test": test,
            }
            write_splits(staging / "splits.csv", _assignments(splits))
            bundle = build_bundle(
                staging,
                model,
                tokenizer,
                _texts(splits.validation),
                recipe.max_length,
                About(request.name, _data_facts(data, splits), metrics),
                request.store,
                stages.stage,
                warn=lambda line: console.print(f"[yellow]{escape(line)}[/]"),
            )
    show_per_label(console, test)
    show_result(console, bundle, metrics)
    return bundle


def _capped(recipe: Recipe, longest: int) -> Recipe:
    return replace(recipe, max_length=min(recipe.max_length, longest))


def _texts(part: list[Example]) -> list[str]:
    return [example.text for example in part]


def _assignments(splits: Splits) -> list[tuple[int, str | None, str]]:
    return sorted((example.row, example.id, name) for name in SHARES for example in getattr(splits, name))


def _data_facts(data: Data, splits: Splits) -> dict[str, Any]:
    return {
        "file": data.path.name,
        "sha256": data_digest(data),
        "rows": len(data.examples),
        "left_out": {"no_text": len(data.no_text), "no_label": len(data.no_label)},
        "class_counts": data.class_counts,
        "splits": splits.sizes,
        "columns": {role: name for role, name in asdict(data.columns).items() if name},
    }


def _training(request: Request, recipe: Recipe, outcome: Outcome) -> dict[str, Any]:
    return {
        "base_model": request.base.name,
        **asdict(recipe),
        "epochs_run": outcome.epochs_run,
        "best_epoch": outcome.best_epoch,
    }


def _validation(outcome: Outcome) -> dict[str, float]:
    return {"macro_f1": outcome.macro_f1, "accuracy": outcome.accuracy}
