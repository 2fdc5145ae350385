"""The choice of a head by the bundle's manifest."""

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads.base import Head, sigmoid, softmax
from stream.classify.heads.labels import AbstainingHead, MultiLabelHead
from stream.classify.heads.regression import RegressionHead
from stream.classify.heads.single_label import SingleLabelHead
from stream.classify.heads.tokens import TokenHead
from stream.errors import BundleError
from stream.runtime import Logits

DEFAULT_TOP_K = 20
GRAPH_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "global_attention_mask", "metadata")


def make_head(manifest: Manifest, top_k: int | None = None) -> Head:
    """Make the head of a bundle.

    Args:
        manifest: the bundle's manifest.
        top_k: the number of labels in `scores`, best first; default: all labels, but at most 20.

    Raises:
        BundleError: this version cannot serve the bundle.
    """
    check_servable(manifest)
    shown = top_k or min(DEFAULT_TOP_K, len(manifest.labels))
    match manifest.head:
        case "single-label" if manifest.values is None and manifest.abstain_below is None:
            return SingleLabelHead(manifest, shown)
        case "single-label":
            return AbstainingHead(manifest, shown)
        case "multi-label":
            return MultiLabelHead(manifest, shown)
        case "regression":
            return RegressionHead(manifest)
        case "token":
            return TokenHead(manifest)


def probabilities(manifest: Manifest, logits: Logits) -> npt.NDArray[np.float64] | None:
    """Return the probability of each label in the shape of the logits; None for a regression."""
    match manifest.head:
        case "regression":
            return None
        case "multi-label":
            return sigmoid(logits / manifest.temperature)
        case "single-label" | "token":
            return softmax(logits / manifest.temperature)


def check_servable(manifest: Manifest) -> None:
    """Check that this version provides every input of the bundle's graph.

    Raises:
        BundleError: the graph reads an input that this version does not provide.
    """
    unknown = [name for name in manifest.inputs if name not in GRAPH_INPUTS]
    cause = ""
    if unknown:
        cause = f"its graph reads {', '.join(unknown)}; this version provides {', '.join(GRAPH_INPUTS)}"
    elif ("metadata" in manifest.inputs) != bool(manifest.metadata):
        cause = "its graph and its manifest disagree on whether the model reads metadata"
    if cause:
        raise BundleError(
            f"{manifest.name}@{manifest.version} cannot be served",
            cause=cause,
            fix="use a newer labelstream, or export the bundle again",
        )
