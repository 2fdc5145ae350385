"""The ONNX graph of a classifier: its capture with torch.onnx, and its file."""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass
from optimum.exporters.tasks import TasksManager
from optimum.utils import NormalizedTextConfig
from optimum.utils.input_generators import DummyTextInputGenerator

from stream.errors import BundleError, UsageError
from trainer.export.architectures import exportable
from trainer.progress import no_output

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "metadata", "global_attention_mask")
SEQUENCE_TASK = "text-classification"
TOKEN_TASK = "token-classification"
# The first opset with Gelu: as one node it is fused, as Erf with its arithmetic it is not.
OPSET = 20
EXAMPLE_ROWS, EXAMPLE_TOKENS = 2, 15
# The file is one protobuf message. The worker refuses weights in files beside it (external data), which could
# name any file of its machine.
MAX_WEIGHT_BYTES = 2**31 - 2**26
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def check_exportable(model_type: str, *, token: bool = False) -> None:
    """Check that an architecture has a classifier, before a long training starts.

    Args:
        model_type: `model_type` of the model's config.json.
        token: whether the model classifies tokens instead of texts.

    Raises:
        UsageError: transformers has no classifier of this architecture.
    """
    task = TOKEN_TASK if token else SEQUENCE_TASK
    if model_type not in _classifiers(task):
        raise UsageError(
            f"a {model_type} model cannot be exported to ONNX for {task}",
            cause=f"transformers has no {task} model of this architecture",
            fix="use another model, for example a BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa or ModernBERT",
        )


@dataclass(frozen=True, slots=True)
class CapturedGraph:
    """The graph of a classifier without its final weights.

    Attributes:
        program: a torch.onnx.ONNXProgram that is not optimised yet; `write` changes it.
        inputs: the inputs of the graph, in its order.
    """

    program: Any
    inputs: list[str]

    def write(self, model: Any, file: Path) -> None:
        """Write the graph with the current weights of the model to a file; call it once.

        Args:
            model: the captured model, float32 on the CPU.
            file: the file to write; its folder is created.

        Raises:
            BundleError: ONNX Runtime cannot load the graph.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        names = self.program.model.graph.initializers
        weights = {f"model.{name}": weight for name, weight in model.state_dict().items()}
        with no_output():
            self.program.apply_weights({name: weights[name] for name in names if name in weights})
            self.program.optimize()
            # The exporter adds a stack trace with the paths of this machine to every node.
            ClearMetadataAndDocStringPass()(self.program.model)
            graph = self.program.model_proto
            # ONNX Runtime transposes weights when it quantises, and then refuses the shapes stored here.
            del graph.graph.value_info[:]
            onnx.save(graph, file)
        _check_loads(file)


def capture_graph(model: Any, *, token: bool = False, metadata_columns: int = 0) -> CapturedGraph:
    """Capture the graph of a classifier, without a file.

    Inputs are int64 [rows, tokens], `metadata` is float32 [rows, columns]. The output is `logits`, float32
    [rows, labels], or [rows, tokens, labels] for token classification. Rows and tokens are dynamic axes.

    Args:
        model: a classifier of transformers, or an `nn.Module` whose `config` is the configuration of its
            encoder and whose output has `logits`; on the CPU in float32.
        token: whether the model classifies tokens instead of texts.
        metadata_columns: the number of columns of the input `metadata`; 0 for a model without this input.

    Raises:
        UsageError: the weights do not fit into one ONNX file.
        BundleError: torch.onnx cannot capture the model, or the model does not read its metadata.
    """
    _check_size(model)
    model.eval()
    names = graph_inputs(model, token=token)
    example = _example(model.config, names, metadata_columns)
    try:
        with no_output(), torch.no_grad(), exportable(model):
            program = torch.onnx.export(
                _Logits(model),
                kwargs={"inputs": example},
                dynamo=True,
                optimize=False,
                opset_version=OPSET,
                input_names=list(example),
                output_names=["logits"],
                dynamic_shapes={"inputs": {name: _dynamic_axes(name) for name in example}},
            )
    except Exception as exc:
        raise BundleError(
            f"the {model.config.model_type} model cannot be exported to ONNX",
            cause=_root_cause(exc),
            fix="use another base model, or other versions of torch and transformers",
        ) from exc
    return CapturedGraph(program, _read_inputs(program, metadata_columns))


def _check_size(model: Any) -> None:
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    if size > MAX_WEIGHT_BYTES:
        raise UsageError(
            f"the {model.config.model_type} model cannot be exported to ONNX",
            cause=f"its weights take {size / 2**30:.2f} GiB in float32; an ONNX file holds less than 2 GiB",
            fix="use a smaller model, such as the base size instead of the large one",
        )


def graph_inputs(model: Any, *, token: bool = False) -> list[str]:
    """Return the token inputs of a classifier, in the order of the graph.

    Args:
        model: a classifier of transformers, or a `TextClassifier`.
        token: whether the model classifies tokens instead of texts.
    """
    names = ["input_ids", "attention_mask"]
    encoder = getattr(model, "encoder", model)
    if (getattr(model.config, "type_vocab_size", None) or 0) > 1 and "token_type_ids" in inspect.signature(
        encoder.forward
    ).parameters:
        names.append("token_type_ids")
    if model.config.model_type == "longformer" and not token:
        # Token classifiers have no mask input: in transformers they have no global token, and a
        # TextClassifier always uses the first one.
        names.append("global_attention_mask")
    return names


class _Logits(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """A model whose only output is its logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: dict[str, Any]) -> Any:
        return self.model(**inputs).logits


def _classifiers(task: str) -> set[str]:
    """Return the model types for which transformers has a class of a task."""
    mapping = TasksManager.get_model_class_for_task(task, library="transformers")._model_mapping
    return {config.model_type for config in mapping}


def _dynamic_axes(name: str) -> dict[int, Any]:
    rows, tokens = torch.export.Dim("rows"), torch.export.Dim("tokens")
    return {0: rows} if name == "metadata" else {0: rows, 1: tokens}


def _example(config: Any, names: list[str], metadata_columns: int) -> dict[str, Any]:
    generator = DummyTextInputGenerator(
        SEQUENCE_TASK,
        NormalizedTextConfig(config),
        batch_size=EXAMPLE_ROWS,
        sequence_length=EXAMPLE_TOKENS,
    )
    example = {name: generator.generate(name) for name in names}
    if metadata_columns:
        example["metadata"] = torch.zeros(EXAMPLE_ROWS, metadata_columns)
    return example


def _read_inputs(program: Any, metadata_columns: int) -> list[str]:
    """Return the names of the graph's inputs, without those that no node reads."""
    RemoveUnusedNodesPass()(program.model)
    graph = program.model.graph
    for value in [*graph.inputs]:
        # The shape of any input can give the number of rows.
        readers = {use.node.op_type for use in value.uses()} - {"Shape"}
        if value.name == "metadata" and not readers:
            raise BundleError(
                "the exported graph does not fit the worker",
                cause=f"the model does not read its metadata of {metadata_columns} columns",
                fix=f"use a model whose inputs are among {', '.join(KNOWN_INPUTS)}",
            )
        if not value.uses():
            graph.inputs.remove(value)
    return [value.name for value in graph.inputs]


def _root_cause(exc: BaseException) -> str:
    """Return the first line of the exception that caused another one."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    lines = [line.strip() for line in COLOUR.sub("", str(exc)).splitlines() if line.strip()]
    return f"{type(exc).__name__}: {lines[0] if lines else 'no message'}"


def _check_loads(file: Path) -> None:
    try:
        onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise BundleError(
            "ONNX Runtime cannot load the exported graph",
            cause=_root_cause(exc),
            fix="install the versions in constraints.txt: pip install -c constraints.txt '.[cpu,trainer]'",
        ) from exc
