"""int8 whose activations are scaled by what was seen on training texts, not by what stands in the batch."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream.runtime.base import Padded
from stream.runtime.machine import keep_quiet
from trainer.silence import no_output

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
        try:
            quantised = _quantised(onnx.load(fp32), calibration, smooth=True)
        except AttributeError:
            # NNCF 3.4 does not find weights that two products share, as in DeBERTa, when it smooths.
            quantised = _quantised(onnx.load(fp32), calibration, smooth=False)
        onnx.save(quantised, file)


def _quantised(graph: Any, calibration: Sequence[Padded], *, smooth: bool) -> Any:
    keep_quiet()
    import nncf
    from nncf.quantization.advanced_parameters import (
        AdvancedQuantizationParameters,
        AdvancedSmoothQuantParameters,
    )

    # A negative strength turns smoothing off.
    off = AdvancedQuantizationParameters(smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=-1))
    return nncf.quantize(
        graph,
        nncf.Dataset([dict(row) for row in calibration]),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
        advanced_parameters=None if smooth else off,
    )
