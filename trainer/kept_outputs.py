"""A training whose model outputs are kept in a file, which a repeated command reads."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from stream.output_files import named_errors
from trainer.evaluation.evaluator import DecisionRule
from trainer.fit import PreparedTask, TrainingJob, fit, fit_rule, prepare_task
from trainer.model.inference import ModelOutput
from trainer.model.output_files import load_outputs, save_outputs
from trainer.progress import Stages

LOG_WIDTH = 110


@dataclass(frozen=True, slots=True)
class KeptOutputs:
    """The outputs of a trained model for the held-out rows; the model is not kept.

    Attributes:
        prepared: the task and the tokenizer.
        rule: the decision rule, fitted on the validation split.
        test: the model output for the test split.
        repeated: whether the outputs are those of an earlier run.
    """

    prepared: PreparedTask
    rule: DecisionRule
    test: ModelOutput
    repeated: bool


def fit_once(job: TrainingJob, folder: Path, name: str) -> KeptOutputs:
    """Train a model and keep its outputs, or read those of an earlier run.

    Args:
        job: data, splits, settings and base model; the name has to identify them within the folder.
        folder: the folder of NAME.npz, the outputs, and NAME.log, the output of the training.
        name: the name of the two files.

    Raises:
        UsageError: a file cannot be written, or the base model cannot be used with these settings.
    """
    file = folder / f"{name}.npz"
    outputs = load_outputs(file)
    repeated = outputs is not None
    if outputs is None:
        with named_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            log = (folder / f"{name}.log").open("w", encoding="utf-8", buffering=1)
        with log, Stages(Console(file=log, width=LOG_WIDTH)) as stages:
            fitted = fit(job, stages)
        prepared = fitted.prepared
        outputs = {split: fitted.logits(getattr(job.splits, split)) for split in ("validation", "test")}
        save_outputs(file, outputs)
    else:
        prepared = prepare_task(job)
    rule = fit_rule(prepared.evaluator(job.splits.validation), outputs["validation"])
    return KeptOutputs(prepared, rule, outputs["test"], repeated)
