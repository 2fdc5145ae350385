"""The single-label head: softmax, and the label with the best score."""

import numpy as np
import numpy.typing as npt

from stream.bundle import Manifest
from stream.classify.heads.base import softmax
from stream.classify.heads.scores import ScoresHead, is_distribution
from stream.classify.inputs import Prediction
from stream.codec import Scores, load_codec


class SingleLabelHead(ScoresHead):
    """Predicts one label, for bundles that neither abstain nor have ordinal labels."""

    def __init__(self, manifest: Manifest, top_k: int) -> None:
        """
        Args:
            manifest: the bundle's manifest.
            top_k: the number of labels in `scores`, best first.
        """
        super().__init__(manifest)
        self._encoder = load_codec().score_encoder(manifest.labels, top_k, Prediction)

    def _activate(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        return softmax(logits)

    def _consistent(self, scores: Scores) -> npt.NDArray[np.bool_]:
        return is_distribution(scores)

    def _encode(self, scores: Scores, *, cached: bool) -> list[Prediction]:
        return self._encoder(scores, cached=cached)
