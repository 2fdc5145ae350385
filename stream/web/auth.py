"""Who may look: a token, sent as browsers or as programs send one."""

import hmac
from binascii import Error

from aiohttp import BasicAuth

# Both are offered: a browser takes the one that it can ask its user for.
CHALLENGES = [
    ("WWW-Authenticate", "Bearer"),
    ("WWW-Authenticate", 'Basic realm="labelstream", charset="UTF-8"'),
]


def knows(authorization: str, token: str) -> bool:
    """Whether an Authorization header carries the token: as Bearer, or as the password of Basic."""
    return hmac.compare_digest(_given(authorization).encode(), token.encode())


def _given(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    try:
        password: str = BasicAuth.decode(authorization, encoding="utf-8").password
    except (ValueError, Error):
        return ""
    return password
