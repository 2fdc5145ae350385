"""Text to token ids with the bundle's own tokenizer, and rows to padded arrays."""

from collections.abc import Sequence
from itertools import chain
from typing import Protocol

import numpy as np
import numpy.typing as npt
import tokenizers

from stream.bundle import Bundle
from stream.classify.inputs import ModelInput, TextInput
from stream.errors import BundleError
from stream.runtime.base import Padded


class Tokens(Protocol):
    """What the tokenizer returns for a row, as far as it is used here."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def type_ids(self) -> list[int]: ...
    def __len__(self) -> int: ...


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
                why=str(exc),
                mend="export the bundle again",
            ) from exc
        self._tokenizer.enable_truncation(manifest.max_length, strategy="longest_first")
        self._tokenizer.no_padding()
        self._inputs = manifest.inputs
        self._pad_id = manifest.pad_token_id
        self._max_length = manifest.max_length

    def encode(self, rows: Sequence[TextInput]) -> list[Tokens]:
        """Tokenise rows; releases the interpreter lock while it works."""
        return self.encode_inputs([row.model_input for row in rows])

    def encode_inputs(self, inputs: Sequence[ModelInput]) -> list[Tokens]:
        """Tokenise texts and pairs of texts; releases the interpreter lock while it works."""
        encoded: list[Tokens] = self._tokenizer.encode_batch_fast(inputs)
        return encoded

    def pad(self, rows: Sequence[Tokens], width_multiple: int = 1) -> Padded:
        """Lay rows into int64 arrays [rows, tokens], padded on the right, for the graph's inputs.

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
    ) -> npt.NDArray[np.int64]:
        if name == "attention_mask":
            return real.astype(np.int64)
        ids = name == "input_ids"
        laid_out = np.full(real.shape, self._pad_id if ids else 0, dtype=np.int64)
        flat = chain.from_iterable(row.ids if ids else row.type_ids for row in rows)
        laid_out[real] = np.fromiter(flat, dtype=np.int64, count=int(real.sum()))
        return laid_out
