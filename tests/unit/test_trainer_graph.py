"""The ONNX graph: dynamic axes, weights after training, heads with metadata, and what the file omits."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, XLMRobertaConfig

from stream.bundle import CategoricalColumn, NumericColumn
from stream.classify import TextInput
from stream.errors import BundleError, UsageError
from tests.real.architectures import make_architecture
from tests.real.graph_shapes import largest_difference
from tests.real.tiny_bundle import LABELS, TEXTS
from trainer.export.bundle_source import BundleInfo, BundleSource, InferenceConfig
from trainer.export.graph import capture_graph, check_exportable
from trainer.export.package import build_bundle, staging_folder
from trainer.model.heads import TextClassifier

AGE = NumericColumn(name="age", mean=0.0, std=1.0)
CHANNEL = CategoricalColumn(name="channel", values=["shop", "web"])
COLUMNS = (AGE, CHANNEL)


def encoder(name: str) -> Any:
    model, _ = make_architecture(name)
    model.base_model.config.num_labels = len(LABELS)
    return model.base_model


def test_training_after_the_capture_changes_the_weights_of_the_graph(tmp_path: Path) -> None:
    model, _ = make_architecture("bert")
    graph = capture_graph(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    # A replaced parameter, as adapters leave it.
    model.classifier.weight = nn.Parameter(torch.randn_like(model.classifier.weight))
    graph.write(model, tmp_path / "model.onnx")
    assert largest_difference(model, tmp_path / "model.onnx", graph.inputs) < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "tokens"])
def test_a_head_with_metadata_and_a_hidden_layer_has_the_models_logits(pooling: Any, tmp_path: Path) -> None:
    model = TextClassifier(encoder("distilbert"), pooling=pooling, classifier="mlp", metadata=COLUMNS).eval()
    nn.init.normal_(model.classifier[0].weight)
    graph = capture_graph(model, token=pooling == "tokens", metadata_columns=3)
    graph.write(model, tmp_path / "m.onnx")
    assert graph.inputs == ["input_ids", "attention_mask", "metadata"]
    assert largest_difference(model, tmp_path / "m.onnx", graph.inputs, metadata_columns=3) < 1e-5


def test_a_model_that_does_not_read_its_metadata_is_refused() -> None:
    class Deaf(TextClassifier):
        def forward(self, metadata: Any = None, **inputs: Any) -> Any:  # type: ignore[override]
            return super().forward(**inputs)

    with pytest.raises(BundleError, match="does not fit the worker") as refused:
        capture_graph(Deaf(encoder("distilbert")).eval(), metadata_columns=3)
    assert "does not read its metadata" in refused.value.cause


def test_a_model_that_cannot_be_captured_is_refused_with_the_first_error() -> None:
    class Branching(TextClassifier):
        def forward(self, input_ids: Any, **inputs: Any) -> Any:  # type: ignore[override]
            if input_ids.sum().item() > 100:
                raise ValueError("too much")
            return super().forward(input_ids, **inputs)

    with pytest.raises(BundleError, match="cannot be exported to ONNX") as refused:
        capture_graph(Branching(encoder("distilbert")).eval())
    assert "data-dependent" in refused.value.cause
    assert "\x1b" not in refused.value.cause


@pytest.mark.parametrize(("layers", "fits"), [(20, True), (24, False)])
def test_weights_that_no_file_holds_are_refused_before_a_capture(
    layers: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The size of xlm-roberta-large; the meta device holds shapes alone.
    config = XLMRobertaConfig(
        vocab_size=250_002,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=layers,
        num_attention_heads=16,
    )
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    captured: list[Any] = []

    def export(*_: Any, **__: Any) -> None:
        captured.append(1)
        raise ValueError

    monkeypatch.setattr("torch.onnx.export", export)
    with pytest.raises(BundleError if fits else UsageError, match="cannot be exported to ONNX") as refused:
        capture_graph(model)
    assert captured == [1] * fits
    assert ("2.09 GiB in float32" in refused.value.cause) is not fits


def test_the_attention_of_a_model_is_restored_after_its_capture() -> None:
    model, _ = make_architecture("distilbert")
    before = model.config._attn_implementation
    assert before != "eager"
    capture_graph(model)
    assert model.config._attn_implementation == before


def test_the_file_is_the_same_each_time_and_holds_no_paths(tmp_path: Path) -> None:
    model, _ = make_architecture("distilbert")
    for name in ("a.onnx", "b.onnx"):
        capture_graph(model).write(model, tmp_path / name)
    data = (tmp_path / "a.onnx").read_bytes()
    assert data == (tmp_path / "b.onnx").read_bytes()
    for part in (str(Path(torch.__file__).parent.parent), "stack_trace", ".py"):
        assert part.encode() not in data
    graph = onnx.load(tmp_path / "a.onnx")
    assert {entry.domain: entry.version for entry in graph.opset_import} == {"": 20}
    assert "If" not in {node.op_type for node in graph.graph.node}
    assert {"Gelu", "LayerNormalization"} <= {node.op_type for node in graph.graph.node}
    dimensions = [dim.dim_param for dim in graph.graph.input[0].type.tensor_type.shape.dim]
    assert dimensions == ["rows", "tokens"]


def test_an_architecture_without_a_classifier_of_the_task_is_refused() -> None:
    check_exportable("camembert", token=True)
    check_exportable("bart")
    with pytest.raises(UsageError, match="cannot be exported to ONNX for token-classification"):
        check_exportable("bart", token=True)
    with pytest.raises(UsageError, match="cannot be exported"):
        check_exportable("vit")


class Logits(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.model(input_ids).logits + 0 * attention_mask.sum()


@dataclass(frozen=True)
class TracedGraph:
    """A graph of the TorchScript exporter that ignores the attention mask: it is right without padding."""

    inputs: list[str] = field(default_factory=lambda: ["input_ids", "attention_mask"])

    def write(self, model: Any, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        ids = torch.full((2, 12), 7)

        torch.onnx.export(
            Logits(model).eval(),
            (ids, torch.ones_like(ids)),
            str(file),
            dynamo=False,
            opset_version=18,
            input_names=self.inputs,
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "tokens"} for name in self.inputs},
        )


def test_the_parity_check_refuses_a_graph_that_is_wrong_with_padding(tmp_path: Path) -> None:
    model, tokenizer = make_architecture("roberta")
    rows = [TextInput(text) for text in TEXTS]
    graph: Any = TracedGraph()
    source = BundleSource(
        model, tokenizer, InferenceConfig("single-label", LABELS, 64), BundleInfo("m"), rows, graph=graph
    )
    with (
        staging_folder(tmp_path, "m") as staging,
        pytest.raises(BundleError, match="fp32 does not match the trained PyTorch model"),
    ):
        build_bundle(source, staging, tmp_path)
    assert not (tmp_path / "m").exists()
