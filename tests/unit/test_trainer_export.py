"""`labelstream export`: accepted models, refused models, and the texts of the parity check."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from rich.console import Console

from stream.bundle import Bundle, open_bundle
from stream.classify import TextInput
from stream.errors import UsageError
from stream.verify import read_reference
from tests.real.architectures import ARCHITECTURES, TAGS, make_architecture, save_architecture
from tests.real.tiny_bundle import LABELS, TEXTS, save_tiny_base
from trainer.cli import export
from trainer.export.graph import check_exportable
from trainer.export.pretrained import ExportRequest, export_pretrained, load_pretrained, task_of
from trainer.export.reference import read_texts, sample_texts
from trainer.export.span_rules import span_rules
from trainer.model.base_location import resolve_base_model


def exported(folder: Path, **flags: Any) -> tuple[Bundle, list[str]]:
    """Return the bundle of the model in a folder, and the warnings."""
    warnings: list[str] = []
    request = ExportRequest(
        "m",
        folder / "store",
        flags.get("task"),
        flags.get("text_pair", False),
        flags.get("max_length", 512),
        flags.get("texts"),
    )
    export_pretrained(
        resolve_base_model(str(folder / "model")), request, Console(quiet=True), warnings.append
    )
    return open_bundle("m", folder / "store"), warnings


def reconfigured(folder: Path, **members: Any) -> None:
    """Change the configuration of a saved model."""
    config = orjson.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_bytes(orjson.dumps({**config, **members}))


def test_a_folder_becomes_a_bundle_with_the_models_labels_and_length(tmp_path: Path) -> None:
    save_tiny_base(tmp_path / "model")
    bundle, _ = exported(tmp_path)
    manifest = bundle.manifest
    assert (manifest.task, manifest.labels, manifest.max_length) == ("single-label", LABELS, 64)
    assert manifest.variants["fp32"].parity.max_abs_logit_diff < 1e-4
    assert "int8-static" not in manifest.variants
    rows, _ = read_reference(bundle)
    assert rows[0] == sample_texts(pair=False)[0]
    assert "exported from" in (bundle.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("architecture", "task", "pair"),
    [("roberta", "pair", True), ("distilbert", "multi-label", False), ("modernbert", None, True)],
)
def test_flags_set_a_task_that_the_configuration_does_not_define(
    tmp_path: Path, architecture: str, task: Any, pair: bool
) -> None:
    save_architecture(architecture, tmp_path / "model")
    bundle, _ = exported(tmp_path, task=task, text_pair=pair, max_length=32)
    manifest = bundle.manifest
    assert (manifest.task, manifest.takes_pair) == (task or "single-label", pair)
    assert manifest.max_length == 32


def test_a_generic_tokenizer_of_transformers_5_can_be_loaded(tmp_path: Path) -> None:
    save_architecture("modernbert", tmp_path / "model")
    saved = orjson.loads((tmp_path / "model/tokenizer_config.json").read_bytes())
    assert saved["tokenizer_class"] == "TokenizersBackend"
    classifier = load_pretrained(resolve_base_model(str(tmp_path / "model")))
    assert classifier.labels == LABELS
    assert classifier.tokenizer(TEXTS[0])["input_ids"][0] == classifier.tokenizer.cls_token_id


def test_the_parity_of_a_token_classifier_is_checked_on_the_users_texts(tmp_path: Path) -> None:
    save_architecture("electra", tmp_path / "model", token=True)
    (tmp_path / "texts.txt").write_text("\n".join([*TEXTS, "", "last one"]))
    bundle, _ = exported(tmp_path, texts=tmp_path / "texts.txt")
    manifest = bundle.manifest
    assert (manifest.task, manifest.labels) == ("token", TAGS)
    assert manifest.spans is not None
    assert manifest.spans.scheme == "bio"
    rows, _ = read_reference(bundle)
    assert [row.text for row in rows[: len(TEXTS) + 1]] == [*TEXTS, "last one"]


def test_an_untrained_head_is_refused(tmp_path: Path) -> None:
    from transformers import BertModel

    save_tiny_base(tmp_path / "model")
    encoder = BertModel.from_pretrained(tmp_path / "model")
    encoder.config.architectures = ["BertForSequenceClassification"]
    encoder.save_pretrained(tmp_path / "model")
    reconfigured(tmp_path / "model", architectures=["BertForSequenceClassification"])
    with pytest.raises(UsageError, match="not completely trained") as refused:
        load_pretrained(resolve_base_model(str(tmp_path / "model")))
    assert "classifier" in refused.value.cause


def test_an_encoder_without_a_head_is_refused(tmp_path: Path) -> None:
    save_tiny_base(tmp_path / "model")
    reconfigured(tmp_path / "model", architectures=["BertModel"])
    with pytest.raises(UsageError, match="is not a classifier") as refused:
        load_pretrained(resolve_base_model(str(tmp_path / "model")))
    assert "labelstream train" in refused.value.fix


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    import torch

    model, _ = save_tiny_base(tmp_path / "model")
    torch.save(model.state_dict(), tmp_path / "model/pytorch_model.bin")
    (tmp_path / "model/model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded safely") as refused:
        load_pretrained(resolve_base_model(str(tmp_path / "model")))
    assert "pickled" in refused.value.cause


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"id2label": dict(zip("012345", "aabcde", strict=True))}, "the same name"),
        ({"problem_type": "regression"}, "6 numbers at once"),
    ],
)
def test_labels_that_a_bundle_does_not_support_are_refused(
    tmp_path: Path, changed: dict[str, Any], cause: str
) -> None:
    save_tiny_base(tmp_path / "model")
    reconfigured(tmp_path / "model", **changed)
    with pytest.raises(UsageError, match="cannot be exported to a bundle") as refused:
        load_pretrained(resolve_base_model(str(tmp_path / "model")))
    assert cause in refused.value.cause


@pytest.mark.parametrize(
    ("problem_type", "labels", "task"),
    [
        (None, 3, "single-label"),
        (None, 1, "regression"),
        ("single_label_classification", 2, "single-label"),
        ("multi_label_classification", 3, "multi-label"),
        ("regression", 1, "regression"),
    ],
)
def test_the_problem_type_determines_the_task(problem_type: str | None, labels: int, task: str) -> None:
    config = SimpleNamespace(problem_type=problem_type, num_labels=labels)
    assert task_of(config, token=False) == task
    assert task_of(config, token=True) == "token"


def test_a_task_that_does_not_fit_the_head_is_refused(tmp_path: Path) -> None:
    save_architecture("bert", tmp_path / "model", token=True)
    with pytest.raises(UsageError, match="does not fit this model"):
        exported(tmp_path, task="multi-label")
    with pytest.raises(UsageError, match="a token classifier reads one text"):
        exported(tmp_path, text_pair=True)
    assert not (tmp_path / "store").exists()


def test_flags_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a base model"):
        export(str(tmp_path / "nowhere"))
    save_tiny_base(tmp_path / "model")
    with pytest.raises(UsageError, match="--task singel-label is not valid"):
        export(str(tmp_path / "model"), task="singel-label")
    with pytest.raises(UsageError, match="cannot name a bundle"):
        export(str(tmp_path / "model"), name="a/b")


def test_an_architecture_without_an_export_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be exported"):
        check_exportable("reformer", token=True)
    check_exportable("modernbert", token=True)


def test_labels_without_bio_prefixes_make_every_word_a_span() -> None:
    assert span_rules(["I-PER", "O", "B-PER"]).scheme == "bio"
    assert span_rules(["NOUN", "VERB"]).scheme == "word"


def test_texts_are_read_from_every_format(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text":"a","text_pair":"b"}\n\n{"text":"c","text_pair":"d"}\n')
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), (1, "a, b"), (2, "")])
    assert read_texts(tmp_path / "t.jsonl", pair=True) == [TextInput("a", "b"), TextInput("c", "d")]
    assert read_texts(tmp_path / "t.jsonl", pair=False) == [TextInput("a"), TextInput("c")]
    assert read_texts(tmp_path / "t.csv", pair=False) == [TextInput("a, b")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "id,body\n1,x\n", "cannot be read"),
        ("t.jsonl", "{", "cannot be read"),
        ("t.jsonl", '["a"]', "cannot be read"),
        ("t.txt", "\n\n", "has no texts"),
        ("t.csv", "text\nx\n", "has no second texts"),
    ],
)
def test_unusable_texts_raise_an_error(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        read_texts(tmp_path / name, pair=True)
    with pytest.raises(UsageError, match="cannot be read"):
        read_texts(tmp_path / "nowhere.txt", pair=False)


@pytest.mark.slow
def test_longformer_has_the_global_mask_as_input_and_its_attention_is_restored() -> None:
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    from trainer.export.graph import capture_graph

    before = LongformerSelfAttention.forward
    model, _ = make_architecture("longformer")
    assert capture_graph(model).inputs == ["input_ids", "attention_mask", "global_attention_mask"]
    assert LongformerSelfAttention.forward is before


def test_the_documented_architectures_match_the_tested_ones() -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    section = page.split("## Architectures")[1].split("## Variants")[0]
    assert set(re.findall(r"^\| ([a-z0-9-]+) \|", section, re.MULTILINE)) == {*ARCHITECTURES, "model"}
