"""The content type of a value, and the decoding of text by its charset."""

from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from dataclasses import dataclass
from email.message import Message
from encodings.aliases import aliases
from functools import lru_cache
from re import ASCII
from re import compile as pattern

from stream.errors import Poison, Reason

MAX_CONTENT_TYPE_BYTES = 1024
MAX_SHOWN_CHARS = 60
_CACHED_CONTENT_TYPES = 256
_PUNCTUATION = pattern(r"\W+", ASCII)

# Python has codecs that decode no charset, and UTF-7 hides text from filters. The names are a closed list,
# since Python remembers every unknown name that it is asked for: producers could fill the memory with names.
_NOT_CHARSETS = (
    "base64_codec",
    "bz2_codec",
    "hex_codec",
    "mbcs",
    "quopri_codec",
    "rot_13",
    "utf_7",
    "uu_codec",
    "zlib_codec",
)
_WITHOUT_ALIAS = ("cp1006", "cp720", "cp737", "cp856", "cp874", "cp875", "koi8_t", "koi8_u")
CHARSETS = frozenset((*aliases.values(), *_WITHOUT_ALIAS)).difference(_NOT_CHARSETS)
"""Python's names of the charsets that a text may have."""

# Without a byte order mark these are big-endian (RFC 2781, section 4.3). Python assumes the machine's order.
_BYTE_ORDERED = {
    "utf_16": ((BOM_UTF16_LE, BOM_UTF16_BE), "utf_16_be"),
    "utf_32": ((BOM_UTF32_LE, BOM_UTF32_BE), "utf_32_be"),
}


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type in lower case, such as `text/plain`, and the charset as written; both may be empty."""

    media: str = ""
    charset: str = ""

    @property
    def is_json(self) -> bool:
        """True for a JSON media type: a subtype `json` or with the suffix `+json` (RFC 6839)."""
        return self.media.endswith(("/json", "+json"))

    @property
    def is_text(self) -> bool:
        """True for every `text/*` that is not JSON."""
        return self.media.startswith("text/") and not self.is_json


NO_CONTENT_TYPE = ContentType()


def read_content_type(value: bytes | None) -> ContentType:
    """Parse a content type.

    Raises:
        Poison: the value is too long to be parsed, or malformed.
    """
    if not value:
        return NO_CONTENT_TYPE
    if len(value) > MAX_CONTENT_TYPE_BYTES:
        raise Poison(
            Reason.SCHEMA,
            f"the content type has {len(value)} bytes, {MAX_CONTENT_TYPE_BYTES} are allowed",
        )
    return _parse(value)


@lru_cache(_CACHED_CONTENT_TYPES)
def _parse(value: bytes) -> ContentType:
    text = value.decode("latin-1")
    message = Message()
    try:
        message["content-type"] = text
        found = message.get_param("charset", "")
    except (TypeError, ValueError):
        # The library raises for parameters of RFC 2231 that contradict each other: `charset*0=a; charset*=b`.
        raise Poison(Reason.SCHEMA, f"the content type {show(text)} is malformed") from None
    # A value in the form of RFC 2231, `charset*=`, is a tuple that ends with the name.
    charset = found[2] if isinstance(found, tuple) else found
    return ContentType(text.partition(";")[0].strip().lower(), charset.strip(" \"'"))


def decode_text(value: bytes, charset: str = "") -> str:
    """Decode a text by its charset, which is UTF-8 without one, and drop its byte order mark.

    A name such as `utf-16le` states the byte order itself, so U+FEFF is a character of such a text (RFC 2781,
    section 3.3).

    Raises:
        Poison: the charset is unknown, or the value is not text in it.
    """
    codec = _codec(charset)
    try:
        if codec == "utf_8":
            return value.decode("utf-8").removeprefix("\ufeff")
        marks, without_mark = _BYTE_ORDERED.get(codec, ((), codec))
        return value.decode(codec if value.startswith(marks) else without_mark)
    except UnicodeDecodeError as exc:
        raise Poison(Reason.DECODE, f"not {_shown_charset(charset)} at byte {exc.start}") from None


def show(name: str) -> str:
    """Return a name that a producer sent as printable ASCII within quotes, cut to 60 characters."""
    return ascii(name if len(name) <= MAX_SHOWN_CHARS else f"{name[:MAX_SHOWN_CHARS]}...")


def _codec(charset: str) -> str:
    if not charset:
        return "utf_8"
    name = _PUNCTUATION.sub("_", charset.lower())
    codec = aliases.get(name, name)
    if codec not in CHARSETS or not charset.isascii():
        raise Poison(Reason.DECODE, f"unknown charset {show(charset)}")
    return codec


def _shown_charset(charset: str) -> str:
    return show(charset).strip("'\"").upper() if charset else "UTF-8"
