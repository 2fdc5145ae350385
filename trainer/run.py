"""A training from data to bundle, top to bottom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers import set_seed

from stream.bundle import Bundle
from stream.classify.inputs import TextInput
from trainer.data.balance import balance_metrics, balanced, loss_weights
from trainer.data.duplicates import leaks
from trainer.data.read import Data, Example, data_digest
from trainer.data.report import show_leaks, show_lengths, show_metadata, show_splits
from trainer.data.splits import SHARES, Splits, split
from trainer.evaluation.evaluate import HEADLINE
from trainer.evaluation.judge import Answers, Judge, Output
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource
from trainer.export.graph import check_exportable, export_onnx
from trainer.export.package import ONNX_FILE, build_bundle, staging_folder, write_splits
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input
from trainer.model.batches import WindowDataset
from trainer.model.checkpoints import claim_folder
from trainer.model.encoding import token_counts
from trainer.model.finetune import TrainingResult, finetune
from trainer.model.layers import add_adapters, freeze_layers, merge_adapters, trainable_parameters
from trainer.model.losses import make_loss
from trainer.model.training_plan import (
    Objective,
    TrainingPlan,
    choose_precision,
    device_name,
    estimate_seconds,
)
from trainer.problem import Problem, problem_of
from trainer.progress import Stages
from trainer.quiet import silence_libraries
from trainer.recipe import Recipe
from trainer.report import FIGURES, show_cost, show_per_label, show_result
from trainer.request import Request


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a training starts from.

    Attributes:
        problem: what is learnt.
        tokenizer: of the base model.
        splits: the parts as they were cut.
        learnt_from: the training rows after sampling and augmentation.
        weights: of the labels in the loss.
        judges: of the validation and the test part.
    """

    problem: Problem
    tokenizer: Any
    splits: Splits
    learnt_from: list[Example]
    weights: list[float] | None
    judges: Mapping[str, Judge]


def run(data: Data, request: Request, console: Console) -> Bundle:
    """Split, fine-tune, calibrate, evaluate, export, prove, publish.

    Raises:
        UsageError: the data cannot be split, or the base model cannot be used as was asked for.
        BundleError: the exported graph does not say what the trained model says.
        DeviceError: the device does not compute in the precision that was asked for.
    """
    silence_libraries()
    with console.status(f"loading the tokenizer of {request.base.name}"):
        config, tokenizer = load_tokenizer(request.base)
    check_exportable(config.model_type, token=data.task == "token")
    request = _capped(request, longest_input(config, tokenizer))

    splits = split(data, request.recipe.seed)
    show_splits(console, data, splits)
    leaked = leaks(splits)
    show_leaks(console, leaked)
    prepared = _prepared(data, splits, tokenizer, request)
    show_metadata(console, splits, prepared.problem.metadata or [])
    show_lengths(console, token_counts(tokenizer, _inputs(data.examples)), request.recipe.max_length)

    claim_folder(request.checkpoints, {**_asked(prepared, request), "data": data_digest(data)})
    with staging_folder(request.store, request.name) as staging:
        model = _new_model(prepared, request, staging, console)
        objective = _objective(prepared, request.recipe)
        dataset = prepared.problem.dataset(tokenizer, prepared.learnt_from)
        plan = TrainingPlan(request.recipe, choose_precision(request.recipe.precision), request.checkpoints)
        means = _told_cost(model, dataset, objective, plan, prepared, request, console)
        with Stages(console) as stages:
            outcome = finetune(model, dataset, objective, plan, stages)
            model = model if request.recipe.lora is None else merge_adapters(model)
            answers, judged = _judged(model, prepared, request, stages)
            metrics = {
                "training": {**_asked(prepared, request), **means, **_came_to(outcome, objective)},
                "leaks": leaked.as_metrics(),
                **judged,
            }
            write_splits(staging / "splits.csv", _assignments(splits))
            source = BundleSource(
                model,
                tokenizer,
                prepared.problem.inference_config(answers),
                BundleInfo(request.name, _data_facts(data, splits), metrics),
                _inputs(splits.validation),
                calibration=_inputs(splits.train),
                metric=_metric(prepared, answers),
            )
            observer = BuildObserver(stages.stage, lambda line: console.print(f"[yellow]{escape(line)}[/]"))
            bundle = build_bundle(source, staging, request.store, observer)
    show_per_label(console, metrics["test"])
    show_result(console, bundle, metrics)
    return bundle


def _capped(request: Request, longest: int) -> Request:
    recipe = request.recipe
    return replace(request, recipe=replace(recipe, max_length=min(recipe.max_length, longest)))


def _prepared(data: Data, splits: Splits, tokenizer: Any, request: Request) -> Prepared:
    problem = problem_of(data, splits.train, request)
    learnt_from = balanced(splits.train, request.imbalance, request.recipe.seed)
    return Prepared(
        problem,
        tokenizer,
        splits,
        learnt_from,
        loss_weights(learnt_from, problem.labels, problem.head, request.imbalance),
        {name: problem.judge(tokenizer, getattr(splits, name)) for name in ("validation", "test")},
    )


def _new_model(prepared: Prepared, request: Request, staging: Path, console: Console) -> Any:
    """The base model with a new head, whose export was tried."""
    problem = prepared.problem
    set_seed(request.recipe.seed)
    with console.status(f"loading {request.base.name}"):
        model = load_classifier(
            request.base,
            prepared.tokenizer,
            problem.labels,
            head=problem.head,
            classifier=request.recipe.head,
            metadata=problem.metadata or [],
        )
    with console.status("trying the export before anything is trained"):
        columns = sum(column.width for column in problem.metadata or [])
        export_onnx(model, staging / ONNX_FILE, token=problem.head == "token", metadata_columns=columns)
    freeze_layers(model, request.recipe.freeze_layers)
    return model if request.recipe.lora is None else add_adapters(model, request.recipe.lora)


def _objective(prepared: Prepared, recipe: Recipe) -> Objective:
    """What is minimised, and what is looked at after each epoch."""
    problem, tokenizer, judge = prepared.problem, prepared.tokenizer, prepared.judges["validation"]

    def validate(fitted: Any) -> dict[str, float]:
        found = judge.score(problem.logits(fitted, tokenizer, judge.examples), resamples=0)
        return {name: found[name] for name in FIGURES if name in found}

    return Objective(
        collate=problem.collator(tokenizer),
        loss=make_loss(problem.head, recipe.loss, prepared.weights, recipe.gamma, recipe.label_smoothing),
        validate=validate,
        metric=HEADLINE[problem.head],
    )


def _told_cost(
    model: Any,
    dataset: WindowDataset,
    objective: Objective,
    plan: TrainingPlan,
    prepared: Prepared,
    request: Request,
    console: Console,
) -> dict[str, Any]:
    """Say what the training will take; returns what it computes with."""
    looked_at = len(prepared.splits.validation)
    with console.status("timing a few steps"):
        seconds = estimate_seconds(model, dataset, looked_at, objective, plan)
    learning, numbers = trainable_parameters(model)
    show_cost(
        console, request.base.name, plan.recipe, len(dataset), seconds, plan.precision, learning / numbers
    )
    return {
        "precision": plan.precision,
        "device": device_name(),
        "parameters": numbers,
        "parameters_learning": learning,
    }


def _judged(
    model: Any, prepared: Prepared, request: Request, stages: Stages
) -> tuple[Answers, dict[str, Any]]:
    """Temperature and thresholds by the validation part, and how good the answers are on both parts."""
    outputs: dict[str, Output] = {}
    for name, judge in prepared.judges.items():
        told = stages.stage(f"infer {name}", len(judge.examples))
        outputs[name] = prepared.problem.logits(model, prepared.tokenizer, judge.examples, told)
    validation, test = prepared.judges["validation"], prepared.judges["test"]
    found = validation.calibrate(outputs["validation"])
    if found is None:
        answers, calibration = Answers(), None
    else:
        thresholds = validation.thresholds(outputs["validation"], found.temperature)
        answers = Answers(found.temperature, thresholds, request.abstain_below)
        errors = [test.calibration_error(outputs["test"], at) for at in (1.0, found.temperature)]
        calibration = {
            **found.as_metrics(),
            "test": dict(zip(("ece_before", "ece_after"), errors, strict=True)),
        }
    scores = {name: judge.score(outputs[name], answers) for name, judge in prepared.judges.items()}
    return answers, {"calibration": calibration, **scores}


def _metric(prepared: Prepared, answers: Answers) -> Callable[[Sequence[int], Output], float]:
    """The task's own figure of some validation rows, for the variants' gate."""
    problem, examples = prepared.problem, prepared.splits.validation

    def metric(places: Sequence[int], output: Output) -> float:
        judge = problem.judge(prepared.tokenizer, [examples[at] for at in places])
        return float(judge.score(output, answers, resamples=0)[HEADLINE[problem.head]])

    return metric


def _asked(prepared: Prepared, request: Request) -> dict[str, Any]:
    windows = request.windows
    return {
        "base_model": request.base.name,
        "task": request.task,
        **asdict(request.recipe),
        "windows": windows.model_dump() if windows else None,
        "imbalance": balance_metrics(
            len(prepared.splits.train),
            len(prepared.learnt_from),
            prepared.problem.labels,
            prepared.weights,
            request.imbalance,
        ),
    }


def _came_to(outcome: TrainingResult, objective: Objective) -> dict[str, Any]:
    return {
        "epochs_run": outcome.epochs_run,
        "best_epoch": outcome.best_epoch,
        "chosen_by": objective.metric,
    }


def _inputs(examples: Sequence[Example]) -> list[TextInput]:
    return [example.input for example in examples]


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
