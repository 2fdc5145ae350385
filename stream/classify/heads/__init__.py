"""Heads: they turn the logits of a bundle into predictions."""

from stream.classify.heads.base import Head, sigmoid, softmax
from stream.classify.heads.factory import check_servable, make_head, probabilities
from stream.classify.heads.labels import label_thresholds
from stream.classify.heads.spans import Piece, Span, bio_spans, split_pieces, word_spans

__all__ = [
    "Head",
    "Piece",
    "Span",
    "bio_spans",
    "check_servable",
    "label_thresholds",
    "make_head",
    "probabilities",
    "sigmoid",
    "softmax",
    "split_pieces",
    "word_spans",
]
