"""Token authentication for the HTTP endpoints, by the schemes Bearer and Basic."""

import hmac
from binascii import Error

from aiohttp import BasicAuth

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
    return hmac.compare_digest(_credential(authorization).encode(), token.encode())


def _credential(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    try:
        password: str = BasicAuth.decode(authorization, encoding="utf-8").password
    except (ValueError, Error):
        return ""
    return password
