"""The tags of exported token classifiers: the spans that a worker publishes, or a refusal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rich.console import Console

from stream.bundle import Manifest, SpanRules, open_bundle
from stream.classify import Prediction, make_head
from stream.classify.windows import MergedTokens
from stream.errors import UsageError
from tests.unit.saved_models import classifier, reconfigure, saved, tagger
from tests.unit.small_bundle import partial_manifest
from trainer.export.pretrained import ExportRequest, export_pretrained
from trainer.export.span_rules import describe_spans, span_rules
from trainer.model.base_location import resolve_base_model

__all__ = ["classifier", "saved", "tagger"]

PARITY = {
    "rows": 1,
    "max_abs_logit_diff": 0,
    "tolerance": 1,
    "label_agreement": 1,
    "min_label_agreement": 1,
}
BIOES = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "S-LOC"]


def published(labels: Sequence[str], tags: str) -> list[tuple[str, str]]:
    """Return the spans, as (type, text), of words a, b, … that a model gives these of its labels."""
    manifest = partial_manifest(
        task="token", labels=list(labels), inputs=["input_ids"], spans=span_rules(labels)
    )
    words = tags.split()
    text = " ".join("abcdefgh"[: len(words)])
    logits = np.zeros((len(words), len(labels)), dtype=np.float32)
    for at, tag in enumerate(words):
        logits[at, labels.index(tag)] = 9
    ids = [*range(len(words))]
    offsets = [(2 * at, 2 * at + 1) for at in ids]
    tokens = MergedTokens(text, ids, [0] * len(ids), offsets, ids, [0] * len(ids))
    head = make_head(manifest)
    (prediction,) = head.predict(logits[None], [tokens])
    assert isinstance(prediction, Prediction)
    # The cache accepts what the head predicts.
    assert head.accepts(prediction.stored)
    assert head.possible([prediction.stored], [text]) == [True]
    return [(span["type"], span["text"]) for span in prediction.fields()["spans"]]


@pytest.mark.parametrize(
    ("labels", "tags", "spans"),
    [
        (["O", "B-PER", "I-PER"], "B-PER I-PER O I-PER B-PER", [("PER", "a b"), ("PER", "d"), ("PER", "e")]),
        (BIOES, "B-PER I-PER E-PER S-PER O S-LOC", [("PER", "a b c"), ("PER", "d"), ("LOC", "f")]),
        (BIOES, "S-PER S-PER E-PER I-PER E-PER", [("PER", "a"), ("PER", "b"), ("PER", "c"), ("PER", "d e")]),
        (BIOES, "B-PER S-LOC I-PER B-PER", [("PER", "a"), ("LOC", "b"), ("PER", "c"), ("PER", "d")]),
        (["O", "B-A", "I-A", "L-A", "U-A"], "B-A I-A L-A U-A U-A", [("A", "a b c"), ("A", "d"), ("A", "e")]),
        (["B-A", "M-A", "E-A", "S-A"], "B-A M-A E-A S-A", [("A", "a b c"), ("A", "d")]),
        (["[PAD]", "O", "B-A", "I-A", "X", "[CLS]"], "[PAD] B-A I-A X B-A [CLS]", [("A", "b c"), ("A", "e")]),
        (["<pad>", "O", "B-A", "I-A"], "<pad> B-A <pad> I-A", [("A", "b"), ("A", "d")]),
        (["PAD", "0", "B-A", "I-A"], "PAD B-A I-A 0", [("A", "b c")]),
        (["o", "b-per", "i-per"], "b-per i-per o b-per", [("per", "a b"), ("per", "d")]),
        (["O", "PER-B", "PER-I", "LOC-B"], "PER-B PER-I LOC-B O", [("PER", "a b"), ("LOC", "c")]),
        (["O", "B_A-B", "I_A-B"], "B_A-B I_A-B O", [("A-B", "a b")]),
        (["O", "B", "I"], "B I O B B", [("span", "a b"), ("span", "d"), ("span", "e")]),
        (["O", "B-", "I-"], "B- I- O", [("span", "a b")]),
        (["B", "M", "E", "S"], "B M E S S", [("span", "a b c"), ("span", "d"), ("span", "e")]),
        (["O", "I"], "I I O I", [("span", "a b"), ("span", "d")]),
        (["O", "PER", "LOC"], "PER PER O LOC PER", [("PER", "a b"), ("LOC", "d"), ("PER", "e")]),
        (["O", "S-PER", "U-LOC"], "S-PER S-PER O U-LOC", [("PER", "a"), ("PER", "b"), ("LOC", "d")]),
        (["NOUN", "X", "VERB"], "NOUN NOUN X", [("NOUN", "a"), ("NOUN", "b"), ("X", "c")]),
        (["NOUN", "X", "[PAD]"], "NOUN NOUN [PAD] X", [("NOUN", "a"), ("NOUN", "b"), ("X", "d")]),
        (["e-mail", "u-turn"], "e-mail u-turn", [("e-mail", "a"), ("u-turn", "b")]),
        (["O", "B-X", "I-X"], "B-X I-X O", [("X", "a b")]),
    ],
)
def test_the_tags_of_a_model_become_spans(labels: list[str], tags: str, spans: list[tuple[str, str]]) -> None:
    assert published(labels, tags) == spans


@pytest.mark.parametrize(
    ("labels", "odd", "renamed"),
    [
        (["O", "B-PER", "I-PER", "PER"], "PER", ["S-PER", "[PER]"]),
        (["O", "B-PER", "I-PER", "MISC"], "MISC", ["S-MISC", "I-MISC", "[MISC]"]),
        (["O", "b-per", "i-per", "misc"], "misc", ["S-misc", "[misc]"]),
        (["O", "PER-B", "PER-I", "LOC"], "LOC", ["LOC-S", "LOC-I", "[LOC]"]),
        (["O", "B-PER", "I-PER", "B-"], "B-", ["S-B-", "[B-]"]),
    ],
)
def test_tags_of_two_schemes_are_refused_until_the_odd_one_is_renamed(
    labels: list[str], odd: str, renamed: list[str]
) -> None:
    with pytest.raises(UsageError, match="the tags of m mix two schemes") as refused:
        span_rules(labels, "m")
    assert odd in refused.value.cause
    for name in renamed:
        assert f" {name}" in refused.value.fix
        assert span_rules([name if label == odd else label for label in labels]).scheme != "word"


def test_bare_tags_beside_others_are_refused() -> None:
    with pytest.raises(UsageError, match="mix two schemes") as refused:
        span_rules(["O", "B", "I", "PER"])
    assert "B-TYPE" in refused.value.fix


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["O", "B-A", "I-A"], "joined to spans"),
        (BIOES, "tags are read as BIOES; O marks no span"),
        (["[PAD]", "O", "B-A", "I-A"], "tags are read as BIO; [PAD], O mark no span"),
        (["O", "B-A", "U-A"], "U-A = S-A"),
        (["O", "PER"], "adjacent words with the same tag are one span"),
        (["NOUN", "VERB"], "every word is a span: no tag has a prefix"),
        (["NOUN", "[PAD]"], "every word with another label is a span; [PAD] marks no span"),
    ],
)
def test_the_reading_of_the_tags_is_said(labels: list[str], said: str) -> None:
    assert said in describe_spans(span_rules(labels), labels)


@pytest.mark.slow
def test_the_bundle_of_a_bioes_tagger_keeps_its_labels_and_says_how_they_are_read(tagger: Path) -> None:
    labels = ["[PAD]", "B-PER", "I-PER", "L-PER", "O"]
    reconfigure(tagger, id2label={str(at): name for at, name in enumerate(labels)}, label2id=...)
    store, output = tagger.parent / "store", StringIO()
    export_pretrained(
        resolve_base_model(str(tagger)),
        ExportRequest("m", store, None, False, 512, None),
        Console(file=output, width=200),
        print,
    )
    manifest = open_bundle("m", store).manifest
    assert manifest.labels == labels
    assert manifest.spans == SpanRules(scheme="bioes", tags=["O", "B-PER", "I-PER", "E-PER", "O"])
    assert "spans   tags are read as L-PER = E-PER; [PAD], O mark no span" in output.getvalue()


@pytest.mark.parametrize(
    "spans",
    [
        {"scheme": "bioes"},
        {"scheme": "bio", "tags": ["O"]},
        {"scheme": "bioes", "tags": ["PER"]},
        {"scheme": "bioes", "tags": ["B-"]},
        {"scheme": "bioes", "tags": ["O", "B-A"]},
    ],
)
def test_a_manifest_with_other_tags_is_not_valid(spans: dict[str, object]) -> None:
    fields: dict[str, Any] = {
        "name": "m",
        "task": "token",
        "labels": ["a"],
        "max_length": 8,
        "inputs": ["input_ids"],
        "created_at": datetime.now(UTC),
        "variants": {"fp32": {"file": "m.onnx", "precision": "fp32", "size_bytes": 1, "parity": PARITY}},
    }
    assert Manifest(**fields, spans={"scheme": "bioes", "tags": ["O"]}).spans is not None
    with pytest.raises(ValidationError, match="spans"):
        Manifest(**fields, spans=spans)
