"""The ONNX export of DeBERTa without branches, which OpenVINO and NNCF do not support."""

from typing import Any

from optimum.exporters.onnx.model_patcher import PatchingSpec
from transformers.models.deberta import modeling_deberta
from transformers.models.deberta_v2 import modeling_deberta_v2

MODULES = {"deberta": modeling_deberta, "deberta-v2": modeling_deberta_v2}


def deberta_config(config: Any, model_type: str) -> Any:
    """Return optimum's export configuration of DeBERTa for equal numbers of queries and keys.

    Scripted functions of the model compare the number of keys with the number of queries, which leaves an
    `If` in the graph. In a classifier both numbers are always equal.

    Args:
        config: optimum's configuration class for the model type.
        model_type: deberta or deberta-v2.

    Returns:
        A subclass of `config`.
    """

    class EqualLengthConfig(config):  # type: ignore[misc] # optimum has no types
        PATCHING_SPECS = _patches(MODULES[model_type])

    return EqualLengthConfig


def _patches(module: Any) -> list[Any]:
    found = [PatchingSpec(module, "build_rpos", custom_op=_positions)]
    if hasattr(module, "uneven_size_corrected"):
        found.append(PatchingSpec(module, "uneven_size_corrected", custom_op=_scores))
    return found


def _positions(_query: Any, _key: Any, relative_pos: Any, *_: Any) -> Any:
    return relative_pos


def _scores(p2c_att: Any, *_: Any) -> Any:
    return p2c_att
