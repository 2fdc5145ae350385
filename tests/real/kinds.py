"""Tiny bundles of every kind of classifier: an ONNX graph of random weights, and its twin in NumPy.

The graph embeds tokens, takes their mean (or, for tags, keeps them apart) and multiplies. The twin computes
the reference logits in its own way, so that runtimes, layout, windows and pooling are held against something
that shares no code with them.
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
        rows: what its reference holds.
        more: further fields of the manifest.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    rows: tuple[TextInput, ...] = tuple(TextInput(text) for text in TEXTS)
    metadata: tuple[MetadataColumn, ...] = ()
    windows: Windows | None = None
    global_attention: bool = False
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def pair(self) -> bool:
        """Whether it reads two texts."""
        return self.task == "pair" or bool(self.more.get("text_pair"))

    @property
    def inputs(self) -> list[str]:
        """Its graph's inputs."""
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
    Kind("abstain", "single-label", ("billing", "refund", "delivery"), more={"abstain_below": 0.6}),
    Kind("ordinal", "single-label", ("bad", "fair", "good"), more={"values": [1.0, 3.0, 5.0]}),
    Kind(
        "many",
        "multi-label",
        ("angry", "urgent", "money", "parcel"),
        more={
            "thresholds": {"angry": 0.4, "urgent": 0.5, "money": 0.6, "parcel": 0.3},
            "abstain_below": 0.45,
        },
    ),
    Kind("regression", "regression", ("stars",), more={"target": TargetScale(mean=3.0, std=1.5)}),
    Kind("pair", "pair", ("entailment", "neutral", "contradiction"), rows=PAIRS),
    Kind(
        "pair-regression",
        "regression",
        ("relatedness",),
        rows=PAIRS,
        more={"text_pair": True, "target": TargetScale(mean=3.5, std=1.0)},
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
    Kind("token", "token", TAGS, more={"spans": SpanRules()}),
    Kind(
        "token-words",
        "token",
        ("NOUN", "VERB", "OTHER"),
        more={"spans": SpanRules(scheme="word", subwords="all")},
    ),
    Kind("token-windows", "token", TAGS, windows=Windows(stride=6), more={"spans": SpanRules()}),
    Kind("token-metadata", "token", TAGS, rows=WITH_METADATA, metadata=COLUMNS, more={"spans": SpanRules()}),
    Kind("global", "single-label", ("short", "long"), global_attention=True),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Weights:
    """A tiny model's, float32."""

    tokens: np.ndarray
    types: np.ndarray
    metadata: np.ndarray
    out: np.ndarray
    bias: np.ndarray


def make_tokenizer(max_length: int = MAX_LENGTH) -> Tokenizer:
    """WordPiece over the words of the texts and single letters, with BERT's template."""
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
    """Random and the same every time; wide enough that texts are told apart."""
    random = np.random.default_rng(sum(kind.name.encode()))
    columns = sum(column.width for column in kind.metadata)
    normal = lambda *shape: random.normal(0, 1.5, shape).astype(np.float32)  # noqa: E731
    return Weights(
        normal(vocabulary, HIDDEN),
        normal(TYPES, HIDDEN),
        normal(columns, len(kind.labels)),
        normal(HIDDEN, len(kind.labels)),
        normal(len(kind.labels)),
    )


def twin(kind: Kind, weights: Weights, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Logits of one row without padding: [labels], or [tokens, labels] for tags."""
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
    """The same as an ONNX graph over padded rows."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes, constants = [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    last = node("Gather", [constant("tokens", weights.tokens), "input_ids"], "embedded")
    types = constant("types", weights.types)
    for name in ("token_type_ids", "global_attention_mask"):
        if name in kind.inputs:
            last = node("Add", [last, node("Gather", [types, name], f"of_{name}")], f"with_{name}")
    axis_1, axis_2 = constant("axis_1", np.array([1])), constant("axis_2", np.array([2]))
    mask = node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    masked = node("Mul", [last, node("Unsqueeze", [mask, axis_2], "mask_3d")], "masked")
    if kind.task == "token":
        last = masked
    else:
        summed = node("ReduceSum", [masked, axis_1], "summed", keepdims=0)
        last = node("Div", [summed, node("ReduceSum", [mask, axis_1], "real", keepdims=1)], "mean")
    last = node("MatMul", [last, constant("out", weights.out)], "multiplied")
    if kind.metadata:
        added = node("MatMul", ["metadata", constant("of", weights.metadata)], "of_metadata")
        if kind.task == "token":
            added = node("Unsqueeze", [added, axis_1], "of_metadata_3d")
        last = node("Add", [last, added], "with_metadata")
    node("Add", [last, constant("bias", weights.bias)], "logits")
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
    """The twin's logits of the kind's rows, and how many rows of logits each has."""
    stride = kind.windows.stride if kind.windows else 0
    tokenizer.enable_truncation(MAX_LENGTH, stride=stride)
    rows: list[np.ndarray] = []
    for row in kind.rows:
        encoding = tokenizer.encode(row.text, row.text_pair if kind.pair else None)
        cut = [encoding, *encoding.overflowing][: kind.windows.most] if kind.windows else [encoding]
        found = []
        for window in cut:
            first = np.zeros(len(window.ids), dtype=np.int64)
            first[0] = 1
            inputs = {
                "input_ids": np.array(window.ids),
                "token_type_ids": np.array(window.type_ids),
                "global_attention_mask": first,
                "metadata": _columns(kind, row),
            }
            found.append(twin(kind, weights, inputs))
        if kind.task == "token":
            rows.append(np.concatenate(found))
        else:
            pooling = kind.windows.pooling if kind.windows else "mean"
            rows.append(getattr(np.array(found), pooling)(axis=0)[None])
    return np.concatenate(rows), np.array([len(row) for row in rows])


def _columns(kind: Kind, row: TextInput) -> np.ndarray:
    """The metadata of a row as the manifest's words have it, worked out by hand."""
    found: list[float] = []
    metadata = row.metadata or {}
    for column in kind.metadata:
        value = metadata.get(column.name)
        if isinstance(column, NumericColumn):
            try:
                number = float(value)  # type: ignore[arg-type]
            except (TypeError, ValueError):
                found += [0.0, 1.0]
            else:
                found += [min((number - column.mean) / column.std, 1e4), 0.0]
        else:
            places = {None: 0.0, **{known: at + 2.0 for at, known in enumerate(column.values)}}
            found.append(places.get(value, 1.0))
    return np.array(found, dtype=np.float32)


def make_bundle_of(kind: Kind, store: Path) -> Bundle:
    """Add a version of the kind's bundle to a store, with a reference to hold its graph against."""
    staging = new_staging(store, kind.name)
    (staging / "onnx").mkdir()
    tokenizer = make_tokenizer()
    tokenizer.save(str(staging / "tokenizer.json"))
    weights = make_weights(kind, tokenizer.get_vocab_size())
    write_graph(kind, weights, staging / "onnx/model.onnx")
    logits, lengths = reference(kind, weights, tokenizer)
    np.savez_compressed(
        staging / "reference.npz",
        **({"logits": logits, "lengths": lengths} if kind.task == "token" else {"logits": logits}),
    )
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
        **kind.more,
    )
    return publish(staging, manifest, store)
