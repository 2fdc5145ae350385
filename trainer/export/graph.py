"""The ONNX export of a classifier with optimum, plus the graph input `metadata`."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from optimum.exporters.onnx import export
from optimum.exporters.tasks import TasksManager
from optimum.utils.input_generators import DummyInputGenerator

from stream.errors import BundleError, UsageError
from trainer.export.architectures import corrected_config
from trainer.progress import no_output

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "metadata", "global_attention_mask")
SEQUENCE_TASK = "text-classification"
TOKEN_TASK = "token-classification"


def check_exportable(model_type: str, *, token: bool = False) -> None:
    """Check that an architecture can be exported, before a long training starts.

    Args:
        model_type: `model_type` of the model's config.json.
        token: whether the model classifies tokens instead of texts.

    Raises:
        UsageError: optimum cannot export classifiers of this architecture.
    """
    if _task(token) not in _supported_tasks(model_type):
        raise UsageError(
            f"a {model_type} model cannot be exported to ONNX for {_task(token)}",
            cause="optimum-onnx does not support this export",
            fix="use another model, for example a BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa or ModernBERT",
        )


def export_onnx(model: Any, file: Path, *, token: bool = False, metadata_columns: int = 0) -> list[str]:
    """Write the fp32 graph of a classifier.

    Inputs are int64 [rows, tokens], `metadata` is float32 [rows, columns]. The output is `logits`, float32
    [rows, labels], or [rows, tokens, labels] for token classification. Rows and tokens are dynamic axes.

    Args:
        model: a classifier of transformers, or an `nn.Module` whose `config` is the configuration of its
            encoder and whose output has `logits`; on the CPU in float32.
        file: the file to write; its folder is created.
        token: whether the model classifies tokens instead of texts.
        metadata_columns: the number of columns of the input `metadata`; 0 for a model without this input.

    Returns:
        The inputs of the graph, in its order.

    Raises:
        BundleError: the export fails, the graph has inputs that the worker does not provide, the graph does
            not read its metadata, or it has no output `logits`.
    """
    model.eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with no_output(), torch.inference_mode():
            export(model=model, config=_configuration(model, token, metadata_columns), output=file)
    except Exception as exc:
        raise BundleError(
            f"the {model.config.model_type} model cannot be exported to ONNX",
            cause=f"{type(exc).__name__}: {(str(exc).strip() or 'no message').splitlines()[0]}",
            fix="use another base model, or other versions of torch and optimum-onnx",
        ) from exc
    return _checked_inputs(file, metadata_columns)


def with_metadata(config: Any, columns: int) -> Any:
    """Return an export configuration of optimum with the input `metadata`, float32 [rows, columns].

    The subclass adds the dynamic axes of the input and a generator of example values for the trace, as the
    documentation of optimum recommends for custom models.

    Args:
        config: a subclass of `optimum.exporters.onnx.OnnxConfig`.
        columns: the width of the input.

    Returns:
        A subclass of `config`.
    """

    class MetadataGenerator(DummyInputGenerator):  # type: ignore[misc] # optimum has no types
        """A generator of zeros, which are valid for every model: a missing category and an average number."""

        SUPPORTED_INPUT_NAMES = ("metadata",)

        def __init__(self, _task: str, _normalized_config: Any, batch_size: int = 2, **_: Any) -> None:
            self._rows = batch_size

        def generate(self, _input_name: str, **_: Any) -> Any:
            return torch.zeros(self._rows, columns)

    class MetadataConfig(config):  # type: ignore[misc] # optimum has no types
        DUMMY_INPUT_GENERATOR_CLASSES = (*config.DUMMY_INPUT_GENERATOR_CLASSES, MetadataGenerator)

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return {**super().inputs, "metadata": {0: "batch_size"}}

    return MetadataConfig


def _task(token: bool) -> str:
    return TOKEN_TASK if token else SEQUENCE_TASK


def _supported_tasks(model_type: str) -> Any:
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
    kind = corrected_config(constructor.func, model_type)
    if metadata_columns:
        kind = with_metadata(kind, metadata_columns)
    return kind(model.config, **constructor.keywords)


def _checked_inputs(file: Path, metadata_columns: int) -> list[str]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    unknown = [name for name in inputs if name not in KNOWN_INPUTS]
    ignores_metadata = bool(metadata_columns) and "metadata" not in inputs
    if unknown or ignores_metadata or "logits" not in outputs:
        raise BundleError(
            "the exported graph does not fit the worker",
            cause=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}"
            + ("; the model does not read its metadata" if ignores_metadata else ""),
            fix=f"use a model whose inputs are among {', '.join(KNOWN_INPUTS)} and whose output is `logits`",
        )
    return inputs
