"""Bundles of every kind of classifier, built from random weights without a training, with PyTorch weights."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stream.bundle import Bundle, CategoricalColumn, NumericColumn, SpanRules, TargetScale, Windows
from stream.classify import TextInput
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base

LENGTH = 12
COLUMNS = (
    NumericColumn(name="age", mean=40, std=10),
    CategoricalColumn(name="channel", values=["mail", "web"]),
)
METADATA: tuple[dict[str, Any] | None, ...] = (
    {"age": 31, "channel": "web"},
    {"age": "70.5", "channel": "fax"},
    None,
    {"age": None, "channel": "mail"},
)
TAGS = ["O", "B-thing", "I-thing"]
LONG = " ".join(TEXTS)


@dataclass(frozen=True)
class GivenBack:
    """A kind of classifier.

    Attributes:
        own: whether transformers needs the code in the bundle.
        mean_pooling: whether the base model asks for the mean of the token vectors.
        lora: whether the weights are merged from adapters.
        settings: the settings of the bundle in addition to task and labels.
    """

    task: str
    labels: list[str] = field(default_factory=lambda: LABELS)
    own: bool = False
    head: str = "linear"
    mean_pooling: bool = False
    lora: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[TextInput]:
        """Texts from one word to several windows, as the kind reads them."""
        texts = ["a", TEXTS[0], f"{TEXTS[1]} 😀 {TEXTS[2]}", LONG]
        pairs = [TEXTS[3], TEXTS[4], "b", LONG] if self.pair else [None] * len(texts)
        metadata = METADATA if "metadata" in self.settings else [None] * len(texts)
        return [TextInput(*row) for row in zip(texts, pairs, metadata, strict=True)]

    @property
    def pair(self) -> bool:
        """Whether the classifier reads two texts."""
        return self.task == "pair" or bool(self.settings.get("text_pair"))


WINDOWS = Windows(stride=4, most=4)
KINDS = {
    "single": GivenBack("single-label", settings={"temperature": 1.7}),
    "several": GivenBack(
        "multi-label",
        own=True,
        head="mlp",
        settings={
            "thresholds": {label: 0.3 + 0.05 * n for n, label in enumerate(LABELS)},
            "temperature": 0.8,
        },
    ),
    "pair": GivenBack("pair", ["yes", "no"], lora=True),
    "regression": GivenBack(
        "regression",
        ["score"],
        own=True,
        mean_pooling=True,
        settings={"target": TargetScale(mean=30, std=7), "text_pair": True},
    ),
    "ordinal": GivenBack(
        "single-label",
        ["1", "2", "10"],
        own=True,
        settings={"metadata": list(COLUMNS), "values": [1.0, 2.0, 10.0], "abstain_below": 0.4},
    ),
    "token": GivenBack("token", TAGS, settings={"spans": SpanRules()}),
    "windows": GivenBack(
        "multi-label",
        own=True,
        settings={
            "windows": WINDOWS.model_copy(update={"pooling": "max"}),
            "thresholds": dict.fromkeys(LABELS, 0.5),
        },
    ),
    "windows and metadata": GivenBack(
        "single-label",
        own=True,
        head="mlp",
        mean_pooling=True,
        settings={"windows": WINDOWS, "metadata": list(COLUMNS)},
    ),
    "token windows": GivenBack(
        "token",
        TAGS,
        own=True,
        head="mlp",
        settings={"windows": WINDOWS, "metadata": list(COLUMNS), "spans": SpanRules(subwords="all")},
    ),
}


def build_given_back(kind: GivenBack, store: Path, name: str, **changes: Any) -> Bundle:
    """Build a bundle of a kind, fp32 only; `changes` are fields of the bundle's source."""
    import torch
    from transformers import set_seed

    from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
    from trainer.export.package import build_bundle, staging_folder
    from trainer.model.base_location import resolve_base_model
    from trainer.model.base_model import load_classifier, load_tokenizer
    from trainer.progress import silence_libraries

    silence_libraries()
    folder = store.parent / f"base of {name}"
    save_tiny_base(folder)
    if kind.mean_pooling:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    base = resolve_base_model(str(folder))
    _, tokenizer = load_tokenizer(base)
    inference = InferenceConfig(kind.task, kind.labels, LENGTH, **kind.settings)  # type: ignore[arg-type]
    set_seed(3)
    model = load_classifier(
        base,
        tokenizer,
        kind.labels,
        head="single-label" if kind.task == "pair" else kind.task,  # type: ignore[arg-type]
        classifier=kind.head,  # type: ignore[arg-type]
        metadata=kind.settings.get("metadata", ()),
    )
    if kind.lora:
        model = _with_adapters(model)
    with torch.no_grad():
        for parameter in model.parameters():
            # The new head starts with small weights, and with zeros for metadata.
            parameter += 0.1 * torch.randn_like(parameter)
    source = BundleSource(model, tokenizer, inference, BundleInfo(name), kind.rows, variants=())
    with staging_folder(store, name) as staging:
        return build_bundle(replace(source, **changes), staging, store)


def _with_adapters(model: Any) -> Any:
    """Return the model with random low-rank adapters merged into its weights."""
    import torch

    from trainer.config import Lora
    from trainer.model.layers import add_adapters, merge_adapters

    adapted = add_adapters(model, Lora())
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora" in name:
                parameter += 0.1 * torch.randn_like(parameter)
    return merge_adapters(adapted)
