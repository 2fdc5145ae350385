"""A graph that looks the logits of a text up in a table: any logits, without a model or a training.

The text `w3` has the logits of row 3 of the table. In a token bundle, `w3 w5` has the logits of rows 3 and 5.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from stream.bundle import Bundle, Manifest, VariantEntry
from stream.classify import TextInput
from trainer.export.parity import unmeasured_parity
from trainer.export.reference import write_reference
from trainer.export.variants import INT8, VariantRecipe

WIDTH = 64


def table_bundle(
    folder: Path, rows: Sequence[np.ndarray], task: Any = "single-label", **fields: Any
) -> Bundle:
    """Write a draft whose reference has one text for each array of logits.

    Args:
        folder: an empty folder.
        rows: the reference logits of each row: float32 [labels], or for the task `token` [tokens, labels].
        task: the task of the manifest.
        fields: further fields of the manifest.
    """
    token = task == "token"
    table = np.concatenate(rows) if token else np.stack(rows)
    tokenizer = Tokenizer(models.WordLevel({f"w{n}": n for n in range(len(table))}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    lengths = [len(row) if token else 1 for row in rows]
    starts = np.cumsum([0, *lengths])
    texts = [" ".join(f"w{n}" for n in range(a, a + size)) for a, size in zip(starts, lengths, strict=False)]
    write_reference(folder, [TextInput(text) for text in texts], [*rows] if token else table)
    (folder / "onnx").mkdir()
    save_table(folder / "onnx/model.onnx", table, token=token)
    entry = VariantEntry(file="onnx/model.onnx", precision="fp32", size_bytes=1, parity=unmeasured_parity())
    manifest = Manifest(
        name="table",
        version="1",
        task=task,
        labels=[f"l{n}" for n in range(table.shape[1])],
        max_length=WIDTH,
        inputs=["input_ids", "attention_mask"],
        variants={"fp32": entry},
        created_at=datetime.now(UTC),
        **fields,
    )
    return Bundle(folder, manifest, "sha256:" + "0" * 64)


def save_table(file: Path, table: np.ndarray, *, token: bool = False) -> None:
    """Write the graph that looks up the logits of the first token, or of every token."""
    ids = "input_ids" if token else "first"
    first = [helper.make_node("Gather", ["input_ids", "zero"], ["first"], axis=1)]
    unused = [
        helper.make_node("ReduceSum", ["attention_mask"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", [ids, "nothing"], ["ids"]),
    ]
    nodes = [*([] if token else first), *unused, helper.make_node("Gather", ["table", "ids"], ["logits"])]
    shape = ["rows", "tokens", "labels"] if token else ["rows", "labels"]
    graph = helper.make_graph(
        nodes,
        "table",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(table.astype(np.float32), "table"),
            numpy_helper.from_array(np.array(0, dtype=np.int64), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, file)


def recipe_of(
    rows: Sequence[np.ndarray], recipe: VariantRecipe = INT8, *, token: bool = False
) -> VariantRecipe:
    """Return a recipe that makes a graph with these logits, with the name and the limits of another one."""
    table = np.concatenate(rows) if token else np.stack(rows)
    return replace(recipe, make=lambda _fp32, file, _calibration: save_table(file, table, token=token))
