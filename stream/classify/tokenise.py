"""Text to token ids with the bundle's own tokenizer, and rows to padded arrays."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import tokenizers

from stream.bundle import Bundle
from stream.classify.inputs import InputReader, ModelInput, TextInput, WithMetadata, texts_of
from stream.classify.metadata import MetadataEncoder
from stream.errors import BundleError
from stream.runtime.base import Padded


class Tokens(Protocol):
    """What the tokenizer returns for a row, as far as every model needs it."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def type_ids(self) -> list[int]: ...
    def __len__(self) -> int: ...


class TextTokens(Tokens, Protocol):
    """Tokens that know where in a text they stand; offsets count its characters."""

    @property
    def text(self) -> str: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def word_ids(self) -> list[int | None]: ...
    @property
    def special_tokens_mask(self) -> list[int]: ...


class RowTokens:
    """The tokens of a row together with what else of the row the model or its head reads.

    Attributes:
        text: the first text as it was sent.
        metadata: float32 [columns], or None where the bundle reads none.
    """

    __slots__ = ("_encoding", "metadata", "text")

    def __init__(self, encoding: Any, text: str, metadata: npt.NDArray[np.float32] | None) -> None:
        self._encoding = encoding
        self.text = text
        self.metadata = metadata

    @property
    def ids(self) -> list[int]:
        """Token ids."""
        found: list[int] = self._encoding.ids
        return found

    @property
    def type_ids(self) -> list[int]:
        """0 for tokens of the first text, 1 for those of the second, as the template has it."""
        found: list[int] = self._encoding.type_ids
        return found

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Characters of each token in its text."""
        found: list[tuple[int, int]] = self._encoding.offsets
        return found

    @property
    def word_ids(self) -> list[int | None]:
        """The number of each token's word in the tokenizer's own count."""
        found: list[int | None] = self._encoding.word_ids
        return found

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 where the template put the token."""
        found: list[int] = self._encoding.special_tokens_mask
        return found

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary spells them."""
        found: list[str] = self._encoding.tokens
        return found

    def __len__(self) -> int:
        return len(self._encoding)

    def windows(self, most: int) -> "list[RowTokens]":
        """This row and what of its text did not fit into it, at most so many windows."""
        cut = (self._encoding, *self._encoding.overflowing)[:most]
        return [RowTokens(encoding, self.text, self.metadata) for encoding in cut]


class Tokeniser:
    """The Rust tokenizer of a bundle: truncates to the bundle's maximum length, never pads."""

    def __init__(self, bundle: Bundle) -> None:
        """Load `tokenizer.json`.

        Raises:
            BundleError: the file is missing or the library cannot read it.
        """
        manifest = bundle.manifest
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(bundle.path / "tokenizer.json"))
        except Exception as exc:
            raise BundleError(
                f"the tokenizer of {bundle.path} cannot be loaded",
                cause=str(exc),
                fix="export the bundle again",
            ) from exc
        self._reader = InputReader(manifest)
        self._inputs = manifest.inputs
        self._pad_id = manifest.pad_token_id
        self._max_length = manifest.max_length
        self.windows = manifest.windows
        stride = self.windows.stride if self.windows else 0
        self._check_room(bundle, stride)
        self._tokenizer.enable_truncation(manifest.max_length, stride=stride, strategy="longest_first")
        self._tokenizer.no_padding()
        self._metadata = MetadataEncoder(manifest.metadata) if manifest.metadata else None
        # Offsets cost time, so only heads that use them get them.
        self.of_tokens = manifest.head == "token"
        # Of a single text BERT's types are zeros, and reading them costs as much as reading the ids.
        self._one_type = not manifest.takes_pair and not any(self._tokenizer.encode("a").type_ids)
        self._bare = not (self.of_tokens or self._metadata or self.windows)

    def _check_room(self, bundle: Bundle, stride: int) -> None:
        special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        # The tokenizer would end the process.
        if stride and stride >= self._max_length - special:
            raise BundleError(
                f"the windows of {bundle.path} never move on",
                cause=f"neighbours share {stride} of {self._max_length - special} tokens",
                fix="export the bundle again with a smaller window stride, or a longer maximum length",
            )

    def encode(self, rows: Sequence[TextInput]) -> Sequence[Tokens]:
        """Tokenise rows; releases the interpreter lock while it works."""
        return self.encode_inputs(self._reader.read(rows))

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]:
        """Tokenise what a bundle reads; releases the interpreter lock while it works.

        Returns:
            `RowTokens` if the bundle reads metadata, tags tokens or cuts windows; else bare encodings.
        """
        if self._bare:
            encoded: list[Tokens] = self._tokenizer.encode_batch_fast(inputs)
            return encoded
        return self.encode_rows(inputs)

    def encode_rows(self, inputs: Sequence[ModelInput]) -> list[RowTokens]:
        """Tokenise with all that there is to know of the tokens, whatever the bundle needs."""
        texts = [texts_of(row) for row in inputs]
        encoded = self._tokenizer.encode_batch(texts)
        metadata: Sequence[npt.NDArray[np.float32] | None] = [None] * len(inputs)
        if self._metadata is not None:
            cells = [dict(row.metadata) if isinstance(row, WithMetadata) else None for row in inputs]
            metadata = [*self._metadata.encode(cells)]
        return [
            RowTokens(encoding, text if isinstance(text, str) else text[0], columns)
            for encoding, text, columns in zip(encoded, texts, metadata, strict=True)
        ]

    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> Padded:
        """Lay rows into arrays for the graph's inputs: int64 [rows, tokens], padded on the right.

        `global_attention_mask` is 1 at the first token, as Longformer's classifiers are trained; `metadata`
        is float32 [rows, columns].

        Args:
            rows: at least one.
            width_multiple: the longest row's tokens are rounded up to a multiple of this, but never past the
                bundle's maximum length.
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        longest = int(lengths.max())
        width = max(longest, min(self._max_length, -(-longest // width_multiple) * width_multiple))
        real = np.arange(width) < lengths[:, None]
        return {name: self._laid_out(name, rows, real) for name in self._inputs}

    def _laid_out(
        self, name: str, rows: Sequence[Tokens], real: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        if name == "attention_mask":
            return real.astype(np.int64)
        if name == "global_attention_mask":
            first = np.zeros(real.shape, dtype=np.int64)
            first[:, 0] = 1
            return first
        if name == "metadata":
            columns = [cast(RowTokens, row).metadata for row in rows]
            return np.array(columns, dtype=np.float32)
        if name == "token_type_ids" and self._one_type:
            return np.zeros(real.shape, dtype=np.int64)
        ids = name == "input_ids"
        laid_out = np.full(real.shape, self._pad_id if ids else 0, dtype=np.int64)
        flat = chain.from_iterable(row.ids if ids else row.type_ids for row in rows)
        laid_out[real] = np.fromiter(flat, dtype=np.int64, count=int(real.sum()))
        return laid_out
