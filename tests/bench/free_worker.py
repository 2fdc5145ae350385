"""`labelstream worker` with a free model: constant logits and no tokenizer. It shows what the rest costs."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import stream.classify.classifier as classifier
import stream.model as model
from stream.cli import main


class FreeRuntime:
    """Answers every row alike."""

    device = "cpu"
    provider = "free"

    def __init__(self, bundle: Any, variant: str, device: str = "cpu") -> None:
        self._row = np.zeros(len(bundle.manifest.labels), dtype=np.float32)

    def infer(self, inputs: Any) -> Any:
        """Zeros, float32 [rows, labels]."""
        return np.repeat(self._row[None], len(inputs["input_ids"]), axis=0)


class Token:
    """One token, whatever the text."""

    ids = (1,)
    type_ids = (0,)

    def __len__(self) -> int:
        return 1


class NoTokeniser:
    """Every text is one token."""

    def __init__(self, _bundle: Any) -> None:
        self._token = Token()

    def encode(self, rows: Sequence[object]) -> list[Any]:
        """One token per row."""
        return [self._token] * len(rows)

    def pad(self, rows: Sequence[object]) -> Any:
        """int64 [rows, 1]."""
        return {"input_ids": np.ones((len(rows), 1), dtype=np.int64)}


if __name__ == "__main__":
    setattr(model, "OnnxRuntime", FreeRuntime)  # noqa: B010 - not a name that the module exports
    setattr(classifier, "Tokeniser", NoTokeniser)  # noqa: B010 - likewise
    sys.argv[1:1] = ["worker"]
    main()
