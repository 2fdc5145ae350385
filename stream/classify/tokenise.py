"""Text to token ids with the bundle's own tokenizer, and rows to padded arrays."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import tokenizers

from stream.bundle import Bundle
from stream.classify.inputs import TextInput
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

    def encode(self, rows: Sequence[TextInput]) -> list[Tokens]:
        """Tokenise rows; releases the interpreter lock while it works."""
        pairs = [row.text if row.text_pair is None else (row.text, row.text_pair) for row in rows]
        encoded: list[Tokens] = self._tokenizer.encode_batch_fast(pairs)
        return encoded

    def pad(self, rows: Sequence[Tokens]) -> Padded:
        """Lay rows into int64 arrays [rows, longest], padded on the right, for the graph's inputs."""
        shape = (len(rows), max(len(row) for row in rows))
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        types = np.zeros(shape, dtype=np.int64)
        for at, row in enumerate(rows):
            width = len(row)
            ids[at, :width] = row.ids
            mask[at, :width] = 1
            types[at, :width] = row.type_ids
        arrays: dict[str, npt.NDArray[np.int64]] = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": types,
        }
        return {name: arrays[name] for name in self._inputs}
