"""The training procedure: from labelled data to a published bundle."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from transformers import set_seed

from stream.bundle import Bundle
from stream.classify import TextInput
from stream.errors import UsageError
from trainer.config import ModelLocation, Recipe, TrainingConfig, bundle_name
from trainer.cross_validation.run import cross_validate
from trainer.data.duplicates import find_leaks
from trainer.data.examples import SHARES, Data, Example, Splits
from trainer.data.imbalance import balance, balance_metrics, loss_weights
from trainer.data.limits import limit_splits
from trainer.data.read import data_digest
from trainer.data.splits import split_examples
from trainer.evaluation.evaluator import DecisionRule, Evaluator
from trainer.evaluation.figures import SELECTION_METRIC
from trainer.export.bundle_source import BuildObserver, BundleInfo, BundleSource
from trainer.export.graph import capture_graph, check_exportable
from trainer.export.package import build_bundle, staging_folder, write_splits
from trainer.export.push import PushRequest, prepare_push
from trainer.export.push_report import push_trained
from trainer.export.variants import plan_variants
from trainer.fit import Fitted, TrainingJob, make_objective, prepare_layers, prepare_with
from trainer.model.base_model import load_tokenizer, longest_input
from trainer.model.encoding import token_counts
from trainer.model.finetune import claim_checkpoint_folder, finetune
from trainer.model.inference import ModelOutput
from trainer.model.layers import merge_adapters, trainable_parameters
from trainer.model.training_plan import TrainingPlan, choose_precision, device_name, estimate_seconds
from trainer.processes import connect, equal_everywhere, is_main_process, process_count
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
from trainer.tracking import Tracking
from trainer.training_facts import (
    config_metrics,
    data_facts,
    result_metrics,
    split_assignments,
    tracked_facts,
)


def run(data: Data, config: TrainingConfig, base: ModelLocation, console: Console) -> Bundle | None:
    """Split, balance, fine-tune, calibrate, evaluate, export, verify and publish.

    Args:
        data: the labelled examples.
        config: the settings of the training.
        base: the pretrained model.
        console: the output for progress and results.

    Returns:
        The bundle, or None in a process of a data-parallel training that only trains.

    Raises:
        UsageError: the data cannot be split, or the base model cannot be used with these settings.
        BundleError: the exported graph does not match the trained model.
        DeviceError: the device does not compute in the requested precision.
        LabelstreamError: the bundle is complete, but the push to the Hub failed.
    """
    with Tracking(config.tracking, console) as tracking:
        return _run(data, config, base, console, tracking)


def _run(
    data: Data, config: TrainingConfig, base: ModelLocation, console: Console, tracking: Tracking
) -> Bundle | None:
    silence_libraries()
    if config.cross_validate is not None and process_count() > 1:
        raise UsageError(
            "--cross-validate runs in one process",
            cause="each fold is a training of its own",
            fix="cross-validate without torchrun, and leave --cross-validate out here",
        )
    name = bundle_name(config.name, data.path.stem)
    # A token that may not write is reported before the training, not after it.
    push = prepared_push(config) if is_main_process() else None

    # Load the tokenizer; the maximum length cannot exceed what the model can read.
    with console.status(f"loading the tokenizer of {base.name}"):
        model_config, tokenizer = load_tokenizer(base)
    check_exportable(model_config.model_type, token=data.task == "token")
    config = config.limited_to(longest_input(model_config, tokenizer))
    recipe = config.recipe

    # Split the data, and show them before training starts.
    splits = split_data(data, recipe, console)
    leaks = find_leaks(splits)
    show_leaks(console, leaks)
    prepared = prepare_with(tokenizer, TrainingJob(data, splits, config, base))
    task = prepared.task
    if prepared.previous is not None:
        cause = prepared.new_head_cause
        console.print(f"head    {'new: ' + cause if cause else f'kept from {base.name}'}", markup=False)
    show_metadata(console, splits, task.metadata)
    show_lengths(console, token_counts(tokenizer, _inputs(data.examples)), recipe.max_length)

    # Balance the training split; validation and test keep their label frequencies.
    training = balance(splits.train, config.imbalance, recipe.seed)
    weights = loss_weights(training, task.labels, task.head, config.imbalance)
    imbalance = balance_metrics(len(splits.train), len(training), task.labels, weights, config.imbalance)
    settings = config_metrics(config, base, imbalance)
    connect(device_name())
    _check_equal_splits(splits)
    if is_main_process():
        claim_checkpoint_folder(config.checkpoints, {**settings, "data": data_digest(data)})

    with staging_folder(config.bundle_store, name) if is_main_process() else nullcontext(Path()) as staging:
        # Add a new head to the base model, and capture the graph before the time-consuming training, because
        # a capture can fail. Training changes the weights, not the graph.
        set_seed(recipe.seed)
        with console.status(f"loading {base.name}"):
            model = prepared.load_model()
        graph = None
        if is_main_process():
            columns = task.preprocessing.metadata_width
            with console.status("capturing the ONNX graph"):
                graph = capture_graph(model, token=task.head == "token", metadata_columns=columns)
        model = prepare_layers(model, task, recipe)

        # Plan the training: its loss, its metric, its precision and an estimate of its duration.
        dataset = task.dataset(tokenizer, training)
        objective = make_objective(task, tokenizer, config, weights, splits.validation)
        plan = TrainingPlan(recipe, choose_precision(recipe.precision), config.checkpoints)
        trained, parameters = trainable_parameters(model)
        if is_main_process():
            with console.status("timing a few steps"):
                seconds = estimate_seconds(model, dataset, len(splits.validation), objective, plan)
            show_cost(console, base.name, recipe, len(dataset), seconds, plan.precision, trained / parameters)
        facts = {
            "precision": plan.precision,
            "device": device_name(),
            "parameters": parameters,
            "parameters_learning": trained,
        }
        described = {**settings, **facts, "labels": len(task.labels), "data": tracked_facts(data, splits)}
        tracking.start(name, described, config.checkpoints)

        # Cross-validation trains other models; it changes neither the splits nor the model of the bundle.
        folds = None
        if config.cross_validate:
            folds = cross_validate(data, config, base, config.results / name, console)

        with Stages(console) as stages:
            # Fine-tune; the validation split selects the best evaluation.
            result = finetune(model, dataset, objective, plan, stages, tracking.callbacks())
            if not is_main_process():
                return None
            if recipe.lora is not None:
                model = merge_adapters(model)

            # Calibrate on the validation split, then evaluate on both held-out splits.
            rule, evaluated = _evaluate(Fitted(prepared, model, result), splits, stages)
            metrics: dict[str, Any] = {
                "training": {
                    **settings,
                    **({} if base.local else {"base_model_id": base.source}),
                    **facts,
                    **result_metrics(result, objective),
                },
                "leaks": leaks.as_metrics(),
                **({"cross_validation": folds.metrics.as_metrics()} if folds is not None else {}),
                **evaluated,
            }
            tracking.log_results(metrics)

            # Export, verify the export on validation rows, and publish the bundle.
            def score_rows(indices: Sequence[int], output: ModelOutput) -> float:
                evaluator = prepared.evaluator([splits.validation[index] for index in indices])
                return float(evaluator.evaluate(output, rule, resamples=0)[SELECTION_METRIC[task.head]])

            write_splits(staging / "splits.csv", split_assignments(splits))
            source = BundleSource(
                model,
                tokenizer,
                task.inference_config(rule),
                BundleInfo(name, data_facts(data, splits), metrics),
                _inputs(splits.validation),
                # Not the test rows: they are kept for the final metrics, and their texts out of the bundle.
                more_rows=_inputs([example for example in splits.train if not example.extra]),
                calibration=_inputs(splits.train),
                metric=score_rows,
                variants=plan_variants(config.variants),
                weights=not config.no_weights,
                graph=graph,
            )
            observer = BuildObserver(stages.stage, lambda line: console.print(f"[yellow]{escape(line)}[/]"))
            bundle = build_bundle(source, staging, config.bundle_store, observer)
            tracking.log_bundle(bundle)
    show_per_label(console, metrics["test"])
    if not config.no_results:
        from trainer.training_results import write_training_results

        others = None
        if folds is not None and task.head != "token":
            others = folds.found.evaluated_rows(without={example.row for example in splits.test})
        tracking.log_files(
            write_training_results(bundle, data, splits, (model, tokenizer), config.results, console, others)
        )
    show_result(console, bundle, metrics)
    if push is not None:
        push_trained(console, bundle, config.bundle_store, push)
    return bundle


def prepared_push(config: TrainingConfig) -> PushRequest | None:
    """Return the push that follows the training, after a check of the token, or None without --push-to-hub.

    Raises:
        UsageError: there is no token, or it may not write to the repository.
        LabelstreamError: the Hub does not answer.
    """
    if config.push_to_hub is None:
        return None
    request = PushRequest(config.push_to_hub, private=config.hub_private)
    prepare_push(request)
    return request


def split_data(data: Data, recipe: Recipe, console: Console) -> Splits:
    """Split the data, sample each split that has a limit, and show the splits."""
    splits, limits = limit_splits(split_examples(data.examples, recipe.seed), recipe.samples, recipe.seed)
    show_splits(console, data, splits)
    for limit in limits:
        console.print(f"  {limit}", markup=False)
    return splits


def _evaluate(fitted: Fitted, splits: Splits, stages: Stages) -> tuple[DecisionRule, dict[str, Any]]:
    """Return the decision rule, and the metrics of the calibration and of both held-out splits."""
    prepared, outputs, evaluators = fitted.prepared, {}, {}
    for split in ("validation", "test"):
        evaluators[split] = prepared.evaluator(getattr(splits, split))
        examples = evaluators[split].examples
        advance = stages.stage(f"infer {split}", len(examples))
        outputs[split] = prepared.task.logits(fitted.model, prepared.tokenizer, examples, advance)
    abstain_below = prepared.config.abstain_below
    rule, calibration = _calibrate(evaluators["validation"], evaluators["test"], outputs, abstain_below)
    return rule, {
        "calibration": calibration,
        "validation": evaluators["validation"].evaluate(outputs["validation"], rule),
        "test": evaluators["test"].evaluate(outputs["test"], rule),
    }


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


def _check_equal_splits(splits: Splits) -> None:
    digest = hashlib.sha256()
    for name in SHARES:
        for example in getattr(splits, name):
            digest.update(repr((name, example.row, example.text, example.target)).encode())
    if not equal_everywhere(digest.hexdigest()):
        raise UsageError(
            "the processes of this training read different rows",
            cause="the splits of at least two processes differ",
            fix="give all machines the same files and flags",
        )


def _inputs(examples: Sequence[Example]) -> list[TextInput]:
    return [example.input for example in examples]
