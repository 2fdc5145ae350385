"""Read CoNLL: one word and its tags per line, a blank line after each sentence.

Lines hold fields that are separated by tabs, or by spaces. CoNLL-U is one of the formats: its lines begin
with the number of the word, and lines of multi-word tokens (`1-2`) and of empty nodes (`8.1`) are not words.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stream.errors import UsageError
from trainer.data.conll_columns import (
    ColumnGuess,
    column_names,
    guess_columns,
    holds_numbers,
    is_header,
    looks_like_tag,
    unnumbered,
)

DOCUMENT_START = re.compile(r"(^|\s)-DOCSTART-(\s|$)")
ASSIGNMENT = re.compile(r"#\s*\S+(\s\S+)*?\s=(\s|$)")

COMMENT_WORDS = ("#", "#begin", "#end")
GLOBAL_COLUMNS = re.compile(r"#\s*global\.columns\s*=\s*(.+)")
NOT_A_WORD = re.compile(r"\d+-\d+|\d+\.\d+")
"""The number of a multi-word token or of an empty node in CoNLL-U."""

MARKUP = re.compile(r"</?[A-Za-z][^<>]*>")
SEPARATORS = {
    ",": (",", "commas"),
    ";": (";", "semicolons"),
    "|": ("|", "vertical bars"),
    "\u00a0": (r"\xc2\xa0", "no-break spaces"),
    "\u3000": (r"\xe3\x80\x80", "ideographic spaces"),
}
"""The separators that are not read, as `sed` writes their UTF-8 bytes, and their names."""

MAX_WORDS_OF_ONE_SENTENCE = 512
SPACES = re.compile(r"[ \t]+")
"""Only these characters separate fields: a word may contain a no-break space or an ideographic space."""


class Line(NamedTuple):
    """A line that is not blank.

    Attributes:
        number: the line number, from 1.
        text: the line without its end.
        fields: the fields, without white space around them.
    """

    number: int
    text: str
    fields: list[str]

    @property
    def may_be_comment(self) -> bool:
        """Whether the line begins with `#`, like a comment and like a hashtag."""
        return self.text.startswith("#")

    @property
    def is_assignment(self) -> bool:
        """Whether the line is a comment such as `# text = New York`."""
        return ASSIGNMENT.match(self.fields[0] if "\t" in self.text else self.text) is not None


Sentence = list[Line]


@dataclass(frozen=True, slots=True)
class ConllRows:
    """The sentences of a file as rows that hold one list per column.

    Attributes:
        columns: the column names: those of the header or of `global.columns`, or "1", "2", ….
        rows: the sentences.
        default_columns: the columns of words and tags, if they can be guessed.
        first_lines: the number of the first line of each sentence.
        notes: a note on each kind of line that was skipped, and on several columns of tags.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    default_columns: tuple[str, str] | None
    first_lines: list[int]
    notes: list[str]


def read_conll(lines: Iterable[str], name: str) -> ConllRows:
    """Read the sentences of a CoNLL file.

    Args:
        lines: the lines of the file, with their ends.
        name: the name of the file, for messages.

    Raises:
        UsageError: a line has another number of fields than the first, or only one; or no blank line
            separates the sentences.
    """
    blocks = list(_blocks(lines))
    certain = [line for block in blocks for line in _certain_words(block)]
    sentences, comments = _drop_comments(blocks, certain, name)
    _check_widths(sentences, name)
    notes = []
    if comments:
        first = f"line {comments[0].number}: {comments[0].text[:60]!r}"
        notes.append(f"{name}: {len(comments)} comment lines were skipped, such as {first}")
    header = _header(sentences)
    if header is not None:
        notes.append(f"{name}: line {header.number} is read as a header: {', '.join(header.fields)}")
        sentences = [sentence for sentence in [sentences[0][1:], *sentences[1:]] if sentence]
    _check_numbers(sentences, name)
    sentences, skipped = _drop_numbered(sentences)
    if skipped:
        notes.append(
            f"{name}: {skipped} lines of multi-word tokens (1-2) and empty nodes (8.1) were skipped; "
            "the words of a multi-word token are read"
        )
    _check_blank_lines(sentences, name)
    table = [[line.fields for line in sentence] for sentence in sentences]
    names = column_names(header.fields if header else _global_columns(comments), table)
    guess = guess_columns(table, names)
    notes += _notes_on_columns(guess, names, name)
    return ConllRows(
        names,
        [dict(zip(names, map(list, zip(*sentence, strict=True)), strict=True)) for sentence in table],
        guess.named(names),
        [sentence[0].number for sentence in sentences],
        notes,
    )


def _blocks(lines: Iterable[str]) -> Iterator[list[Line]]:
    """Yield the lines between blank lines and document starts, in fields."""
    numbered = [(number, line.rstrip("\r\n")) for number, line in enumerate(lines, 1)]
    filled = [(number, line) for number, line in numbered if line.strip() and not _starts_document(line)]
    words = [line for _, line in filled if not line.startswith("#")]
    tabs = 2 * sum("\t" in line for line in words) > len(words)
    block: list[Line] = []
    last = 0
    for number, text in filled:
        if block and number > last + 1:
            yield block
            block = []
        fields = text.split("\t") if tabs else SPACES.split(text.strip(" \t"))
        block.append(Line(number, text, [field.strip() for field in fields]))
        last = number
    if block:
        yield block


def _starts_document(line: str) -> bool:
    return "-DOCSTART-" in line and DOCUMENT_START.search(line) is not None


def _certain_words(block: Sequence[Line]) -> list[Line]:
    """Return the lines of a block that are no comments: comments precede the words of a sentence."""
    begin = next((at for at, line in enumerate(block) if not line.may_be_comment), len(block))
    return list(block[begin:])


def _drop_comments(
    blocks: Sequence[list[Line]], certain: Sequence[Line], name: str
) -> tuple[list[Sentence], list[Line]]:
    """Return the sentences and the comments.

    Args:
        blocks: the lines between blank lines.
        certain: the lines that are words wherever they begin with `#` or not.
        name: the name of the file.
    """
    if not any(block[0].may_be_comment for block in blocks):
        return list(blocks), []
    lines = certain or [line for block in blocks for line in block if not line.is_assignment]
    width = len(lines[0].fields) if lines else 0
    numbers = holds_numbers([line.fields for line in certain])
    whole = [line.fields[1:] for line in certain if len(line.fields) == width]
    known = [set(column) for column in zip(*whole, strict=True)] or [set[str]()] * (width - 1)
    sentences, comments = [], []
    for block in blocks:
        begin = 0
        while begin < len(block) and block[begin].may_be_comment:
            if not numbers and _is_word(block[begin], width, known, name):
                break
            begin += 1
        comments += block[:begin]
        if begin < len(block):
            sentences.append(block[begin:])
    return sentences, comments


def _is_word(line: Line, width: int, known: Sequence[set[str]], name: str) -> bool:
    """Return whether a line that begins with `#`, before any other word of its sentence, is a word.

    Args:
        line: the line.
        width: the number of fields of a word.
        known: the fields that words have in each column but the first.
        name: the name of the file.

    Raises:
        UsageError: the line can be a comment as well as a word.
    """
    if len(line.fields) != width or line.is_assignment:
        return False
    tags = line.fields[1:]
    if any(tag in column for tag, column in zip(tags, known, strict=True)) or looks_like_tag(tags[-1]):
        return True
    if line.fields[0] in COMMENT_WORDS or line.text.startswith("# "):
        return False
    raise UsageError(
        f"{name}, line {line.number} is either a comment or a word: {line.text[:60]!r}",
        cause=f"it has {width} fields like a word, and no other word has the tag {tags[-1]!r}",
        fix="remove the line if it is a comment; correct its tag if it is a word",
    )


def _check_widths(sentences: Sequence[Sentence], name: str) -> None:
    width = len(sentences[0][0].fields) if sentences else 0
    for line in (line for sentence in sentences for line in sentence):
        if MARKUP.fullmatch(line.text.strip()):
            raise _mark(line, name)
        if width < 2 and (separator := _separator(line)):
            raise _other_separator(line, separator, name)
        if len(line.fields) != width or width < 2 or (line.may_be_comment and line.is_assignment):
            raise UsageError(
                f"{name} is not a CoNLL file",
                cause=f"line {line.number} has {len(line.fields)} fields, the first line has {width}: "
                f"{line.text[:60]!r}",
                fix=f"correct line {line.number}: a line is blank or holds a word and its tags; all lines "
                "use the same separator, a tab or spaces; a comment begins with # and precedes a sentence",
            )


def _mark(line: Line, name: str) -> UsageError:
    """Return the error for a line with a tag of XML."""
    return UsageError(
        f"{name} is not a CoNLL file",
        cause=f"line {line.number} is a mark of the corpus, and not a word: {line.text[:60]!r}",
        fix="replace lines of this kind by blank lines, as this command does: "
        "sed 's/^<[^<>]*>[[:space:]]*$//'",
    )


def _separator(line: Line) -> str | None:
    """Return a separator that is not read, if it is between two fields of a line."""
    return next((one for one in SEPARATORS if one in line.text and not line.text.endswith(one)), None)


def _other_separator(line: Line, separator: str, name: str) -> UsageError:
    """Return the error for a line whose fields have a separator that is not read."""
    mark, named = SEPARATORS[separator]
    # Of two fields, the word may be the separator itself.
    program = f"s/{mark}/\\t/g" if line.text.count(separator) > 1 else f"s/\\(.*\\){mark}/\\1\\t/"
    return UsageError(
        f"{name} is not a CoNLL file",
        cause=f"line {line.number} has {named} between the fields, and neither a tab nor a space: "
        f"{line.text[:60]!r}",
        fix=f"separate the fields by tabs, as this command does: LC_ALL=C sed '{program}'",
    )


def _header(sentences: Sequence[Sentence]) -> Line | None:
    return sentences[0][0] if sentences and is_header(sentences[0][0].fields) else None


def _global_columns(comments: Sequence[Line]) -> list[str] | None:
    """Return the column names that a CoNLL-U Plus file declares."""
    matches = (GLOBAL_COLUMNS.match(line.text) for line in comments)
    return next((match[1].split() for match in matches if match), None)


def _check_numbers(sentences: Sequence[Sentence], name: str) -> None:
    """Refuse a file that numbers most words: the numbers of the others would be read as words."""
    lines = [line for sentence in sentences for line in sentence]
    odd = unnumbered([line.fields for line in lines])
    if odd is not None:
        raise UsageError(
            f"{name}, line {lines[odd].number} does not begin with the number of a word: "
            f"{lines[odd].text[:60]!r}",
            cause="most lines do, so the first column holds numbers and not words",
            fix="correct the line, or remove the column of the numbers from all lines",
        )


def _drop_numbered(sentences: Sequence[Sentence]) -> tuple[list[Sentence], int]:
    """Remove the lines of multi-word tokens and empty nodes; return also their number."""
    if not holds_numbers([line.fields for sentence in sentences for line in sentence]):
        return list(sentences), 0
    words = [
        [line for line in sentence if not NOT_A_WORD.fullmatch(line.fields[0])] for sentence in sentences
    ]
    return [sentence for sentence in words if sentence], sum(map(len, sentences)) - sum(map(len, words))


def _check_blank_lines(sentences: Sequence[Sentence], name: str) -> None:
    if len(sentences) == 1 and len(sentences[0]) > MAX_WORDS_OF_ONE_SENTENCE:
        raise UsageError(
            f"{name} holds a single sentence of {len(sentences[0])} words",
            cause="a blank line ends a sentence, and the file has none between its words",
            fix="write a blank line after each sentence",
        )


def _notes_on_columns(guess: ColumnGuess, names: Sequence[str], name: str) -> list[str]:
    if guess.tags is None or len(guess.candidates) < 2:
        return []
    several, read = ", ".join(names[at] for at in guess.candidates), names[guess.tags]
    return [f"{name}: the columns {several} hold tags; {read} is read; --label-column names another"]
