"""int8 whose activations are scaled by what was seen on training texts, not by what stands in the batch."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream.runtime.base import Padded
from stream.runtime.machine import keep_quiet
from trainer.quiet import no_output

CALIBRATION_ROWS = 300


def can_calibrate() -> bool:
    """Whether nncf is installed; nothing of it is imported."""
    return importlib.util.find_spec("nncf") is not None


def make_int8_static(fp32: Path, file: Path, calibration: Sequence[Padded]) -> None:
    """Quantise weights and activations to int8 with NNCF's post-training quantisation for transformers.

    The result is one ONNX file with QuantizeLinear and DequantizeLinear nodes. OpenVINO runs it in int8; ONNX
    Runtime runs it too, about as fast as fp32. Activations are smoothed (SmoothQuant, Xiao et al. 2022) and
    biases corrected.

    Args:
        fp32: the graph.
        file: where the result goes.
        calibration: graph inputs, a row each, of texts like those to come; 300 are enough.

    Raises:
        ValueError: there is nothing to calibrate with.
        ModuleNotFoundError: nncf is not installed.
    """
    if not calibration:
        raise ValueError("there are no texts to calibrate it with")
    import onnx

    with no_output():
        keep_quiet()
        import nncf

        quantised = nncf.quantize(
            _without_branches(fp32, file),
            nncf.Dataset([dict(row) for row in calibration]),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(calibration),
        )
        onnx.save(quantised, file)


def _without_branches(fp32: Path, scratch: Path) -> Any:
    """The graph; if it has branches, as scripted parts of DeBERTa leave them, folded away by ONNX Runtime.

    NNCF does not follow names into a branch.
    """
    import onnx
    import onnxruntime

    graph = onnx.load(fp32)
    if not any(node.op_type == "If" for node in graph.graph.node):
        return graph
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(scratch)
    onnxruntime.InferenceSession(str(fp32), options, providers=["CPUExecutionProvider"])
    return onnx.load(scratch)
