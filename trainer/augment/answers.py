"""The strict parser of the model's answers."""

import json
import re
from typing import Any, NamedTuple

FENCE = re.compile(r"```(?:json)?[ \t]*\n(?P<body>.*)\n```", re.DOTALL)
"""The Markdown code block in which many models enclose JSON."""


class NewRow(NamedTuple):
    """The texts of a generated row."""

    text: str
    text_pair: str | None = None


class InvalidAnswerError(ValueError):
    """An answer is not the requested JSON object."""


def parse_answer(content: str, *, pair: bool) -> list[NewRow]:
    """Return the rows of an answer, which is `{"rows": [{"text": …}, …]}`, also in a Markdown code block.

    Args:
        content: the text of the answer.
        pair: whether each row has a second text, `text_pair`.

    Raises:
        InvalidAnswerError: the answer has another form; none of its rows is used.
    """
    text = content.strip()
    if (fenced := FENCE.fullmatch(text)) is not None:
        text = fenced["body"]
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidAnswerError("not JSON") from None
    rows = answer.get("rows") if isinstance(answer, dict) and answer.keys() == {"rows"} else None
    if not isinstance(rows, list) or not rows:
        raise InvalidAnswerError('no object with a list "rows"')
    return [_row(row, pair=pair) for row in rows]


def _row(row: Any, *, pair: bool) -> NewRow:
    names = ("text", "text_pair") if pair else ("text",)
    if not isinstance(row, dict) or row.keys() != set(names):
        raise InvalidAnswerError(f"the members of a row are not {' and '.join(names)}")
    texts = [row[name] for name in names]
    for text in texts:
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            raise InvalidAnswerError("a text is empty or not a string")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidAnswerError("a text has an unpaired surrogate") from None
    return NewRow(*texts)
