"""Token authentication for the HTTP endpoints, by the schemes Bearer and Basic."""

import hmac
import os
import stat
from binascii import Error
from pathlib import Path

import structlog
from aiohttp import BasicAuth

from stream.errors import UsageError

MAX_TOKEN_BYTES = 16 * 2**10
FIX = "set web_token_file to a readable UTF-8 file that holds the token alone"

log = structlog.get_logger(__name__)

# Programs send Bearer; a browser can ask its user for a password only under Basic.
CHALLENGES = [
    ("WWW-Authenticate", "Bearer"),
    ("WWW-Authenticate", 'Basic realm="labelstream", charset="UTF-8"'),
]


def is_authorized(authorization: str, token: str) -> bool:
    """Return True if an Authorization header carries the token, as Bearer or as the password of Basic.

    Args:
        authorization: the header's value; empty when the request has none.
        token: the token that the header must carry.
    """
    # aiohttp decodes headers with surrogates for bytes that are not UTF-8.
    given = _credential(authorization).encode(errors="surrogateescape")
    return hmac.compare_digest(given, token.encode())


def _credential(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    try:
        password: str = BasicAuth.decode(authorization, encoding="utf-8").password
    except (ValueError, Error):
        return ""
    return password


def read_token(path: Path) -> str:
    """Read the token from its file, and log a warning if every user of the machine can read it.

    Raises:
        UsageError: the file cannot be read, is empty, or is too large for a token.
    """
    try:
        with path.open("rb") as file:
            readable_by_all = os.fstat(file.fileno()).st_mode & stat.S_IROTH
            content = file.read(MAX_TOKEN_BYTES + 1)
        token = content.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        cause = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read web_token_file {path}", cause=cause, fix=FIX) from None
    if not token:
        raise UsageError(f"web_token_file {path} is empty", fix="write a token into the file")
    if len(content) > MAX_TOKEN_BYTES:
        cause = f"it has more than {MAX_TOKEN_BYTES:,} bytes"
        raise UsageError(f"web_token_file {path} holds no token", cause=cause, fix=FIX)
    if readable_by_all:
        log.warning(
            "every user of this machine can read the web token", file=str(path), fix=f"chmod 600 {path}"
        )
    return token
