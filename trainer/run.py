"""A training from data to bundle, top to bottom."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers import set_seed

from stream.bundle import Bundle
from stream.classify.inputs import TextInput
from trainer.config import BaseModel, TrainingConfig, bundle_name
from trainer.data.duplicates import find_leaks
from trainer.data.examples import Data, Example
from trainer.data.imbalance import balance, balance_metrics, loss_weights
from trainer.data.read import data_digest
from trainer.data.report import show_leaks, show_lengths, show_metadata, show_splits
from trainer.data.splits import SHARES, Splits, split_examples
from trainer.evaluation.evaluator import DecisionRule, Evaluator, ModelOutput
from trainer.evaluation.metrics import HEADLINE
from trainer.export.graph import check_exportable, export_onnx
from trainer.export.package import ONNX_FILE, About, build_bundle, staging_folder, write_splits
from trainer.figures import FIGURES
from trainer.learning_task import define_task
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input
from trainer.model.checkpoints import claim
from trainer.model.cost import estimate_seconds
from trainer.model.encoding import token_counts
from trainer.model.finetune import Objective, Outcome, finetune
from trainer.model.layers import freeze_layers, trainable_parameters
from trainer.model.lora import add_adapters, merged
from trainer.model.losses import make_loss
from trainer.model.precision import choose_precision, device_name
from trainer.progress import Stages
from trainer.report import show_cost, show_per_label, show_result
from trainer.silence import silence_libraries


def run(data: Data, config: TrainingConfig, base: BaseModel, console: Console) -> Bundle:
    """Split, balance, fine-tune, calibrate, evaluate, export, verify and publish.

    Args:
        data: the labelled examples.
        config: the settings of the training.
        base: the pretrained model.
        console: the output for progress and results.

    Raises:
        UsageError: the data cannot be split, or the base model cannot be used with these settings.
        BundleError: the exported graph does not match the trained model.
        DeviceError: the device does not compute in the requested precision.
    """
    silence_libraries()
    name = bundle_name(config.name, data.path.stem)

    # The model's own limit bounds the length of a text.
    with console.status(f"loading the tokenizer of {base.name}"):
        model_config, tokenizer = load_tokenizer(base)
    check_exportable(model_config.model_type, token=data.task == "token")
    config = config.limited_to(longest_input(model_config, tokenizer))
    recipe = config.recipe

    # Split the data.
    splits = split_examples(data.examples, recipe.seed)
    show_splits(console, data, splits)
    leaked = find_leaks(splits)
    show_leaks(console, leaked)
    task = define_task(data, splits.train, config)
    show_metadata(console, splits, task.metadata or [])
    show_lengths(console, token_counts(tokenizer, _inputs(data.examples)), recipe.max_length)

    # Balance the training part; validation and test keep their frequencies.
    training = balance(splits.train, config.imbalance, recipe.seed)
    weights = loss_weights(training, task.labels, task.head, config.imbalance)
    imbalance = balance_metrics(len(splits.train), len(training), task.labels, weights, config.imbalance)
    settings = _config_metrics(config, base, imbalance)
    claim(config.checkpoints, {**settings, "data": data_digest(data)})

    with staging_folder(config.bundle_store, name) as staging:
        # Add a new head to the base model, and try the export before time is spent on training.
        set_seed(recipe.seed)
        with console.status(f"loading {base.name}"):
            model = load_classifier(
                base,
                tokenizer,
                task.labels,
                head=task.head,
                layers=recipe.head,
                metadata=task.metadata or [],
            )
        with console.status("trying the export before the training"):
            width = sum(column.width for column in task.metadata or [])
            export_onnx(model, staging / ONNX_FILE, token=task.head == "token", metadata_columns=width)
        freeze_layers(model, recipe.freeze_layers)
        if recipe.lora is not None:
            model = add_adapters(model, recipe.lora)

        # Fine-tune; the validation part selects the best epoch.
        rows = task.rows(tokenizer, training)
        validation, test = task.judge(tokenizer, splits.validation), task.judge(tokenizer, splits.test)

        def validate(fitted: Any) -> dict[str, float]:
            scores = validation.score(task.logits(fitted, tokenizer, splits.validation), resamples=0)
            return {figure: scores[figure] for figure in FIGURES if figure in scores}

        objective = Objective(
            collate=task.collator(tokenizer),
            loss=make_loss(task.head, recipe.loss, weights, recipe.gamma, recipe.label_smoothing),
            validate=validate,
            metric=HEADLINE[task.head],
        )
        precision = choose_precision(recipe.precision)
        learning, parameters = trainable_parameters(model)
        with console.status("timing a few steps"):
            seconds = estimate_seconds(
                model,
                objective.collate,
                rows,
                len(splits.validation),
                objective.loss,
                recipe,
                precision,
            )
        show_cost(console, base.name, recipe, len(rows), seconds, precision, learning / parameters)
        with Stages(console) as stages:
            outcome = finetune(model, rows, objective, recipe, precision, stages, config.checkpoints)
            if recipe.lora is not None:
                model = merged(model)

            # Calibrate on the validation part, then evaluate on both.
            outputs = {}
            for part, judge in (("validation", validation), ("test", test)):
                advance = stages.stage(f"infer {part}", len(judge.examples))
                outputs[part] = task.logits(model, tokenizer, judge.examples, advance)
            answers, calibration = _calibrate(validation, test, outputs, config.abstain_below)
            metrics: dict[str, Any] = {
                "training": {
                    **settings,
                    "precision": precision,
                    "device": device_name(),
                    "parameters": parameters,
                    "parameters_learning": learning,
                    **_outcome_metrics(outcome, objective),
                },
                "leaks": leaked.as_metrics(),
                "calibration": calibration,
                "validation": validation.score(outputs["validation"], answers),
                "test": test.score(outputs["test"], answers),
            }

            # Export, verify the export on validation rows, and publish the bundle.
            def score_rows(places: Sequence[int], output: ModelOutput) -> float:
                judge = task.judge(tokenizer, [splits.validation[at] for at in places])
                return float(judge.score(output, answers, resamples=0)[HEADLINE[task.head]])

            write_splits(staging / "splits.csv", _assignments(splits))
            bundle = build_bundle(
                staging,
                model,
                tokenizer,
                task.served(answers),
                _inputs(splits.validation),
                About(name, _data_facts(data, splits), metrics),
                config.bundle_store,
                stages.stage,
                warn=lambda line: console.print(f"[yellow]{escape(line)}[/]"),
                calibration=_inputs(splits.train),
                metric=score_rows,
            )
    show_per_label(console, metrics["test"])
    show_result(console, bundle, metrics)
    return bundle


def _calibrate(
    validation: Evaluator, test: Evaluator, outputs: Mapping[str, ModelOutput], abstain_below: float | None
) -> tuple[DecisionRule, dict[str, Any] | None]:
    """Return the decisions that suit the validation part, and the metrics of their calibration."""
    found = validation.calibrate(outputs["validation"])
    if found is None:
        return DecisionRule(), None
    thresholds = validation.thresholds(outputs["validation"], found.temperature)
    before, after = (test.calibration_error(outputs["test"], at) for at in (1.0, found.temperature))
    calibration = {**found.as_metrics(), "test": {"ece_before": before, "ece_after": after}}
    return DecisionRule(found.temperature, thresholds, abstain_below), calibration


def _config_metrics(config: TrainingConfig, base: BaseModel, balance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the result, as metrics.json and the checkpoint folder hold them."""
    return {
        "base_model": base.name,
        "task": config.task,
        **config.recipe.model_dump(),
        "windows": config.windows.model_dump() if config.windows else None,
        "imbalance": balance,
    }


def _outcome_metrics(outcome: Outcome, objective: Objective) -> dict[str, Any]:
    return {
        "epochs_run": outcome.epochs_run,
        "best_epoch": outcome.best_epoch,
        "chosen_by": objective.metric,
    }


def _inputs(examples: Sequence[Example]) -> list[TextInput]:
    return [example.input for example in examples]


def _assignments(splits: Splits) -> list[tuple[int, str | None, str]]:
    """Return row number, id and split of every row."""
    return sorted((example.row, example.id, name) for name in SHARES for example in getattr(splits, name))


def _data_facts(data: Data, splits: Splits) -> dict[str, Any]:
    """Return the description of the data in the bundle's manifest."""
    return {
        "file": data.path.name,
        "sha256": data_digest(data),
        "rows": len(data.examples),
        "left_out": {"no_text": len(data.no_text), "no_label": len(data.no_label)},
        "class_counts": data.class_counts,
        "splits": splits.sizes,
        "columns": {role: name for role, name in asdict(data.columns).items() if name},
    }
