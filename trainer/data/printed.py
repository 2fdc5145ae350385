"""Containers and values that Python, its libraries and R print into cells, such as `Index(['a', 'b'])`."""

import ast
import json
import re

from trainer.data.cells import CellError, shorten

QUOTED_START = re.compile(r"""(?:(?:\w+\.)?\w+\()?[\[({]\s*['"]|(?:c|list)\(\s*['"]""")
"""The start of a list of quoted texts."""

_CALL = (
    r"(?:\w+\.)?(?:array|Array|set|frozenset|OrderedSet|list|tuple|deque|tensor|Tensor|Series|Categorical"
    r"|(?:Categorical|Int64|Float64)?Index|Counter|OrderedDict|dict_(?:keys|values|items))\("
)
_CALL_START = re.compile(rf"{_CALL}\s*[\[({{]|<\w*Array>\s*\[")
_WRAPPED = re.compile(
    rf"{_CALL}\s*(?P<list>(?:[\[({{].*?)?)\s*(?:,\s*\w+\s*=[^\[\]]*)?\)"
    r"|<\w*Array>\s*(?P<array>\[.*\])\s*Length:[^\[\]]*",
    re.DOTALL,
)
_R_VECTOR = re.compile(r"""(?:c|list)\((?P<items>\s*(?:['"].*|\d[^()]*,[^()]*))\)""", re.DOTALL)
_R_START = re.compile(r"""(?:c|list)\(\s*(?:\w+\s*=\s*)?['"]""")
_R_EMPTY = re.compile(r"(?:character|integer|numeric|logical)\(0\)")
_VALUE = re.compile(
    r"(?:\w+\.)?(?:tensor|Tensor|array|Array)\(\s*[^\s\[({)][^\[\]{}]*\)"
    r"|(?:np|numpy|jnp)\.\w+\([^\[\](){}]*\)"
    r"|<[\w.]+(?: object)? at 0x[0-9a-fA-F]+>"
    r"|<\w+\.\w+: .+>",
    re.DOTALL,
)
_SERIES_END = re.compile(r"\n(?:(?:Name|Length): [^\n]*, )*dtype: \S+\s*")


def is_call(text: str) -> bool:
    """Return whether a text begins like a printed container that is not a plain list."""
    patterns = (_WRAPPED, _R_VECTOR, _R_EMPTY)
    return (
        _CALL_START.match(text) is not None
        or _R_START.match(text) is not None
        or any(pattern.fullmatch(text) for pattern in patterns)
    )


def list_in_call(text: str) -> str | None:
    """Return the list in a printed container, with its brackets; None if it is cut, nested or has names."""
    if _R_EMPTY.fullmatch(text):
        return "[]"
    if (vector := _R_VECTOR.fullmatch(text)) is not None:
        return f"[{vector['items']}]"
    wrapped = _WRAPPED.fullmatch(text)
    return (wrapped["list"] or wrapped["array"] or "[]") if wrapped else None


def decode_twice(text: str) -> str:
    r"""Return the list in a text that was encoded twice, such as `"[\"a\"]"`; other texts unmodified."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return text
    try:
        decoded = json.loads(text) if text[0] == '"' else ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError):
        return text
    inner = decoded.strip() if isinstance(decoded, str) else ""
    return inner if re.match(r"""\[\s*(?:['"\]]|-?\d)""", inner) and inner.endswith("]") else text


def check_printed(text: str, column: str) -> None:
    """Refuse a printed object that holds no list.

    Raises:
        CellError: the text is a printed Series, a single value such as `tensor(0)`, or an object without a
            value.
    """
    series = "\n" in text and not is_call(text) and _SERIES_END.search(text) is not None
    if series or _VALUE.fullmatch(text):
        raise CellError(
            f"column {column!r} holds a printed object, not its value",
            cause=f"the cell is {shorten(text)}",
            fix="write the value: for example value.item() of a tensor, or value.tolist() of several",
        )
