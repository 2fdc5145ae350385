"""Text classification without Kafka: cache, tokenizer, batching, inference and the head of a bundle.

These names are the public interface of the package. The trainer uses them and no module below. The client of
the Redis tier (`stream.classify.redis_cache`) is not among them, so that only a worker imports Redis.
"""

from stream.classify.cache import KeyMaker, LocalCache, PredictionCache, SharedCache
from stream.classify.classifier import ClassifiedBatch, Classifier, ModelParts
from stream.classify.heads import (
    Piece,
    Span,
    bio_spans,
    check_servable,
    label_thresholds,
    make_head,
    probabilities,
    sigmoid,
    softmax,
    split_pieces,
    word_spans,
)
from stream.classify.inputs import (
    InputReader,
    ModelInput,
    Prediction,
    RowResult,
    TextInput,
    WithMetadata,
    texts_of,
)
from stream.classify.isolating_tokeniser import BatchTokeniser
from stream.classify.logits_check import check_logits
from stream.classify.metadata import (
    FIRST_CATEGORY,
    UNSEEN_CATEGORY,
    MetadataEncoder,
    as_category,
    as_number,
)
from stream.classify.queue import BatchLimits, plan_batches
from stream.classify.tokenise import RowTokens, TextTokens, Tokeniser, Tokens
from stream.classify.tokenizer_file import check_tokenizer
from stream.classify.windows import WindowPool, merge_tokens, pool_logits

__all__ = [
    "FIRST_CATEGORY",
    "UNSEEN_CATEGORY",
    "BatchLimits",
    "BatchTokeniser",
    "ClassifiedBatch",
    "Classifier",
    "InputReader",
    "KeyMaker",
    "LocalCache",
    "MetadataEncoder",
    "ModelInput",
    "ModelParts",
    "Piece",
    "Prediction",
    "PredictionCache",
    "RowResult",
    "RowTokens",
    "SharedCache",
    "Span",
    "TextInput",
    "TextTokens",
    "Tokeniser",
    "Tokens",
    "WindowPool",
    "WithMetadata",
    "as_category",
    "as_number",
    "bio_spans",
    "check_logits",
    "check_servable",
    "check_tokenizer",
    "label_thresholds",
    "make_head",
    "merge_tokens",
    "plan_batches",
    "pool_logits",
    "probabilities",
    "sigmoid",
    "softmax",
    "split_pieces",
    "texts_of",
    "word_spans",
]
