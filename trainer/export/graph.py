"""The trained model as an ONNX graph: optimum's export, with an input of ours where a head reads metadata."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from optimum.exporters.onnx import export
from optimum.exporters.tasks import TasksManager

from stream.errors import BundleError, UsageError
from trainer.export.deberta import MODULES as DEBERTAS
from trainer.export.deberta import deberta_config
from trainer.export.longformer import longformer_config
from trainer.export.metadata_input import with_metadata
from trainer.quiet import no_output

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "metadata", "global_attention_mask")
SEQUENCE = "text-classification"
TOKEN = "token-classification"


def check_exportable(model_type: str, *, token: bool = False) -> None:
    """Refuse an architecture without an ONNX export before hours of training are spent on it.

    Args:
        model_type: as in the model's config.json.
        token: whether tokens are classified instead of texts.

    Raises:
        UsageError: optimum cannot export classifiers of this architecture.
    """
    if _task(token) not in _supported(model_type):
        raise UsageError(
            f"a {model_type} model cannot be exported to ONNX as a {_task(token)} model",
            cause="optimum-onnx has no such export",
            fix="use another model, for example a BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa or ModernBERT",
        )


def export_onnx(model: Any, file: Path, *, token: bool = False, metadata_columns: int = 0) -> list[str]:
    """Write the fp32 graph, every axis dynamic but those of labels and metadata columns.

    Inputs are int64 [rows, tokens], `metadata` float32 [rows, columns]; the output is `logits`, float32
    [rows, labels], or [rows, tokens, labels] where tokens are classified.

    Args:
        model: a classifier of transformers, or an `nn.Module` of ours that has the encoder's configuration as
            `config` and returns an object with `logits`; on the CPU in float32.
        file: where the graph goes; its folder is made.
        token: whether tokens are classified instead of texts.
        metadata_columns: columns of the input `metadata`; 0 means that there is no such input.

    Returns:
        The graph's inputs, in its order.

    Raises:
        BundleError: the export failed, or the graph wants inputs that the worker does not make, lacks one
            that the model reads, or lacks `logits`.
    """
    model.eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with no_output(), torch.inference_mode():
            export(model=model, config=_configuration(model, token, metadata_columns), output=file)
    except Exception as exc:
        raise BundleError(
            f"the {model.config.model_type} model cannot be exported to ONNX",
            cause=f"{type(exc).__name__}: {(str(exc).strip() or 'no reason given').splitlines()[0]}",
            fix="use another base model, or other versions of torch and optimum-onnx",
        ) from exc
    return _checked_inputs(file, metadata_columns)


def _task(token: bool) -> str:
    return TOKEN if token else SEQUENCE


def _supported(model_type: str) -> Any:
    try:
        return TasksManager.get_supported_tasks_for_model_type(
            model_type, "onnx", library_name="transformers"
        )
    except KeyError:
        return {}


def _configuration(model: Any, token: bool, metadata_columns: int) -> Any:
    model_type = model.config.model_type
    constructor = TasksManager.get_exporter_config_constructor(
        "onnx", model_type=model_type, task=_task(token), library_name="transformers"
    )
    kind = constructor.func
    if model_type == "longformer":
        kind = longformer_config(kind)
    elif model_type in DEBERTAS:
        kind = deberta_config(kind, model_type)
    if metadata_columns:
        kind = with_metadata(kind, metadata_columns)
    return kind(model.config, **constructor.keywords)


def _checked_inputs(file: Path, metadata_columns: int) -> list[str]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    unknown = [name for name in inputs if name not in KNOWN_INPUTS]
    deaf = bool(metadata_columns) and "metadata" not in inputs
    if unknown or deaf or "logits" not in outputs:
        raise BundleError(
            "the exported graph does not fit the worker",
            cause=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}"
            + ("; the model does not read its metadata" if deaf else ""),
            fix=f"use a model with inputs among {', '.join(KNOWN_INPUTS)} and an output `logits`",
        )
    return inputs
