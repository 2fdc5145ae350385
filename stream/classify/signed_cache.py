"""Signatures for a shared tier that others can write to."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path

from stream.classify.cache import SharedCache
from stream.errors import UsageError

SIGNED_VERSION = b"\x03"
TAG_BYTES = 16
MIN_SECRET_BYTES = 16
KEY_PURPOSE = b"labelstream key"
TAG_PURPOSE = b"labelstream tag"
INVALID = b""


class SignedCache:
    """A shared tier whose values carry a keyed hash of key and value (BLAKE2b).

    A value of a writer without the secret counts as invalid, and so does a value that was copied from another
    key, because the hash covers the key.
    """

    def __init__(self, shared: SharedCache, secret: bytes) -> None:
        """
        Args:
            shared: the tier that holds the signed values.
            secret: the secret that all workers of the tier share.
        """
        self._shared = shared
        self._key = hashlib.blake2b(secret, digest_size=32, person=KEY_PURPOSE).digest()

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the value of each key; one with a wrong signature is empty, which no reader accepts."""
        values = await self._shared.get_many(keys)
        return [
            None if value is None else self._open(key, value)
            for key, value in zip(keys, values, strict=False)
        ]

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Store values with their signatures."""
        await self._shared.put_many(
            {key: SIGNED_VERSION + self._tag(key, value) + value for key, value in values.items()}
        )

    def _open(self, key: str, signed: bytes) -> bytes:
        tag, value = signed[1 : 1 + TAG_BYTES], signed[1 + TAG_BYTES :]
        genuine = hmac.compare_digest(tag, self._tag(key, value))
        return value if genuine and signed[:1] == SIGNED_VERSION else INVALID

    def _tag(self, key: str, value: bytes) -> bytes:
        # No key contains NUL, so no other pair of key and value has the same bytes.
        signed = b"%b\0%b" % (key.encode(), value)
        return hashlib.blake2b(signed, digest_size=TAG_BYTES, key=self._key, person=TAG_PURPOSE).digest()


def read_secret(path: Path) -> bytes:
    """Return the secret in a file, without white space around it.

    Raises:
        UsageError: the file cannot be read, or the secret is short.
    """
    try:
        secret = path.read_bytes().strip()
    except OSError as exc:
        raise UsageError(
            f"cannot read cache_secret_file {path}",
            cause=str(exc.strerror),
            fix="set cache_secret_file to a readable file",
        ) from None
    if len(secret) < MIN_SECRET_BYTES:
        raise UsageError(
            f"the secret in cache_secret_file {path} is too short",
            cause=f"it has {len(secret)} bytes; at least {MIN_SECRET_BYTES} are needed",
            fix=f"create one: openssl rand -hex 32 > {path}",
        )
    return secret
