"""A trained model in memory, with the vectors and the probabilities that an error analysis needs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from stream.bundle import HeadKind, SpanRules, TargetScale
from stream.classify import TextInput, plan_batches
from trainer.model.encoding import Preprocessing, encode, token_counts, tokens_of_rows
from trainer.model.inference import (
    BATCH_ROWS,
    BATCH_TOKENS,
    batch_inputs,
    probabilities,
    torch_logits,
    torch_token_logits,
)
from trainer.model.targets import Word, first_pieces, tagged_pieces

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class InMemoryModel:
    """A classifier in memory, as `trainer.evaluation.analysis.AnalysisModel`.

    Attributes:
        model: a classifier of transformers, a `TextClassifier` or a model of modeling_labelstream.py.
        tokenizer: its fast tokenizer.
        preprocessing: maximum length, windows and metadata.
        head: the head of the model.
        temperature: the divisor of the logits.
        target: the scale of a regression's logit.
        spans: how tags become spans, for token classification.
    """

    model: Any
    tokenizer: Any
    preprocessing: Preprocessing
    head: HeadKind
    temperature: float = 1.0
    target: TargetScale = field(default_factory=TargetScale)
    spans: SpanRules = field(default_factory=SpanRules)

    def vectors(self, inputs: Sequence[TextInput]) -> Vectors:
        """Return the L2-normalised vectors of rows; see `encoder_vectors`."""
        return encoder_vectors(self.model, self.tokenizer, inputs, self.preprocessing)

    def probabilities(self, inputs: Sequence[TextInput]) -> npt.NDArray[np.float64]:
        """Return the calibrated probabilities of rows, float64 [rows, labels].

        For a regression the result is the predicted number in the units of the data, [rows, 1].

        Raises:
            ValueError: the model classifies tokens; see `word_probabilities`.
        """
        if self.head == "token":
            raise ValueError("token classification has probabilities per word")
        logits = torch_logits(self.model, self.tokenizer, inputs, self.preprocessing)
        if self.head == "regression":
            return logits.astype(np.float64) * self.target.std + self.target.mean
        return probabilities(logits, self.head, self.temperature)

    def word_probabilities(
        self, inputs: Sequence[TextInput], words: Sequence[Sequence[Word]]
    ) -> list[npt.NDArray[np.float64]]:
        """Return the probabilities of the tags of words, float64 [words, labels] of each row.

        Args:
            inputs: the rows.
            words: the start and the end of each word of each row, in characters.

        Returns:
            NaN for a word that the model does not read, because the text is truncated.
        """
        output = torch_token_logits(self.model, self.tokenizer, inputs, self.preprocessing)
        encoded = encode(self.tokenizer, inputs, self.preprocessing)
        rows = tokens_of_rows(encoded, [row.text for row in inputs], self.preprocessing.windows)
        found = []
        for logits, (tokens, positions), of_row in zip(output, rows, words, strict=True):
            pieces = tagged_pieces(tokens, self.spans)
            first = first_pieces(pieces, of_row)
            result = np.full((len(of_row), logits.shape[1]), np.nan)
            at = [positions[pieces[piece].at] for piece in first.values()]
            result[list(first)] = probabilities(logits[at], "token", self.temperature)
            found.append(result)
        return found

    def token_counts(self, inputs: Sequence[TextInput]) -> list[int]:
        """Return the number of tokens of each row without truncation."""
        return token_counts(self.tokenizer, inputs) if inputs else []


def encoder_vectors(
    model: Any, tokenizer: Any, rows: Sequence[TextInput], preprocessing: Preprocessing
) -> Vectors:
    """Return the mean of the last hidden states of a row's tokens, L2-normalised.

    Padding does not count. The mean of a row in several windows is over the tokens of all windows.

    Args:
        model: a classifier; it is switched to eval mode.
        tokenizer: its fast tokenizer.
        rows: any number of rows.
        preprocessing: maximum length, windows and metadata.

    Returns:
        float32 [rows, hidden size].
    """
    model.eval()
    encoded = encode(tokenizer, rows, preprocessing)
    metadata = preprocessing.encode_metadata(rows) if rows else None
    sums = np.zeros((len(rows), hidden_size(model)))
    with _last_hidden_states(model) as states:
        for batch in plan_batches(encoded.lengths, max_rows=BATCH_ROWS, max_tokens=BATCH_TOKENS):
            padded = batch_inputs(model, tokenizer, encoded, batch, metadata)
            with torch.inference_mode():
                model(**padded)
            # Some encoders pad the tokens to a multiple of their attention window.
            hidden = states.pop()[:, : padded["attention_mask"].shape[1]].float()
            mask = padded["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            of_windows = (hidden * mask).sum(dim=1).double().cpu().numpy()
            np.add.at(sums, [encoded.owners[at] for at in batch], of_windows)
    # The mean has the direction of the sum.
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    found: Vectors = np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0).astype(np.float32)
    return found


def encoder_of(model: Any) -> Any:
    """Return the encoder of a classifier: the module whose first output is the last hidden state."""
    if hasattr(model, "encoder") and hasattr(model, "pooling"):
        return model.encoder
    inner = getattr(model, "base_model", model)
    # A model of modeling_labelstream.py contains another classifier.
    return inner if inner is model else encoder_of(inner)


def hidden_size(model: Any) -> int:
    """Return the size of the last hidden state of a model's encoder."""
    return int(encoder_of(model).config.hidden_size)


@contextmanager
def _last_hidden_states(model: Any) -> Iterator[list[Any]]:
    """Collect the last hidden state of each call of a model: the encoder then gets its usual inputs."""
    states: list[Any] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        states.append(output[0])

    handle = encoder_of(model).register_forward_hook(keep)
    try:
        yield states
    finally:
        handle.remove()
