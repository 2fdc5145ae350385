"""The PyTorch model of a bundle, with the results that a worker publishes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stream.bundle import Bundle, SpanRules, TargetScale, open_bundle
from stream.classify import Prediction, RowTokens, TextInput, Tokens, make_head
from stream.errors import Poison, UsageError
from trainer.export.pretrained import load_pretrained
from trainer.model.base_location import location_of
from trainer.model.encoding import Preprocessing, encode, tokens_of_rows
from trainer.model.inference import ModelOutput, torch_logits, torch_token_logits
from trainer.model.vectors import InMemoryModel

Row = str | tuple[str, str] | Mapping[str, Any] | TextInput
"""A text, a pair of texts, or `text`, `text_pair` and `metadata` by name, as in an event."""


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """The PyTorch model of a bundle, with its tokenizer and its settings.

    Attributes:
        bundle: the bundle, with its manifest.
        model: the classifier, float32 in eval mode: a model of transformers or a `TextClassifier`. It reads
            one window of a text; `logits` and `predict` handle windows and metadata.
        tokenizer: the fast tokenizer of the model.
    """

    bundle: Bundle
    model: Any
    tokenizer: Any

    def logits(self, rows: Sequence[Row]) -> ModelOutput:
        """Return the logits of rows.

        Metadata columns that the bundle does not read are ignored, as a worker ignores them.

        Returns:
            float32 [rows, labels] with the windows of a text pooled. For token classification float32
            [tokens, labels] of each row: the tokens of all windows in sequence, with the special tokens and
            the overlap of each window, while `from_pretrained` returns each token of the text once.

        Raises:
            UsageError: a row has no text, lacks the second text of a pair, or is not a row.
        """
        infer = torch_token_logits if self.bundle.manifest.head == "token" else torch_logits
        return infer(self.model, self.tokenizer, self._inputs(rows), self._preprocessing)

    def predict(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return the members of the label event that a worker publishes for each row.

        A row whose logits are not finite has the member `error` instead.

        Raises:
            UsageError: a row has no text, lacks the second text of a pair, or is not a row.
        """
        if not rows:
            return []
        logits, tokens = self.logits(rows), self._tokens(rows)
        head = make_head(self.bundle.manifest)
        if isinstance(logits, list):
            logits = [row[at] for row, (_, at) in zip(logits, tokens, strict=True)]
        found = head.predict(logits, [of_row for of_row, _ in tokens])  # type: ignore[arg-type]
        return [_members(result) for result in found]

    @property
    def in_memory(self) -> InMemoryModel:
        """The vectors and the calibrated probabilities of the model, for an error analysis."""
        manifest = self.bundle.manifest
        return InMemoryModel(
            self.model,
            self.tokenizer,
            self._preprocessing,
            manifest.head,
            manifest.temperature,
            manifest.target or TargetScale(),
            manifest.spans or SpanRules(),
        )

    def _inputs(self, rows: Sequence[Row]) -> list[TextInput]:
        if isinstance(rows, str | Mapping):
            raise UsageError(
                "the rows are a single text or object",
                cause="a list is expected",
                fix="pass [row], a list of one row",
            )
        pair = self.bundle.manifest.takes_pair
        inputs = [_checked(_input(row, number), number, pair=pair) for number, row in enumerate(rows, 1)]
        if pair:
            return inputs
        return [TextInput(row.text, None, row.metadata) for row in inputs]

    def _tokens(self, rows: Sequence[Row]) -> list[tuple[Tokens, list[int]]]:
        """Return the tokens of each row, and the index of their logits in `logits`."""
        inputs = self._inputs(rows)
        encoded = encode(self.tokenizer, inputs, self._preprocessing)
        if self.bundle.manifest.head == "token":
            texts = [row.text for row in inputs]
            return [*tokens_of_rows(encoded, texts, self.bundle.manifest.windows)]
        first = np.searchsorted(encoded.owners, np.arange(len(rows)))
        return [
            (RowTokens(encoded.encodings[at], row.text, None), [])
            for at, row in zip(first.tolist(), inputs, strict=True)
        ]

    @property
    def _preprocessing(self) -> Preprocessing:
        manifest = self.bundle.manifest
        return Preprocessing(manifest.max_length, manifest.windows, manifest.metadata)


def load_trained(bundle: str | Path, store: Path) -> TrainedClassifier:
    """Load the PyTorch model of a bundle; see `trainer.load`."""
    opened = open_bundle(bundle, store)
    classifier = load_pretrained(location_of(opened))
    return TrainedClassifier(opened, classifier.model.eval(), classifier.tokenizer)


def _input(row: Row, number: int) -> TextInput:
    match row:
        case TextInput():
            return row
        case str():
            return TextInput(row)
        case Mapping():
            return TextInput(row.get("text", ""), row.get("text_pair"), row.get("metadata"))
        case (first, second):
            return TextInput(first, second)
    raise UsageError(
        f"row {number} is not a text",
        cause=f"it is a value of the type {type(row).__name__}",
        fix="pass a text, a pair of texts, or an object with text, text_pair and metadata",
    )


def _checked(row: TextInput, number: int, *, pair: bool) -> TextInput:
    """Return the row if `labelstream predict` would label it."""
    for name, text in [("text", row.text), *([("text_pair", row.text_pair)] if pair else [])]:
        if not isinstance(text, str) or (name == "text" and not text.strip()):
            problem = (
                "is missing or only white space" if text is None or isinstance(text, str) else "is no text"
            )
            raise UsageError(
                f"row {number} has no {name}",
                cause=f"{name} {problem}, and the model reads {'two texts' if pair else 'a text'}",
                fix="leave the row out, or correct it",
            )
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"row {number} holds one half of a surrogate pair",
                cause=f"{name} cannot be written as UTF-8",
                fix="remove the character: text.encode(errors='ignore').decode()",
            ) from None
    return row


def _members(result: Prediction | Poison) -> dict[str, Any]:
    return result.fields() if isinstance(result, Prediction) else {"error": str(result)}
