"""The one place where a bundle's manifest decides what its logits mean."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads.labels import AbstainingHead, MultiLabelHead, sigmoid
from stream.classify.heads.regression import RegressionHead
from stream.classify.heads.single_label import SingleLabelHead, softmax
from stream.classify.heads.tokens import TokenHead
from stream.classify.inputs import ModelInput, Prediction
from stream.classify.tokenise import Tokens
from stream.errors import BundleError, Poison
from stream.runtime.base import Logits

SCORES_SHOWN = 20
GRAPH_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "global_attention_mask", "metadata")


class Head(Protocol):
    """Logits to predictions, and back from what a cache keeps of them."""

    def predictions(self, logits: Logits, tokens: Sequence[Tokens]) -> Sequence[Prediction | Poison]:
        """A prediction for each row; poison where a logit is not finite.

        Args:
            logits: float32 [rows, labels], or [rows, tokens, labels] from models that tag tokens.
            tokens: each row's.
        """

    def fits(self, stored: bytes) -> bool:
        """Whether these bytes can be what this head stores as `Prediction.scores`."""

    def restored(self, stored: Sequence[bytes], rows: Sequence[ModelInput]) -> Sequence[Prediction]:
        """Predictions from stored forms, all of which fit, for the inputs that they were stored for."""


def make_head(manifest: Manifest, top_k: int | None = None) -> Head:
    """The head of a bundle.

    Args:
        manifest: the bundle's.
        top_k: labels named in `scores`, best first; default: all up to 20.

    Raises:
        BundleError: this version cannot serve the bundle.
    """
    check_servable(manifest)
    shown = top_k or min(SCORES_SHOWN, len(manifest.labels))
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
    """The probability of each label, laid out as the logits are; None for a regression."""
    match manifest.head:
        case "regression":
            return None
        case "multi-label":
            return sigmoid(logits / manifest.temperature)
        case "single-label" | "token":
            return softmax(logits / manifest.temperature)


def check_servable(manifest: Manifest) -> None:
    """Refuse a bundle that asks for something that this version does not give its graph.

    Raises:
        BundleError: with what it asks for.
    """
    unknown = [name for name in manifest.inputs if name not in GRAPH_INPUTS]
    cause = ""
    if unknown:
        cause = f"its graph reads {', '.join(unknown)}; this version gives {', '.join(GRAPH_INPUTS)}"
    elif ("metadata" in manifest.inputs) != bool(manifest.metadata):
        cause = "its graph and its manifest disagree on whether it reads metadata"
    if cause:
        raise BundleError(
            f"{manifest.name}@{manifest.version} cannot be served",
            cause=cause,
            fix="use a newer labelstream, or export the bundle again",
        )
