"""Tiny bundles of every kind of classifier: an ONNX graph of random weights, and a NumPy implementation.

The graph embeds tokens, averages them (except for tags) and applies a linear layer. The NumPy implementation
computes the reference logits independently, so that tests of runtimes, layout, windows and pooling share no
code with the reference.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from stream.bundle import (
    Bundle,
    CategoricalColumn,
    Manifest,
    MetadataColumn,
    NumericColumn,
    Parity,
    SpanRules,
    TargetScale,
    Task,
    VariantEntry,
    Windows,
    new_staging,
    publish,
)
from stream.classify import TextInput

HIDDEN = 8
TYPES = 2
MAX_LENGTH = 16
OPSET = 17
TEXTS = (
    "my card was charged twice",
    "where is my refund, it never came",
    "the parcel was left in the rain",
    "Please cancel my account today!",
    "a",
    "über 900 naïve cafés — “quoted” 😀 twice",
    "my card my parcel my refund " * 12,
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


@dataclass(frozen=True)
class Kind:
    """A kind of classifier.

    Attributes:
        rows: the reference rows.
        manifest_fields: further fields of the manifest.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    rows: tuple[TextInput, ...] = tuple(TextInput(text) for text in TEXTS)
    metadata: tuple[MetadataColumn, ...] = ()
    windows: Windows | None = None
    global_attention: bool = False
    manifest_fields: dict[str, Any] = field(default_factory=dict)

    @property
    def pair(self) -> bool:
        """Whether the classifier reads two texts."""
        return self.task == "pair" or bool(self.manifest_fields.get("text_pair"))

    @property
    def inputs(self) -> list[str]:
        """The inputs of the graph."""
        names = ["input_ids", "attention_mask"]
        names += ["token_type_ids"] if self.pair else []
        names += ["global_attention_mask"] if self.global_attention else []
        return [*names, *(["metadata"] if self.metadata else [])]


PAIRS = tuple(
    TextInput(text, pair)
    for text, pair in (
        ("my card was charged twice", "the card was charged once"),
        ("the parcel is here", "a refund"),
        ("my card my parcel " * 9, "twice " * 20),
    )
)
WITH_METADATA = tuple(
    TextInput(text, None, metadata)
    for text, metadata in zip(
        TEXTS,
        (
            {"channel": "email", "amount": 12.5, "unused": [1]},
            {"channel": "fax", "amount": "7"},
            {"channel": None, "amount": None},
            None,
            {"amount": 1e300},
            {"channel": "phone", "amount": "n/a"},
            {"channel": "email"},
        ),
        strict=True,
    )
)
COLUMNS: tuple[MetadataColumn, ...] = (
    NumericColumn(name="amount", mean=10.0, std=4.0),
    CategoricalColumn(name="channel", values=["email", "phone"]),
)
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
KINDS = (
    Kind("single", "single-label", ("billing", "refund", "delivery")),
    Kind(
        "abstain", "single-label", ("billing", "refund", "delivery"), manifest_fields={"abstain_below": 0.6}
    ),
    Kind("ordinal", "single-label", ("bad", "fair", "good"), manifest_fields={"values": [1.0, 3.0, 5.0]}),
    Kind(
        "many",
        "multi-label",
        ("angry", "urgent", "money", "parcel"),
        manifest_fields={
            "thresholds": {"angry": 0.4, "urgent": 0.5, "money": 0.6, "parcel": 0.3},
            "abstain_below": 0.45,
        },
    ),
    Kind("regression", "regression", ("stars",), manifest_fields={"target": TargetScale(mean=3.0, std=1.5)}),
    Kind("pair", "pair", ("entailment", "neutral", "contradiction"), rows=PAIRS),
    Kind(
        "pair-regression",
        "regression",
        ("relatedness",),
        rows=PAIRS,
        manifest_fields={"text_pair": True, "target": TargetScale(mean=3.5, std=1.0)},
    ),
    Kind(
        "metadata",
        "single-label",
        ("keep", "return"),
        rows=WITH_METADATA,
        metadata=COLUMNS,
    ),
    Kind("windows", "single-label", ("billing", "refund", "delivery"), windows=Windows(stride=4)),
    Kind(
        "windows-max",
        "multi-label",
        ("angry", "urgent", "money"),
        windows=Windows(stride=0, pooling="max", most=3),
    ),
    Kind("token", "token", TAGS, manifest_fields={"spans": SpanRules()}),
    Kind(
        "token-words",
        "token",
        ("NOUN", "VERB", "OTHER"),
        manifest_fields={"spans": SpanRules(scheme="word", subwords="all")},
    ),
    Kind("token-windows", "token", TAGS, windows=Windows(stride=6), manifest_fields={"spans": SpanRules()}),
    Kind(
        "token-metadata",
        "token",
        TAGS,
        rows=WITH_METADATA,
        metadata=COLUMNS,
        manifest_fields={"spans": SpanRules()},
    ),
    Kind("global", "single-label", ("short", "long"), global_attention=True),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Weights:
    """The float32 weights of a tiny model."""

    tokens: np.ndarray
    types: np.ndarray
    metadata: np.ndarray
    out: np.ndarray
    bias: np.ndarray


def make_tokenizer(max_length: int = MAX_LENGTH) -> Tokenizer:
    """Build a WordPiece tokenizer over the words of the texts and single letters, with BERT's template."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = sorted({word for text in TEXTS for word in re.findall(r"[a-z]{2,}", text.lower())})
    vocabulary = [*SPECIAL, *letters, *(f"##{c}" for c in letters), *".,!?“”—'", *words]
    tokenizer = Tokenizer(
        models.WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokenizer


def make_weights(kind: Kind, vocabulary: int) -> Weights:
    """Return reproducible random weights, with a range wide enough that logits differ between texts."""
    random = np.random.default_rng(sum(kind.name.encode()))
    columns = sum(column.width for column in kind.metadata)

    def normal(*shape: int) -> np.ndarray:
        return np.asarray(random.normal(0, 1.5, shape), dtype=np.float32)

    return Weights(
        normal(vocabulary, HIDDEN),
        normal(TYPES, HIDDEN),
        normal(columns, len(kind.labels)),
        normal(HIDDEN, len(kind.labels)),
        normal(len(kind.labels)),
    )


def numpy_logits(kind: Kind, weights: Weights, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Compute the logits of one row without padding: [labels], or [tokens, labels] for tags."""
    hidden = weights.tokens[inputs["input_ids"]]
    if kind.pair:
        hidden = hidden + weights.types[inputs["token_type_ids"]]
    if kind.global_attention:
        hidden = hidden + weights.types[inputs["global_attention_mask"]]
    if kind.task != "token":
        hidden = hidden.mean(axis=0)
    logits = hidden @ weights.out + weights.bias
    if kind.metadata:
        logits = logits + inputs["metadata"] @ weights.metadata
    return logits.astype(np.float32)


def write_graph(kind: Kind, weights: Weights, file: Path) -> None:
    """Write the same model as an ONNX graph over padded rows."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes, constants = [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    output_name = node("Gather", [constant("tokens", weights.tokens), "input_ids"], "embedded")
    types = constant("types", weights.types)
    for name in ("token_type_ids", "global_attention_mask"):
        if name in kind.inputs:
            output_name = node(
                "Add", [output_name, node("Gather", [types, name], f"of_{name}")], f"with_{name}"
            )
    axis_1, axis_2 = constant("axis_1", np.array([1])), constant("axis_2", np.array([2]))
    mask = node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    masked = node("Mul", [output_name, node("Unsqueeze", [mask, axis_2], "mask_3d")], "masked")
    if kind.task == "token":
        output_name = masked
    else:
        summed = node("ReduceSum", [masked, axis_1], "summed", keepdims=0)
        output_name = node("Div", [summed, node("ReduceSum", [mask, axis_1], "real", keepdims=1)], "mean")
    output_name = node("MatMul", [output_name, constant("out", weights.out)], "multiplied")
    if kind.metadata:
        metadata_logits = node("MatMul", ["metadata", constant("of", weights.metadata)], "of_metadata")
        if kind.task == "token":
            metadata_logits = node("Unsqueeze", [metadata_logits, axis_1], "of_metadata_3d")
        output_name = node("Add", [output_name, metadata_logits], "with_metadata")
    node("Add", [output_name, constant("bias", weights.bias)], "logits")
    shape: list[str | int] = ["rows", "tokens", len(kind.labels)]
    if kind.task != "token":
        del shape[1]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", len(weights.metadata)])
            if name == "metadata"
            else helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"])
            for name in kind.inputs
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(model)
    save(model, file)


def reference(kind: Kind, weights: Weights, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Compute the reference logits of the kind's rows, and the number of logit vectors of each row."""
    stride = kind.windows.stride if kind.windows else 0
    tokenizer.enable_truncation(MAX_LENGTH, stride=stride)
    rows: list[np.ndarray] = []
    for row in kind.rows:
        encoding = tokenizer.encode(row.text, row.text_pair if kind.pair else None)
        kept_windows = [encoding, *encoding.overflowing][: kind.windows.most] if kind.windows else [encoding]
        window_logits = []
        for window in kept_windows:
            first = np.zeros(len(window.ids), dtype=np.int64)
            first[0] = 1
            inputs = {
                "input_ids": np.array(window.ids),
                "token_type_ids": np.array(window.type_ids),
                "global_attention_mask": first,
                "metadata": _columns(kind, row),
            }
            window_logits.append(numpy_logits(kind, weights, inputs))
        if kind.task == "token":
            rows.append(np.concatenate(window_logits))
        else:
            pooling = kind.windows.pooling if kind.windows else "mean"
            rows.append(getattr(np.array(window_logits), pooling)(axis=0)[None])
    return np.concatenate(rows), np.array([len(row) for row in rows])


def _columns(kind: Kind, row: TextInput) -> np.ndarray:
    """Encode the metadata of a row as the manifest specifies, independently of the product code."""
    encoded: list[float] = []
    metadata = row.metadata or {}
    for column in kind.metadata:
        value = metadata.get(column.name)
        if isinstance(column, NumericColumn):
            try:
                number = float(value)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                encoded += [0.0, 1.0]
            else:
                encoded += [min((number - column.mean) / column.std, 1e4), 0.0]
        else:
            codes: dict[Any, float] = {None: 0.0}
            codes |= {known: at + 2.0 for at, known in enumerate(column.values)}
            encoded.append(codes.get(value, 1.0))
    return np.array(encoded, dtype=np.float32)


def make_bundle_of(kind: Kind, store: Path) -> Bundle:
    """Add a bundle of the kind to a store, with reference logits for its graph."""
    staging = new_staging(store, kind.name)
    (staging / "onnx").mkdir()
    tokenizer = make_tokenizer()
    tokenizer.save(str(staging / "tokenizer.json"))
    weights = make_weights(kind, tokenizer.get_vocab_size())
    write_graph(kind, weights, staging / "onnx/model.onnx")
    logits, lengths = reference(kind, weights, tokenizer)
    if kind.task == "token":
        np.savez_compressed(staging / "reference.npz", logits=logits, lengths=lengths)
    else:
        np.savez_compressed(staging / "reference.npz", logits=logits)
    members = ("text", "text_pair", "metadata")
    (staging / "reference.jsonl").write_bytes(
        b"".join(
            orjson.dumps({m: getattr(row, m) for m in members if getattr(row, m) is not None}) + b"\n"
            for row in kind.rows
        )
    )
    parity = Parity(
        rows=len(logits), max_abs_logit_diff=0, tolerance=1e-3, label_agreement=1, min_label_agreement=1
    )
    manifest = Manifest(
        name=kind.name,
        task=kind.task,
        labels=list(kind.labels),
        max_length=MAX_LENGTH,
        inputs=kind.inputs,
        metadata=list(kind.metadata) or None,
        windows=kind.windows,
        variants={
            "fp32": VariantEntry(
                file="onnx/model.onnx",
                precision="fp32",
                size_bytes=(staging / "onnx/model.onnx").stat().st_size,
                parity=parity,
            )
        },
        created_at=datetime.now(UTC),
        **kind.manifest_fields,
    )
    return publish(staging, manifest, store)
