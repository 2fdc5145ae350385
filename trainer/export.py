"""The trained model as an ONNX graph."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from optimum.exporters.onnx import export
from optimum.exporters.tasks import TasksManager

from stream.errors import BundleError, UsageError
from trainer.quiet import no_output

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TASK = "text-classification"


def check_exportable(model_type: str) -> None:
    """Refuse an architecture without an ONNX export before hours of training are spent on it.

    Raises:
        UsageError: optimum cannot export text classifiers of this architecture.
    """
    try:
        tasks = TasksManager.get_supported_tasks_for_model_type(
            model_type, "onnx", library_name="transformers"
        )
    except KeyError:
        tasks = {}
    if TASK not in tasks:
        raise UsageError(
            f"a {model_type} model cannot be exported to ONNX as a text classifier",
            why="optimum-onnx has no such export",
            mend="use another --base-model, for example a BERT, RoBERTa, DistilBERT, ELECTRA or DeBERTa",
        )


def export_onnx(model: Any, file: Path) -> list[str]:
    """Write the fp32 graph: int64 inputs [rows, tokens], output `logits` float32 [rows, labels], all dynamic.

    Args:
        model: a sequence classifier on the CPU in float32.
        file: where the graph goes; its folder is made.

    Returns:
        The graph's inputs, in its order.

    Raises:
        BundleError: the export failed, or the graph wants inputs that the worker does not make, or lacks
            `logits`.
    """
    model.eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with no_output(), torch.inference_mode():
            constructor = TasksManager.get_exporter_config_constructor(
                "onnx", model_type=model.config.model_type, task=TASK, library_name="transformers"
            )
            export(model=model, config=constructor(model.config), output=file)
    except Exception as exc:
        raise BundleError(
            f"the {model.config.model_type} model cannot be exported to ONNX",
            why=f"{type(exc).__name__}: {(str(exc).strip() or 'no reason given').splitlines()[0]}",
            mend="use another --base-model, or other versions of torch and optimum-onnx",
        ) from exc
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    unknown = [name for name in inputs if name not in KNOWN_INPUTS]
    if unknown or "logits" not in outputs:
        raise BundleError(
            "the exported graph does not fit the worker",
            why=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}",
            mend=f"use a base model with the inputs {', '.join(KNOWN_INPUTS)} and one output, logits",
        )
    return inputs
