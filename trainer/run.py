"""The training procedure: from labelled data to a published bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers import set_seed

from stream.bundle import Bundle
from stream.classify import TextInput
from trainer.config import ModelLocation, TrainingConfig, bundle_name
from trainer.data.duplicates import find_leaks
from trainer.data.examples import SHARES, Data, Example, Splits
from trainer.data.imbalance import balance, balance_metrics, loss_weights
from trainer.data.read import data_digest
from trainer.data.splits import split_examples
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.evaluation.metrics import SELECTION_METRIC
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource
from trainer.export.graph import check_exportable, export_onnx
from trainer.export.package import ONNX_FILE, build_bundle, staging_folder, write_splits
from trainer.learning_task import define_task
from trainer.metric_titles import METRIC_TITLES
from trainer.model.base_model import load_classifier, load_tokenizer, longest_input
from trainer.model.encoding import token_counts
from trainer.model.finetune import TrainingResult, claim_checkpoint_folder, finetune
from trainer.model.inference import ModelOutput
from trainer.model.layers import add_adapters, freeze_layers, merge_adapters, trainable_parameters
from trainer.model.training_plan import (
    Objective,
    TrainingPlan,
    choose_precision,
    device_name,
    estimate_seconds,
    make_loss,
)
from trainer.progress import Stages, silence_libraries
from trainer.report import (
    show_cost,
    show_leaks,
    show_lengths,
    show_metadata,
    show_per_label,
    show_result,
    show_splits,
)


def run(data: Data, config: TrainingConfig, base: ModelLocation, console: Console) -> Bundle:
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

    # Load the tokenizer; the maximum length cannot exceed what the model can read.
    with console.status(f"loading the tokenizer of {base.name}"):
        model_config, tokenizer = load_tokenizer(base)
    check_exportable(model_config.model_type, token=data.task == "token")
    config = config.limited_to(longest_input(model_config, tokenizer))
    recipe = config.recipe

    # Split the data, and show them before training starts.
    splits = split_examples(data.examples, recipe.seed)
    show_splits(console, data, splits)
    leaks = find_leaks(splits)
    show_leaks(console, leaks)
    task = define_task(data, splits.train, config)
    show_metadata(console, splits, task.metadata)
    show_lengths(console, token_counts(tokenizer, _inputs(data.examples)), recipe.max_length)

    # Balance the training split; validation and test keep their label frequencies.
    training = balance(splits.train, config.imbalance, recipe.seed)
    weights = loss_weights(training, task.labels, task.head, config.imbalance)
    imbalance = balance_metrics(len(splits.train), len(training), task.labels, weights, config.imbalance)
    settings = _config_metrics(config, base, imbalance)
    claim_checkpoint_folder(config.checkpoints, {**settings, "data": data_digest(data)})

    with staging_folder(config.bundle_store, name) as staging:
        # Add a new head to the base model, and try the export before the time-consuming training.
        set_seed(recipe.seed)
        with console.status(f"loading {base.name}"):
            model = load_classifier(
                base,
                tokenizer,
                task.labels,
                head=task.head,
                classifier=recipe.head,
                metadata=task.metadata,
            )
        with console.status("trying the export before training"):
            export_onnx(
                model,
                staging / ONNX_FILE,
                token=task.head == "token",
                metadata_columns=task.preprocessing.metadata_width,
            )
        freeze_layers(model, recipe.freeze_layers)
        if recipe.lora is not None:
            model = add_adapters(model, recipe.lora)

        # Plan the training: its loss, its metric, its precision and an estimate of its duration.
        dataset = task.dataset(tokenizer, training)
        validation = task.evaluator(tokenizer, splits.validation)
        test = task.evaluator(tokenizer, splits.test)

        def validate(fitted: Any) -> dict[str, float]:
            metrics = validation.evaluate(task.logits(fitted, tokenizer, splits.validation), resamples=0)
            return {name: metrics[name] for name in METRIC_TITLES if name in metrics}

        objective = Objective(
            collate=task.collator(tokenizer),
            loss=make_loss(task.head, recipe.loss, weights, recipe.gamma, recipe.label_smoothing),
            validate=validate,
            metric=SELECTION_METRIC[task.head],
        )
        plan = TrainingPlan(recipe, choose_precision(recipe.precision), config.checkpoints)
        trained, parameters = trainable_parameters(model)
        with console.status("timing a few steps"):
            seconds = estimate_seconds(model, dataset, len(splits.validation), objective, plan)
        show_cost(console, base.name, recipe, len(dataset), seconds, plan.precision, trained / parameters)

        with Stages(console) as stages:
            # Fine-tune; the validation split selects the best epoch.
            result = finetune(model, dataset, objective, plan, stages)
            if recipe.lora is not None:
                model = merge_adapters(model)

            # Calibrate on the validation split, then evaluate on both held-out splits.
            outputs = {}
            for split, evaluator in (("validation", validation), ("test", test)):
                advance = stages.stage(f"infer {split}", len(evaluator.examples))
                outputs[split] = task.logits(model, tokenizer, evaluator.examples, advance)
            rule, calibration = _calibrate(validation, test, outputs, config.abstain_below)
            metrics: dict[str, Any] = {
                "training": {
                    **settings,
                    "precision": plan.precision,
                    "device": device_name(),
                    "parameters": parameters,
                    "parameters_learning": trained,
                    **_result_metrics(result, objective),
                },
                "leaks": leaks.as_metrics(),
                "calibration": calibration,
                "validation": validation.evaluate(outputs["validation"], rule),
                "test": test.evaluate(outputs["test"], rule),
            }

            # Export, verify the export on validation rows, and publish the bundle.
            def score_rows(indices: Sequence[int], output: ModelOutput) -> float:
                evaluator = task.evaluator(tokenizer, [splits.validation[index] for index in indices])
                return float(evaluator.evaluate(output, rule, resamples=0)[SELECTION_METRIC[task.head]])

            write_splits(staging / "splits.csv", _assignments(splits))
            source = BundleSource(
                model,
                tokenizer,
                task.inference_config(rule),
                BundleInfo(name, _data_facts(data, splits), metrics),
                _inputs(splits.validation),
                calibration=_inputs(splits.train),
                metric=score_rows,
            )
            observer = BuildObserver(stages.stage, lambda line: console.print(f"[yellow]{escape(line)}[/]"))
            bundle = build_bundle(source, staging, config.bundle_store, observer)
    show_per_label(console, metrics["test"])
    show_result(console, bundle, metrics)
    return bundle


def _calibrate(
    validation: Evaluator, test: Evaluator, outputs: Mapping[str, ModelOutput], abstain_below: float | None
) -> tuple[DecisionRule, dict[str, Any] | None]:
    """Return the decision rule that is fitted on the validation split, and the metrics of the calibration."""
    fitted = validation.calibrate(outputs["validation"])
    if fitted is None:
        return DecisionRule(), None
    thresholds = validation.thresholds(outputs["validation"], fitted.temperature)
    before, after = (test.calibration_error(outputs["test"], value) for value in (1.0, fitted.temperature))
    calibration = {**fitted.as_metrics(), "test": {"ece_before": before, "ece_after": after}}
    return DecisionRule(fitted.temperature, thresholds, abstain_below), calibration


def _config_metrics(
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


def _result_metrics(result: TrainingResult, objective: Objective) -> dict[str, Any]:
    return {
        "epochs_run": result.epochs_run,
        "best_epoch": result.best_epoch,
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
