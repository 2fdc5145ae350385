"""The schemes of tags: spans in every spelling, tags of words, and tags that belong to neither."""

import json
from pathlib import Path

import pytest

from stream.bundle import SpanRules
from stream.classify import Piece, bio_spans
from stream.errors import UsageError
from trainer.config import DataConfig, TagScheme, TrainingConfig
from trainer.data.examples import Data
from trainer.data.read import read_data
from trainer.data.splits import split_examples
from trainer.learning_task import define_task

BIO = "Anna/B-person van/I-person Dam/I-person in/O New/B-place York/I-place"


def write(folder: Path, *sentences: str) -> Path:
    """Write sentences of word/tag pairs as JSON lines."""
    rows = [[pair.rsplit("/", 1) for pair in sentence.split()] for sentence in sentences]
    path = folder / "data.jsonl"
    lines = [json.dumps({"tokens": [w for w, _ in row], "tags": [t for _, t in row]}) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(folder: Path, *sentences: str, scheme: TagScheme | None = None) -> Data:
    return read_data(write(folder, *sentences), DataConfig(task="token", tag_scheme=scheme))


def refuse(folder: Path, *sentences: str, scheme: TagScheme | None = None) -> UsageError:
    with pytest.raises(UsageError) as error:
        read(folder, *sentences, scheme=scheme)
    return error.value


def spans(data: Data) -> list[list[tuple[str, str]]]:
    """Return the type and the text of the spans that a worker would decode from the tags of the data."""
    assert data.marks_spans
    found = []
    for example in data.examples:
        pieces = [Piece(at, *span) for at, span in enumerate(example.word_spans)]
        decoded = bio_spans(zip(pieces, example.labels, [1.0] * len(pieces), strict=True))
        found.append([(span.type, example.text[span.start : span.end]) for span in decoded])
    return found


def notes(data: Data) -> str:
    return "\n".join(data.notes)


@pytest.mark.parametrize(
    ("odd", "meant"),
    [
        ("0", "'O'"),
        ("o", "'O'"),
        ("\u041e", "'O'"),
        ("b-person", "'B-person'"),
        ("B_person", "'B-person'"),
        ("person-B", "'B-person'"),
        ("person", "'B-person' or 'I-person'"),
        ("B-", "'B-TYPE', 'I-TYPE' or 'O'"),
        ("B", "'B-TYPE', 'I-TYPE' or 'O'"),
        ("[PAD]", "'O'"),
        ("<pad>", "'O'"),
        ("-100", "'O'"),
        ("_", "'O'"),
        ("X", "'B-TYPE', 'I-TYPE' or 'O'"),
    ],
)
def test_one_odd_tag_among_span_tags_is_refused_with_row_word_and_correction(
    tmp_path: Path, odd: str, meant: str
) -> None:
    error = refuse(tmp_path, *[BIO] * 50, f"Bob/B-person works/{odd}", BIO)
    assert error.message.startswith(f"data.jsonl, row 51: the word 'works' has the tag {odd!r}")
    assert f"{odd!r} (1)" in error.cause
    assert "307 of 308 tags" in error.cause
    assert f"write {meant} in its place" in error.fix
    assert "--tag-scheme word" in error.fix


def test_following_either_fix_for_an_odd_tag_works(tmp_path: Path) -> None:
    forced = read(tmp_path, BIO, "Bob/B-person works/0", scheme="word")
    assert not forced.marks_spans
    assert forced.labels == ["0", "B-person", "B-place", "I-person", "I-place", "O"]
    assert spans(read(tmp_path, BIO, "Bob/B-person works/O"))[1] == [("person", "Bob")]


def test_an_outside_tag_that_is_not_o_is_refused_although_most_words_have_it(tmp_path: Path) -> None:
    error = refuse(tmp_path, "Anna/B-person is/0 here/0 and/0 sits/0 down/0", "now/0")
    assert "data.jsonl, row 1: the word 'is' has the tag '0'" in error.message
    assert "1 of 7 tags" in error.cause


def test_a_prefix_among_types_without_prefix_is_refused(tmp_path: Path) -> None:
    io = "Anna/person is/O in/O Rome/place and/O sings/O"
    error = refuse(tmp_path, io, io, "Bob/B-person is/O here/O and/O reads/O")
    assert "data.jsonl, row 3: the word 'Bob' has the tag 'B-person'" in error.message
    assert "write 'person' in its place" in error.fix


def test_white_space_around_tags_is_removed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(
        json.dumps({"tokens": ["Anna", "is", "in", "Rome"], "tags": ["B-x ", "O\u00a0", "O", " B-y"]})
    )
    data = read_data(path, DataConfig(task="token"))
    assert spans(data) == [[("x", "Anna"), ("y", "Rome")]]
    assert "white space around 3 tags was removed" in data.notes


@pytest.mark.parametrize(
    ("sentence", "note"),
    [
        ("Anna/B-x van/I-x Dam/I-x meets/O Bob/B-y Carl/B-y", "tags mark spans of 2 types: x, y"),
        ("Anna/b-x van/i-x Dam/i-x meets/o Bob/b-y Carl/b-y", "'b-x', which is read as 'B-x'"),
        ("Anna/B_x van/I_x Dam/I_x meets/O Bob/B_y Carl/B_y", "'B_x', which is read as 'B-x'"),
        ("Anna/x-B van/x-I Dam/x-I meets/O Bob/y-B Carl/y-B", "'x-B', which is read as 'B-x'"),
        ("Anna/x_B van/x_I Dam/x_I meets/O Bob/y_B Carl/y_B", "'x_B', which is read as 'B-x'"),
        ("Anna/B-x van/I-x Dam/E-x meets/O Bob/S-y Carl/S-y", "BIOES"),
        ("Anna/B-x van/I-x Dam/L-x meets/O Bob/U-y Carl/U-y", "BILOU"),
        ("Anna/B-x van/M-x Dam/E-x meets/O Bob/W-y Carl/W-y", "BMEWO"),
        ("Anna/I-x van/I-x Dam/I-x meets/O Bob/I-y Carl/B-y", "IOB1"),
    ],
)
def test_every_spelling_and_scheme_gives_the_same_spans(tmp_path: Path, sentence: str, note: str) -> None:
    data = read(tmp_path, sentence)
    assert spans(data) == [[("x", "Anna van Dam"), ("y", "Bob"), ("y", "Carl")]]
    assert data.labels == ["O", "B-x", "I-x", "B-y", "I-y"]
    assert note in notes(data)


@pytest.mark.parametrize(
    "sentence", ["New/B York/I is/O big/O", "New/b York/i is/o big/o", "New/B York/E is/O big/O"]
)
def test_bare_prefixes_are_spans_of_one_type(tmp_path: Path, sentence: str) -> None:
    data = read(tmp_path, sentence)
    assert spans(data) == [[("span", "New York")]]
    assert data.labels == ["O", "B-span", "I-span"]
    assert "which is read as 'B-span'" in notes(data)


def test_a_zero_among_bare_prefixes_is_refused(tmp_path: Path) -> None:
    error = refuse(tmp_path, "New/B York/I is/O big/O", "in/0 New/B York/I")
    assert "data.jsonl, row 2: the word 'in' has the tag '0'" in error.message


def test_a_span_that_ended_is_not_continued(tmp_path: Path) -> None:
    assert spans(read(tmp_path, "a/B-x b/E-x c/I-x d/E-x e/S-x f/E-x")) == [
        [("x", "a b"), ("x", "c d"), ("x", "e"), ("x", "f")]
    ]


def test_types_without_prefix_are_spans_if_most_words_are_outside(tmp_path: Path) -> None:
    sentence = "we/O saw/O Anna/person Dam/person in/O old/O Rome/place"
    data = read(tmp_path, sentence)
    assert spans(data) == [[("person", "Anna Dam"), ("place", "Rome")]]
    assert "(IO)" in notes(data)
    as_words = read(tmp_path, sentence, scheme="word")
    assert not as_words.marks_spans
    assert as_words.labels == ["O", "person", "place"]


def test_inside_tags_without_begin_tags_are_spans(tmp_path: Path) -> None:
    data = read(tmp_path, "Anna/I-x Dam/I-x in/O Rome/I-y")
    assert spans(data) == [[("x", "Anna Dam"), ("y", "Rome")]]
    assert "no tag begins with B- (IO)" in notes(data)


def test_tags_of_words_are_announced_and_can_be_read_as_types(tmp_path: Path) -> None:
    sentence = "Anna/NOUN Dam/NOUN sings/VERB O/X"
    data = read(tmp_path, sentence)
    assert "tags are taken as words, because no tag begins with B- or I-" in notes(data)
    assert (data.marks_spans, data.labels) == (False, ["NOUN", "VERB", "X"])
    forced = read(tmp_path, sentence, scheme="bio")
    assert spans(forced) == [[("NOUN", "Anna Dam"), ("VERB", "sings"), ("X", "O")]]


def test_single_letters_without_outside_are_tags_of_words(tmp_path: Path) -> None:
    data = read(tmp_path, "the/D dog/N is/V in/I bed/N slowly/B and/C well/B in/I bed/N")
    assert not data.marks_spans
    assert data.labels == ["B", "C", "D", "I", "N", "V"]


def test_the_forced_scheme_reaches_the_manifest_of_the_bundle(tmp_path: Path) -> None:
    for scheme, rules in (("word", SpanRules(scheme="word")), (None, SpanRules(scheme="bio"))):
        config = TrainingConfig(data=DataConfig(task="token", tag_scheme=scheme))
        data = read_data(write(tmp_path, *[f"{BIO} {n}/O" for n in range(20)]), config.data)
        task = define_task(data, split_examples(data.examples, 1).train, config)
        assert task.inference.spans == rules


@pytest.mark.parametrize("tag", ["B-x|B-y", "B-x,O", "O;O"])
def test_several_tags_of_one_word_are_refused(tmp_path: Path, tag: str) -> None:
    error = refuse(tmp_path, BIO, f"Bob/B-x here/{tag}")
    assert error.message == f"data.jsonl, row 2: 'here' has 2 tags: {tag!r}"


def test_tags_that_are_numbers_need_names(tmp_path: Path) -> None:
    error = refuse(tmp_path, "Anna/1 Dam/2 sings/0")
    assert "the tags are numbers: 0, 1, 2" in error.message
    names = tmp_path / "names.txt"
    names.write_text("O\nB-person\nI-person\n")
    assert "--label-names FILE" in error.fix
    named = read_data(tmp_path / "data.jsonl", DataConfig(task="token", label_names=names))
    assert spans(named) == [[("person", "Anna Dam")]]
    assert read(tmp_path, "Anna/1 Dam/2 sings/0", scheme="word").labels == ["0", "1", "2"]


@pytest.mark.parametrize("placeholder", ["[PAD]", "_", "-100"])
def test_a_placeholder_among_tags_of_words_is_refused(tmp_path: Path, placeholder: str) -> None:
    error = refuse(tmp_path, f"Anna/NOUN sings/VERB well/{placeholder}")
    assert f"the word 'well' has the tag {placeholder!r}" in error.message


def test_a_row_per_word_is_refused(tmp_path: Path) -> None:
    error = refuse(tmp_path, *["Anna/B-x", "sings/O"] * 10)
    assert "every row holds a single word; data.jsonl, row 1 holds 'Anna'" in error.message


def test_the_row_of_an_odd_tag_names_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_text("Anna B-x\nsings O\n\nBob B-x\nsings O\n")
    (tmp_path / "test.conll").write_text("# first\nCarl B-x\n\nDora B-x\nsings 0\n")
    with pytest.raises(UsageError) as error:
        read_data(tmp_path, DataConfig(task="token"))
    assert "test.conll, row 2 (the sentence at line 4): the word 'sings'" in error.value.message


def test_types_that_differ_in_case_are_noted(tmp_path: Path) -> None:
    assert "differ only in case are different types: Place, place" in notes(
        read(tmp_path, "Rome/B-place and/O Oslo/B-Place")
    )


def test_the_scheme_is_refused_for_other_tasks() -> None:
    with pytest.raises(UsageError, match="--tag-scheme cannot be combined with --task single-label"):
        DataConfig(tag_scheme="bio")
