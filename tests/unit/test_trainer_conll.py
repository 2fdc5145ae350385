"""CoNLL files: the words and tags of every dialect, and lines that are not words."""

from pathlib import Path

import pytest

from stream.errors import UsageError
from trainer.config import DataConfig
from trainer.data.examples import Data
from trainer.data.read import read_data


def read(folder: Path, text: str, name: str = "data.conll", **options: str) -> Data:
    path = folder / name
    path.write_bytes(text.encode())
    return read_data(path, DataConfig(task="token", **options))


def tagged(data: Data) -> list[list[tuple[str, str]]]:
    return [
        [
            (example.text[start:end], tag)
            for (start, end), tag in zip(example.word_spans, example.labels, strict=True)
        ]
        for example in data.examples
    ]


def notes(data: Data) -> str:
    return "\n".join(data.notes)


NEW_YORK = [("New", "B-x"), ("York", "I-x"), ("!", "O")]
SENTENCE = "New B-x\nYork I-x\n! O\n"


@pytest.mark.parametrize(
    "comment",
    [
        "# text = New York",
        "# sent_id = 1",
        "# newdoc",
        "#\thttp://example.org/a [2009-10-17]",
        "# id 5239\tdomain=en",
        "#begin document (a/b); part 000",
        "#end document",
        "# one two",
        "#",
        "# text = I am O",
        "# x = O",
    ],
)
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_a_comment_before_a_sentence_is_skipped(tmp_path: Path, comment: str, separator: str) -> None:
    sentence = SENTENCE.replace(" ", separator)
    text = f"{comment}\n{comment}\n\n{comment}\n{sentence}\n{comment}\n\n{comment}\n{sentence}\n{comment}\n"
    data = read(tmp_path, text)
    assert tagged(data) == [NEW_YORK, NEW_YORK]
    assert f"6 comment lines were skipped, such as line 1: {comment!r}" in notes(data)


def test_a_comment_with_as_many_fields_as_a_word_is_skipped(tmp_path: Path) -> None:
    words = "New NNP x B-NP B-x\nYork NNP x I-NP I-x\n! . x O O\n"
    data = read(tmp_path, f"# text = New York\n{words}\n# a b c d\n{words}")
    assert tagged(data) == [NEW_YORK, NEW_YORK]


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_hashes_and_hashtags_with_a_tag_are_words(tmp_path: Path, separator: str) -> None:
    text = "# O\n1 O\n\n#Rome B-x\n#foo O\n# O\n\n#bar O\n\nin O\n#Oslo B-y\n".replace(" ", separator)
    assert tagged(read(tmp_path, text)) == [
        [("#", "O"), ("1", "O")],
        [("#Rome", "B-x"), ("#foo", "O"), ("#", "O")],
        [("#bar", "O")],
        [("in", "O"), ("#Oslo", "B-y")],
    ]


def test_a_hashtag_with_a_tag_that_only_hashtags_have_is_a_word_if_its_place_shows_it(tmp_path: Path) -> None:
    data = read(tmp_path, "see VERB\n#foo HT\n\n#bar HT\nsee VERB\n")
    assert tagged(data)[1] == [("#bar", "HT"), ("see", "VERB")]
    with pytest.raises(UsageError, match=r"data.conll, line 3 is either a comment or a word: '#bar HT'"):
        read(tmp_path, "see VERB\n\n#bar HT\nsee NOUN\n")


def test_a_file_of_hashtags_is_read(tmp_path: Path) -> None:
    data = read(tmp_path, "# text = see below\n#Rome B-x\n#foo O\n")
    assert tagged(data) == [[("#Rome", "B-x"), ("#foo", "O")]]


def test_a_comment_within_a_sentence_is_refused(tmp_path: Path) -> None:
    words = "New NNP x B-NP B-x\n# text = New York\nYork NNP x I-NP I-x\n"
    for text in (words, SENTENCE + "# text = New York\n"):
        with pytest.raises(UsageError) as error:
            read(tmp_path, text)
        assert "'# text = New York'" in error.value.cause


GERMEVAL = (
    "#\thttp://de.example.org/wiki/Manfred [2009-10-17]\n"
    "1\tAufgrund\tO\tO\n2\tSchleswig-Holstein\tB-LOC\tO\n3\tHamburger\tB-ORG\tB-LOCderiv\n\n"
    "#\thttp://de.example.org/wiki/ [2010-01-01]\n1\t#\tO\tO\n2\tBonn\tB-LOC\tO\n"
)


def test_germeval_gives_words_and_outer_spans(tmp_path: Path) -> None:
    data = read(tmp_path, GERMEVAL, "NER-de-train.tsv")
    assert tagged(data) == [
        [("Aufgrund", "O"), ("Schleswig-Holstein", "B-LOC"), ("Hamburger", "B-ORG")],
        [("#", "O"), ("Bonn", "B-LOC")],
    ]
    assert "the columns 3, 4 hold tags; 3 is read" in notes(data)
    inner = read(tmp_path, GERMEVAL, "NER-de-train.tsv", label_column="4")
    assert tagged(inner)[0][2] == ("Hamburger", "B-LOCderiv")


CONLLU = (
    "# sent_id = 1\n# text = vámonos al mar\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tvamos\tir\tVERB\t_\tMood=Imp\t0\troot\t_\t_\n"
    "2\tnos\tnosotros\tPRON\t_\tCase=Acc\t1\tobj\t_\t_\n"
    "3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_\n"
    "4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_\n"
    "5\tmar\tmar\tNOUN\tncms\t_\t1\tobl\t_\tSpaceAfter=No\n"
    "5.1\tva\tir\tVERB\t_\t_\t_\t_\t0:root\t_\n\n"
    "# newpar\n1\t1 000\t1 000\tNUM\t_\t_\t0\troot\t_\t_\n\n"
)


def test_conllu_gives_forms_and_universal_tags(tmp_path: Path) -> None:
    for name in ("es.conllu", "es.conll", "es.txt"):
        data = read(tmp_path, CONLLU, name)
        assert tagged(data) == [
            [("vamos", "VERB"), ("nos", "PRON"), ("a", "ADP"), ("el", "DET"), ("mar", "NOUN")],
            [("1 000", "NUM")],
        ]
        assert "3 lines of multi-word tokens (1-2) and empty nodes (8.1) were skipped" in notes(data)
    assert tagged(read(tmp_path, CONLLU, "es.conllu", label_column="8"))[1] == [("1 000", "root")]


def test_columns_that_conllu_plus_declares_are_named(tmp_path: Path) -> None:
    text = "# global.columns = ID FORM UPOS NER\n1\tRome\tPROPN\tB-x\n2\tis\tAUX\tO\n"
    data = read(tmp_path, text, "data.conllup")
    assert (data.columns.text, data.columns.label) == ("FORM", "NER")
    assert tagged(data) == [[("Rome", "B-x"), ("is", "O")]]


def test_universal_ner_gives_the_third_column(tmp_path: Path) -> None:
    words = "1\tWhere\tO\t-\tann\n2\tis\tO\t-\tann\n3\tRome\tB-LOC\t-\tann\n"
    text = "# sent_id = a\n# text = Where is Rome\n" + words
    assert tagged(read(tmp_path, text, "en.iob2")) == [[("Where", "O"), ("is", "O"), ("Rome", "B-LOC")]]


CONLL_2003 = (
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n-DOCSTART- -X- O O\nHi UH -X- O\n"
)


def test_conll_2003_gives_the_last_column_without_document_starts(tmp_path: Path) -> None:
    data = read(tmp_path, CONLL_2003)
    assert tagged(data) == [[("EU", "B-ORG"), ("rejects", "O")], [("Hi", "O")]]
    chunks = read(tmp_path, CONLL_2003.replace("UH -X-", "UH O"), label_column="3")
    assert tagged(chunks)[0] == [("EU", "B-NP"), ("rejects", "B-VP")]


def test_placeholder_columns_are_not_tags(tmp_path: Path) -> None:
    data = read(tmp_path, "a DT -X- _\nb NN -X- _\n")
    assert tagged(data) == [[("a", "DT"), ("b", "NN")]]


def test_the_last_column_may_hold_the_words(tmp_path: Path) -> None:
    for separator in " \t":
        text = "O we\nO are\nO in\nB-x New\nI-x York\n".replace(" ", separator)
        assert tagged(read(tmp_path, text)) == [
            [("we", "O"), ("are", "O"), ("in", "O"), ("New", "B-x"), ("York", "I-x")]
        ]


def test_a_comment_with_tags_is_skipped_where_words_are_numbered(tmp_path: Path) -> None:
    assert tagged(read(tmp_path, "#\tnote\tO\n1\tRome\tB-x\n2\tis\tO\n")) == [[("Rome", "B-x"), ("is", "O")]]


def test_white_space_around_fields_does_not_hide_the_tags(tmp_path: Path) -> None:
    data = read(tmp_path, "Rome \tB-x \ta\nis \tO \tb\nbig \tO \ta\n")
    assert tagged(data) == [[("Rome", "B-x"), ("is", "O"), ("big", "O")]]


def test_a_line_without_the_number_of_its_word_is_refused(tmp_path: Path) -> None:
    lines = ["1\tRome\tB-x", "2\tis\tO", "3\ta\tO", "4a\tbig\tO", "5\tcity\tO"]
    with pytest.raises(UsageError, match=r"data.conll, line 4 does not begin with the number of a word: '4a"):
        read(tmp_path, "\n".join(lines))


def test_the_conll_export_of_label_studio_is_read(tmp_path: Path) -> None:
    data = read(tmp_path, "-DOCSTART- -X- O O\nRome -X- _ B-x\n# -X- _ O\nis -X- _ O\n\n")
    assert tagged(data) == [[("Rome", "B-x"), ("#", "O"), ("is", "O")]]


def test_a_document_start_in_the_last_column_is_skipped(tmp_path: Path) -> None:
    assert tagged(read(tmp_path, "O -DOCSTART-\n\nB-x Rome\nO is\nO a\n")) == [
        [("Rome", "B-x"), ("is", "O"), ("a", "O")]
    ]


def test_sentence_numbers_are_not_words(tmp_path: Path) -> None:
    data = read(tmp_path, "7\tRome\tB-x\n7\tis\tO\n\n8\tHi\tO\n")
    assert tagged(data) == [[("Rome", "B-x"), ("is", "O")], [("Hi", "O")]]


def test_a_constant_first_column_is_not_guessed_to_hold_the_words(tmp_path: Path) -> None:
    text = "".join(f"bc/cctv/00 0 {n} w{n} {tag}\n" for n, tag in enumerate(["B-x", *["O"] * 11]))
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert "--text-column" in error.value.fix
    named = read(tmp_path, text, text_column="4", label_column="5")
    assert tagged(named)[0][:2] == [("w0", "B-x"), ("w1", "O")]


def test_the_tag_column_is_found_in_spite_of_a_misspelt_tag(tmp_path: Path) -> None:
    lines = ["Rome NNP B-x a", "in IN O b", *["York NNP I-x b"] * 20, "here RB 0 a"]
    with pytest.raises(UsageError) as error:
        read(tmp_path, "\n".join(lines))
    assert "the word 'here' has the tag '0'" in error.value.message


def test_a_header_names_the_columns(tmp_path: Path) -> None:
    data = read(tmp_path, "Token\tPOS\tNER\nRome\tNNP\tB-x\nis\tVBZ\tO\n", "data.tsv")
    assert (data.columns.text, data.columns.label) == ("Token", "NER")
    assert tagged(data) == [[("Rome", "B-x"), ("is", "O")]]
    assert "line 1 is read as a header" in notes(data)


def test_a_sentence_per_line_in_a_tsv_file_is_refused_with_a_fix_that_works(tmp_path: Path) -> None:
    text = "tokens\ttags\nin New York\tO B-x I-x\nHi you\tO O\n"
    with pytest.raises(UsageError) as error:
        read(tmp_path, text, "data.tsv")
    assert "has 3 tags: 'O B-x I-x'" in error.value.message
    assert "the suffix .csv" in error.value.fix
    assert tagged(read(tmp_path, text, "data.csv"))[0] == [("in", "O"), ("New", "B-x"), ("York", "I-x")]


@pytest.mark.parametrize("blank", [" ", "\t", " \t \r", "\u00a0", "\r"])
def test_a_line_of_white_space_ends_a_sentence(tmp_path: Path, blank: str) -> None:
    assert tagged(read(tmp_path, f"{SENTENCE}{blank}\n{SENTENCE}")) == [NEW_YORK, NEW_YORK]


@pytest.mark.parametrize("inner", ["\u00a0", "\u3000", "\u2009", "\u2028", "\x85"])
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_other_white_space_is_part_of_a_word(tmp_path: Path, inner: str, separator: str) -> None:
    data = read(tmp_path, f"New{inner}York{separator}B-x\nis{separator}O\n")
    assert tagged(data) == [[(f"New{inner}York", "B-x"), ("is", "O")]]


def test_words_of_tab_separated_files_may_contain_spaces(tmp_path: Path) -> None:
    assert tagged(read(tmp_path, "New York \tB-x\nis\tO\n# 1 fan\tO\n")) == [
        [("New York", "B-x"), ("is", "O"), ("# 1 fan", "O")]
    ]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Rome B-x\nis\nhere O\n", "line 2 has 1 fields, the first line has 2: 'is'"),
        ("Rome\tB-x\nNew York\nhere\tO\n", "line 2 has 1 fields, the first line has 2: 'New York'"),
        ("Rome B-x\n\nNew York B-x\n", "line 3 has 3 fields, the first line has 2: 'New York B-x'"),
        ("Rome B-x\nis O\t\tx\n", "line 2 has 3 fields, the first line has 2: 'is O\\t\\tx'"),
        ("Rome\nis\n", "line 1 has 1 fields, the first line has 1: 'Rome'"),
    ],
)
def test_a_line_of_another_width_is_refused_with_its_number_and_content(
    tmp_path: Path, text: str, cause: str
) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, text)
    assert cause in error.value.cause
    assert "correct line" in error.value.fix


def test_a_file_without_blank_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a single sentence of 600 words"):
        read(tmp_path, "a O\nb B-x\n" * 300)
