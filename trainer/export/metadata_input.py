"""The graph input `metadata`, for heads that read numbers beside the text."""

from typing import Any

import torch
from optimum.utils.input_generators import DummyInputGenerator


def with_metadata(config: Any, columns: int) -> Any:
    """An export configuration of optimum's with one more input: `metadata`, float32 [rows, columns].

    The way that optimum's documentation names for models it does not know: a subclass that adds the input's
    dynamic axes, and a generator of example values for the trace.

    Args:
        config: a class derived from `optimum.exporters.onnx.OnnxConfig`.
        columns: width of the input.

    Returns:
        A subclass of it.
    """

    class MetadataValues(DummyInputGenerator):  # type: ignore[misc] # optimum has no types
        """Zeros: missing for a category, the mean for a number; both are in every model's range."""

        SUPPORTED_INPUT_NAMES = ("metadata",)

        def __init__(self, _task: str, _normalized_config: Any, batch_size: int = 2, **_: Any) -> None:
            self._rows = batch_size

        def generate(self, _input_name: str, **_: Any) -> Any:
            return torch.zeros(self._rows, columns)

    class WithMetadata(config):  # type: ignore[misc] # optimum has no types
        DUMMY_INPUT_GENERATOR_CLASSES = (*config.DUMMY_INPUT_GENERATOR_CLASSES, MetadataValues)

        @property
        def inputs(self) -> dict[str, dict[int, str]]:
            return {**super().inputs, "metadata": {0: "batch_size"}}

    return WithMetadata
