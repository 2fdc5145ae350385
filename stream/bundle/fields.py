"""Types of a manifest's members: numbers are finite and bounded, texts have no control characters.

A bundle comes from another machine. A number such as NaN, 1e400 or a temperature of 1e-300 would otherwise
turn into predictions that look valid and are wrong.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

MANIFEST_FILE = "labelstream.json"
SIGNATURE_FILE = "labelstream.sig"

# Far beyond any real scale, and small enough that its product with a float32 logit stays finite.
MAX_MAGNITUDE = 1e30
# Longer than the context of any encoder; the tokenizer and the warm-up allocate in proportion to it.
MAX_TOKENS = 1_000_000
MAX_NAMES = 1_000_000
MAX_NAME_CHARS = 1_000
MAX_COLUMNS = 10_000
MAX_FILES = 10_000
MAX_PATH_CHARS = 1_000

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$"
# ONNX Runtime reads `*/_ORT_MEM_ADDR_/*` as a memory address; no portable file name has one of these.
_UNPORTABLE = re.compile(r'[\x00-\x1f\x7f-\x9f\\:*?"<>|]')

Magnitude = Annotated[float, Field(ge=-MAX_MAGNITUDE, le=MAX_MAGNITUDE)]
Scale = Annotated[float, Field(ge=1 / MAX_MAGNITUDE, le=MAX_MAGNITUDE)]
Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS, pattern=_PRINTABLE)]
Tag = Annotated[str, Field(max_length=MAX_NAME_CHARS + 2, pattern=r"^(O|[BIES]-[^\x00-\x1f\x7f-\x9f]+)$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


def check_path(path: str) -> str:
    """Return a path of a bundle if it is relative, portable and inside the folder.

    Raises:
        ValueError: the path is not allowed; the message says why.
    """
    if not path or len(path) > MAX_PATH_CHARS:
        raise ValueError(f"a path has 1 to {MAX_PATH_CHARS} characters")
    if found := _UNPORTABLE.search(path):
        raise ValueError(f"the path {path[:80]!a} contains the character {found[0]!a}")
    if path.startswith("/"):
        raise ValueError(f"the path {path[:80]!a} is absolute; paths are relative to the bundle's folder")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"the path {path[:80]!a} has an empty part, `.` or `..`")
    return path


def check_distinct(paths: Iterable[str]) -> None:
    """Check that no two paths name one file on a file system that ignores case or Unicode form.

    Raises:
        ValueError: two paths differ only in case or in their Unicode normalization.
    """
    seen: dict[str, str] = {}
    for path in paths:
        other = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            raise ValueError(f"the paths {other!a} and {path!a} differ only in case")


RelativePath = Annotated[str, AfterValidator(check_path)]
