"""Generated inputs, encodings × formats × kinds of labels: each is read rightly, or refused with its line."""

import codecs
import csv
import gzip
import io
import json
import lzma
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, product
from pathlib import Path
from typing import Any

import cramjam
import pytest

from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.examples import Data, Target
from trainer.data.read import read_data

TEXTS = (
    "where is my order",
    "Grüße, wo bleibt “mein” Paket?",
    'he said "no", twice; then left',
    "naïve café – 5 €",
    "# not a comment",
    "  leading and trailing  ",
    "1,234.50 paid",
    "tab-less but | piped",
    "l'été; l'hiver",
    "NULL and void",
    "[brackets] are text",
    "last one",
)
"""Texts that windows-1252 can encode, too."""


@dataclass(frozen=True)
class Kind:
    """A kind of label.

    Attributes:
        cells: the label cells, repeated over the rows.
        targets: the targets that these cells mean.
        labels: the labels in the order of the logits.
        config: the settings of the data.
        names: the lines of the file of `--label-names`; none without one.
        native: whether JSON files hold the cells as JSON values.
    """

    cells: Sequence[Any]
    targets: Sequence[Target]
    labels: Sequence[str]
    config: dict[str, Any] = field(default_factory=dict)
    names: Sequence[str] = ()
    native: bool = False


MULTI: dict[str, Any] = {"task": "multi-label"}
TAGS, TAGGED = ["O", "B-x", "I-x"], [("O", "B-x"), ("O", "O")]
A_B = [("a", "b"), ("b",), ("a",)]
KINDS = {
    "names": Kind(["ham", "spam"], ["ham", "spam"], ["ham", "spam"]),
    "names with spaces and accents": Kind(
        ["très bien", "so so"], ["très bien", "so so"], ["so so", "très bien"]
    ),
    "integers": Kind([0, 1], ["0", "1"], ["0", "1"], native=True),
    "integers with names": Kind([0, 1], ["spam", "ham"], ["spam", "ham"], names=["spam", "ham"], native=True),
    "floats that are integers": Kind(["1.0", "2.0"], ["1", "2"], ["1", "2"]),
    "booleans": Kind(["True", "False"], ["True", "False"], ["False", "True"]),
    "lists": Kind([["a", "b"], ["b"], ["a"]], A_B, ["a", "b"], MULTI, native=True),
    "lists as text": Kind(['["a", "b"]', '["b"]', '["a"]'], A_B, ["a", "b"], MULTI),
    "lists printed by Python": Kind(["['a', 'b']", "['b']", "['a']"], A_B, ["a", "b"], MULTI),
    "lists printed by numpy": Kind(["['a' 'b']", "['b']", "['a']"], A_B, ["a", "b"], MULTI),
    "separated labels": Kind(["a|b", "b", "a"], A_B, ["a", "b"], MULTI),
    "indicators": Kind([[1, 1], [0, 1], [1, 0]], A_B, ["a", "b"], MULTI, ["a", "b"], native=True),
    "indicators printed by numpy": Kind(
        ["[1. 1.]", "[0. 1.]", "[1. 0.]"], A_B, ["a", "b"], MULTI, ["a", "b"]
    ),
    "numbers": Kind([1.5, -2, 30], [1.5, -2.0, 30.0], ["label"], {"task": "regression"}, native=True),
    "decimal commas": Kind(
        ["1,5", "-2", "1.030,25"], [1.5, -2.0, 1030.25], ["label"], {"task": "regression", "decimal": ","}
    ),
    "tags": Kind(
        [["O", "B-x"], ["O", "O"]],
        [("O", "B-x"), ("O", "O")],
        ["O", "B-x", "I-x"],
        {"task": "token"},
        native=True,
    ),
    "tags printed by numpy": Kind(
        ["['O' 'B-x']", "['O' 'O']"], [("O", "B-x"), ("O", "O")], ["O", "B-x", "I-x"], {"task": "token"}
    ),
}

Rows = Sequence[tuple[str, Any]]


def delimited(rows: Rows, delimiter: str) -> str:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n" if delimiter == ";" else "\n")
    writer.writerow(["text", "label"])
    writer.writerows((text, json.dumps(cell) if isinstance(cell, list) else cell) for text, cell in rows)
    return file.getvalue()


def json_rows(rows: Rows, kind: Kind) -> list[str]:
    objects = ({"text": text, "label": cell if kind.native else str(cell)} for text, cell in rows)
    return [json.dumps(row, ensure_ascii=False) for row in objects]


def plain(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Format:
    """A file format: the suffix, the text of the rows, and the compression."""

    suffix: str
    write: Callable[[Rows, Kind], str]
    pack: Callable[[bytes], bytes] = plain


FORMATS = {
    "csv": Format(".csv", lambda rows, _: delimited(rows, ",")),
    "csv with semicolons": Format(".csv", lambda rows, _: delimited(rows, ";")),
    "csv with tabs": Format(".csv", lambda rows, _: delimited(rows, "\t")),
    "tsv": Format(".tsv", lambda rows, _: delimited(rows, "\t")),
    "JSON lines": Format(".jsonl", lambda rows, kind: "\n".join(json_rows(rows, kind))),
    "a JSON array": Format(".json", lambda rows, kind: "[" + ",\n".join(json_rows(rows, kind)) + "]"),
    "gzip": Format(".csv.gz", lambda rows, _: delimited(rows, ","), gzip.compress),
    "xz": Format(".tsv.xz", lambda rows, _: delimited(rows, "\t"), lzma.compress),
    "zstd": Format(
        ".jsonl.zst",
        lambda rows, kind: "\n".join(json_rows(rows, kind)),
        lambda data: bytes(cramjam.zstd.compress(data)),
    ),
}
READABLE: dict[str, Callable[[str], bytes]] = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a byte-order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 LE with a byte-order mark": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16 BE with a byte-order mark": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
}
LATIN_1 = str.maketrans("“”–€", "''-E")
REFUSED: dict[str, Callable[[str], bytes]] = {
    "windows-1252": lambda text: text.encode("windows-1252"),
    "Latin-1": lambda text: (
        text.replace("“", "'").replace("”", "'").replace("–", "-").replace("€", "E").encode("latin-1")
    ),
    "UTF-16 without a byte-order mark": lambda text: text.encode("utf-16-le"),
    "UTF-8 with a damaged byte": lambda text: text.encode().replace(b"void", b"vo\xffd"),
    "UTF-8 with a surrogate": lambda text: text.replace("void", "vo\ud800d").encode("utf-8", "surrogatepass"),
}
READ = [
    pytest.param(encode, form, kind, id=f"{encoding}, {form_name}, {kind_name}")
    for (form_name, form), (kind_name, kind), (encoding, encode) in zip(
        *zip(*product(FORMATS.items(), KINDS.items()), strict=True), cycle(READABLE.items())
    )
]
NOT_READ = [
    pytest.param(encode, form, id=f"{encoding}, {form_name}")
    for (encoding, encode), (form_name, form) in product(REFUSED.items(), FORMATS.items())
]


def rows_of(kind: Kind) -> list[tuple[str, Any]]:
    """Return the rows of a file; for tags, each text has two words."""
    tagged = kind.config.get("task") == "token"
    texts = [f"Wörter {number}" for number in range(len(TEXTS))] if tagged else TEXTS
    return list(zip(texts, cycle(kind.cells)))


def write(folder: Path, form: Format, kind: Kind, encode: Callable[[str], bytes]) -> tuple[Path, DataConfig]:
    file = folder / f"data{form.suffix}"
    file.write_bytes(form.pack(encode(form.write(rows_of(kind), kind))))
    names = folder / "names.txt"
    names.write_text("".join(f"{name}\n" for name in kind.names), encoding="utf-8")
    return file, DataConfig(**kind.config, **({"label_names": names} if kind.names else {}))


def expected_counts(kind: Kind, data: Data) -> dict[str, int]:
    targets = [target for target, _ in zip(cycle(kind.targets), data.examples)]
    found = Counter(
        label for target in targets for label in (target if isinstance(target, tuple) else (target,))
    )
    return {} if data.task == "regression" else {label: found[label] for label in kind.labels}


@pytest.mark.parametrize(("encode", "form", "kind"), READ)
def test_an_odd_file_is_read_rightly(
    tmp_path: Path, encode: Callable[[str], bytes], form: Format, kind: Kind
) -> None:
    file, config = write(tmp_path, form, kind, encode)
    data = read_data(file, config)
    assert [example.text for example in data.examples] == [text for text, _ in rows_of(kind)]
    assert [example.target for example in data.examples] == [
        target for target, _ in zip(cycle(kind.targets), TEXTS)
    ]
    assert data.labels == list(kind.labels)
    assert data.class_counts == expected_counts(kind, data)
    assert (data.no_text, data.no_label) == ([], [])


@pytest.mark.parametrize(("encode", "form"), NOT_READ)
def test_a_file_in_another_encoding_is_refused_with_its_line(
    tmp_path: Path, encode: Callable[[str], bytes], form: Format
) -> None:
    file, config = write(tmp_path, form, KINDS["names"], encode)
    with pytest.raises(UsageError) as error:
        read_data(file, config)
    assert error.value.exit_code == 2
    message = f"{error.value} {error.value.cause} {error.value.fix}"
    assert re.search(r"(line|row|byte|element) \d+", message) or "UTF-16" in message, message
    assert file.name in message
