"""The prediction cache: a bounded tier in the process, and a shared tier behind it."""

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from stream.bundle import Bundle
from stream.classify.heads import Head
from stream.classify.inputs import ModelInput, Prediction, canonical_json

KEY_VERSION = 1
VALUE_VERSION = b"\x02"
CHECKSUM_BYTES = 4

Tier = Literal["local", "redis"]
LookupResult = Literal["hit", "miss", "invalid", "error"]
OnLookups = Callable[[Tier, LookupResult, int], None]
Key = bytes
"""The BLAKE2b-128 hash of the canonical input."""


class SharedCache(Protocol):
    """A tier that several workers share. It never raises: a failure counts as a miss."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]: ...
    async def put_many(self, values: Mapping[str, bytes]) -> None: ...


class KeyMaker:
    """Makes keys that identify the exact model and the exact input: `labelstream:1:DIGEST:VARIANT:HASH`."""

    def __init__(self, bundle: Bundle, variant: str) -> None:
        self._prefix = f"labelstream:{KEY_VERSION}:{bundle.short_digest}:{variant}:"

    def keys(self, inputs: Iterable[ModelInput]) -> list[Key]:
        """Return the hash of each input, which is unique within one worker."""
        blake2b = hashlib.blake2b
        return [blake2b(canonical_json(given), digest_size=16).digest() for given in inputs]

    def shared_key(self, key: Key) -> str:
        """Return the key of an entry in the shared tier."""
        return self._prefix + key.hex()


class LocalCache:
    """The tier in the process; the least recently used entries are evicted first."""

    def __init__(self, entries: int) -> None:
        """
        Args:
            entries: the maximum number of entries; 0 disables the tier.
        """
        self._entries = entries
        # Not a dict: finding its first key skips every key that was removed before it.
        self._known: OrderedDict[Key, Prediction] = OrderedDict()

    @property
    def enabled(self) -> bool:
        """True if the tier can hold entries."""
        return self._entries > 0

    def get(self, key: Key) -> Prediction | None:
        """Return the prediction of a key, which becomes the most recently used one."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def put(self, key: Key, prediction: Prediction) -> None:
        """Store a prediction; evict the least recently used one if the tier is full."""
        if not self._entries:
            return
        self._known[key] = Prediction(prediction.members, prediction.stored, cached=True)
        self._known.move_to_end(key)
        if len(self._known) > self._entries:
            self._known.popitem(last=False)

    def __len__(self) -> int:
        return len(self._known)


def encode_stored(prediction: Prediction) -> bytes:
    """Encode a prediction for the shared tier: version, CRC-32, `Prediction.stored`; no ids, times, text."""
    checksum = zlib.crc32(prediction.stored).to_bytes(CHECKSUM_BYTES, "little")
    return VALUE_VERSION + checksum + prediction.stored


def decode_stored(value: bytes, accepts: Callable[[bytes], bool]) -> bytes | None:
    """Decode the output of `encode_stored`; return None if it is damaged or the head does not accept it."""
    stored = value[1 + CHECKSUM_BYTES :]
    checksum = int.from_bytes(value[1 : 1 + CHECKSUM_BYTES], "little")
    if value[:1] != VALUE_VERSION or zlib.crc32(stored) != checksum or not accepts(stored):
        return None
    return stored


class PredictionCache:
    """Both tiers behind one interface."""

    def __init__(
        self,
        keys: KeyMaker,
        local: LocalCache,
        shared: SharedCache | None,
        head: Head,
        on_lookups: OnLookups = lambda _tier, _result, _n: None,
    ) -> None:
        """
        Args:
            keys: makes the keys of one bundle and variant.
            local: the tier in the process.
            shared: the shared tier, if there is one.
            head: the bundle's head, which decodes stored predictions.
            on_lookups: called with a tier, a result, and the number of lookups that had this result.
        """
        self._keys = keys
        self._local = local
        self._shared = shared
        self._head = head
        self._on_lookups = on_lookups

    @property
    def enabled(self) -> bool:
        """True if at least one tier can hold entries."""
        return self._local.enabled or self._shared is not None

    def keys(self, inputs: Iterable[ModelInput]) -> list[Key]:
        """Return the key of each input."""
        return self._keys.keys(inputs)

    async def get_many(self, keys: Sequence[Key], inputs: Sequence[ModelInput]) -> list[Prediction | None]:
        """Return the prediction of each key, None where there is none, in at most one round trip.

        Args:
            keys: the keys of the inputs.
            inputs: the inputs of the keys.
        """
        found: list[Prediction | None] = [None] * len(keys)
        if self._local.enabled:
            get = self._local.get
            found = [get(key) for key in keys]
            misses = found.count(None)
            self._on_lookups("local", "hit", len(keys) - misses)
            self._on_lookups("local", "miss", misses)
        if self._shared is not None and None in found:
            missing = [index for index, known in enumerate(found) if known is None]
            shared = await self._get_shared(
                self._shared, [keys[index] for index in missing], [inputs[index] for index in missing]
            )
            for index, known in zip(missing, shared, strict=True):
                found[index] = known
        return found

    async def _get_shared(
        self, shared: SharedCache, keys: list[Key], inputs: list[ModelInput]
    ) -> list[Prediction | None]:
        shared_key = self._keys.shared_key
        values = await shared.get_many([shared_key(key) for key in keys])
        accepts = self._head.accepts
        stored = [decode_stored(value, accepts) if value is not None else None for value in values]
        forms, of_inputs = _present(stored, inputs)
        possible = self._head.possible(forms, of_inputs)
        if not all(possible):
            genuine = iter(possible)
            stored = [None if form is None or not next(genuine) else form for form in stored]
            forms, of_inputs = _present(stored, inputs)
        predictions = self._head.restore(forms, of_inputs)
        misses = values.count(None)
        self._on_lookups("redis", "error", len(keys) - len(values))
        self._on_lookups("redis", "miss", misses)
        self._on_lookups("redis", "invalid", len(values) - misses - len(predictions))
        self._on_lookups("redis", "hit", len(predictions))
        remaining = iter(predictions)
        found = [None if known is None else next(remaining) for known in stored]
        for key, prediction in zip(keys, found, strict=False):
            if prediction is not None:
                self._local.put(key, prediction)
        return found + [None] * (len(keys) - len(found))

    def remember(self, key: Key, prediction: Prediction) -> None:
        """Store a new prediction in the process."""
        self._local.put(key, prediction)

    async def store_shared(self, predictions: Mapping[Key, Prediction]) -> None:
        """Write new predictions to the shared tier in at most one round trip."""
        if self._shared is not None and predictions:
            shared_key = self._keys.shared_key
            await self._shared.put_many({shared_key(key): encode_stored(p) for key, p in predictions.items()})


def _present(
    stored: Sequence[bytes | None], inputs: Sequence[ModelInput]
) -> tuple[list[bytes], list[ModelInput]]:
    """Return the stored forms that are present, and their inputs."""
    forms = [form for form in stored if form is not None]
    return forms, [given for given, form in zip(inputs, stored, strict=False) if form is not None]
