"""Tokenization with the bundle's own tokenizer, and padding of rows to arrays."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from stream.bundle import Bundle
from stream.classify.inputs import InputReader, ModelInput, TextInput, WithMetadata, texts_of
from stream.classify.long_texts import LongTexts
from stream.classify.metadata import MetadataEncoder
from stream.classify.pair_truncation import truncate_pair
from stream.classify.tokenizer_file import load_tokenizer
from stream.errors import BundleError, Poison, Reason
from stream.runtime import PaddedBatch


class Tokens(Protocol):
    """The tokens of a row, with the attributes that every model needs."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def type_ids(self) -> list[int]: ...
    def __len__(self) -> int: ...


class TextTokens(Tokens, Protocol):
    """Tokens with their positions in the text; offsets count characters."""

    @property
    def text(self) -> str: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def word_ids(self) -> list[int | None]: ...
    @property
    def special_tokens_mask(self) -> list[int]: ...


class RowTokens:
    """The tokens of a row, with the other parts of the row that the model or its head reads.

    Attributes:
        text: the first text of the row, unchanged.
        metadata: float32 [columns], or None if the bundle reads no metadata.
    """

    __slots__ = ("_encoding", "metadata", "text")

    def __init__(self, encoding: Any, text: str, metadata: npt.NDArray[np.float32] | None) -> None:
        self._encoding = encoding
        self.text = text
        self.metadata = metadata

    @property
    def ids(self) -> list[int]:
        """The token ids."""
        found: list[int] = self._encoding.ids
        return found

    @property
    def type_ids(self) -> list[int]:
        """The type id of each token: usually 0 for the first text and 1 for the second."""
        found: list[int] = self._encoding.type_ids
        return found

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """The character range of each token in its text."""
        found: list[tuple[int, int]] = self._encoding.offsets
        return found

    @property
    def word_ids(self) -> list[int | None]:
        """The tokenizer's word number of each token."""
        found: list[int | None] = self._encoding.word_ids
        return found

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for each token that the template adds."""
        found: list[int] = self._encoding.special_tokens_mask
        return found

    @property
    def tokens(self) -> list[str]:
        """The tokens as the vocabulary writes them."""
        found: list[str] = self._encoding.tokens
        return found

    def __len__(self) -> int:
        return len(self._encoding)

    def windows(self, most: int) -> "list[RowTokens]":
        """Return the windows of the row's text: this one and those that overflowed, at most `most`."""
        encodings = (self._encoding, *self._encoding.overflowing)[:most]
        return [RowTokens(encoding, self.text, self.metadata) for encoding in encodings]


class Tokeniser:
    """The Rust tokenizer of a bundle, and the truncation of texts to the bundle's maximum length.

    Attributes:
        windows: the rules by which the bundle splits long texts; None if it truncates them.
        tags_tokens: True if the bundle tags tokens.
    """

    def __init__(self, bundle: Bundle, *, cut_long_texts: bool = True) -> None:
        """Load `tokenizer.json`.

        Args:
            bundle: the bundle.
            cut_long_texts: encode only the beginning of a long text if that provably gives the same tokens.

        Raises:
            BundleError: the file is missing or the library cannot read it.
        """
        manifest = bundle.manifest
        self._bundle = bundle
        self._cut_long_texts = cut_long_texts
        self._reader = InputReader(manifest)
        self._inputs = manifest.inputs
        self._pad_id = manifest.pad_token_id
        self._max_length = manifest.max_length
        self.windows = manifest.windows
        self._takes_pair = manifest.takes_pair
        self._tokenizer, self._long_texts = self._open()
        self._metadata = MetadataEncoder(manifest.metadata) if manifest.metadata else None
        self.tags_tokens = manifest.head == "token"
        # BERT's type ids of a single text are zeros; reading them costs as much as reading the token ids.
        self._zero_types = not manifest.takes_pair and not any(self._tokenizer.encode("a").type_ids)
        # Computing offsets costs time, so tokens have them only if the head uses them.
        self._ids_only = not (self.tags_tokens or self._metadata or self.windows)

    def reload(self) -> None:
        """Load `tokenizer.json` again.

        Raises:
            BundleError: the file is missing or the library cannot read it.
        """
        self._tokenizer, self._long_texts = self._open()

    def _open(self) -> tuple[Any, LongTexts | None]:
        windows = self.windows
        tokenizer = load_tokenizer(self._bundle)
        stride = windows.stride if windows else 0
        self._check_stride(tokenizer, stride)
        if self._takes_pair:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(self._max_length, stride=stride)
        tokenizer.no_padding()
        if not self._cut_long_texts:
            return tokenizer, None
        return tokenizer, LongTexts(tokenizer, self._max_length, windows.most if windows else 1, stride)

    def _check_stride(self, tokenizer: Any, stride: int) -> None:
        special = tokenizer.num_special_tokens_to_add(is_pair=self._bundle.manifest.takes_pair)
        path = self._bundle.path
        # With such a stride the tokenizer would abort the process.
        if stride and stride >= self._max_length - special:
            raise BundleError(
                f"the window stride of {path} is too large",
                cause=f"adjacent windows share {stride} of {self._max_length - special} tokens",
                fix="export the bundle again with a smaller window stride, or a longer maximum length",
            )

    def encode(self, rows: Sequence[TextInput]) -> Sequence[Tokens]:
        """Tokenize rows; this releases the interpreter lock."""
        return self.encode_inputs(self._reader.read(rows))

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> Sequence[Tokens]:
        """Tokenize inputs; this releases the interpreter lock.

        Returns:
            `RowTokens` if the bundle reads metadata, tags tokens or splits texts into windows; otherwise the
            tokenizer's encodings without offsets, or `TruncatedPair` for a pair that is too long.
        """
        if self._ids_only:
            return self._encode_texts(self._tokenizer.encode_batch_fast, inputs)
        return self.encode_rows(inputs)

    def encode_rows(self, inputs: Sequence[ModelInput]) -> list[RowTokens]:
        """Tokenize inputs with offsets and metadata, regardless of what the bundle needs."""
        texts = [texts_of(row) for row in inputs]
        encoded = self._encode_texts(self._tokenizer.encode_batch, texts)
        metadata: Sequence[npt.NDArray[np.float32] | None] = [None] * len(inputs)
        if self._metadata is not None:
            values = [dict(row.metadata) if isinstance(row, WithMetadata) else None for row in inputs]
            metadata = [*self._metadata.encode(values)]
        return [
            RowTokens(encoding, text if isinstance(text, str) else text[0], columns)
            for encoding, text, columns in zip(encoded, texts, metadata, strict=True)
        ]

    def _encode_texts(self, encode: Callable[[Sequence[Any]], list[Any]], texts: Sequence[Any]) -> list[Any]:
        def encode_truncated(parts: Sequence[Any]) -> list[Any]:
            return [truncate_pair(encoding, self._max_length) for encoding in encode(parts)]

        used = encode_truncated if self._takes_pair else encode
        return used(texts) if self._long_texts is None else self._long_texts.encode(used, texts)

    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> PaddedBatch:
        """Pad rows on the right, to one int64 array [rows, tokens] for each input of the graph.

        `global_attention_mask` is 1 at the first token, as in the training of Longformer classifiers;
        `metadata` is float32 [rows, columns].

        Args:
            rows: the tokens of each row, at least one row.
            width_multiple: the width is rounded up to a multiple of this, but not beyond the bundle's maximum
                length.

        Raises:
            Poison: a row has no tokens, or more than the bundle's maximum length.
        """
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        longest = int(lengths.max())
        if not lengths.all():
            raise Poison(Reason.MODEL, "the tokenizer returns no tokens for this text")
        if longest > self._max_length:
            message = f"the text has {longest} tokens after truncation, {self._max_length} are allowed"
            raise Poison(Reason.MODEL, message)
        width = max(longest, min(self._max_length, -(-longest // width_multiple) * width_multiple))
        real = np.arange(width) < lengths[:, None]
        return {name: self._input_array(name, rows, real) for name in self._inputs}

    def _input_array(
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
        if name == "token_type_ids" and self._zero_types:
            return np.zeros(real.shape, dtype=np.int64)
        ids = name == "input_ids"
        array = np.full(real.shape, self._pad_id if ids else 0, dtype=np.int64)
        flat = chain.from_iterable(row.ids if ids else row.type_ids for row in rows)
        array[real] = np.fromiter(flat, dtype=np.int64, count=int(real.sum()))
        return array
