"""The truncation of long texts by characters, before tokenization.

A bundle reads the first tokens of a text, but the tokenizer encodes all of it. If the tokens of the text's
beginning do not depend on the rest, encoding the beginning is enough. That is decided from the tokenizer's
own components; a tokenizer with a component that is not known here encodes whole texts.

The argument: let a text be cut between a letter or digit and a single space before another letter or digit.

1. No added token contains a letter or digit followed by white space, so none reaches across the cut, and
   what it strips or requires around it is the same with and without the rest.
2. Each known normalizer treats the characters before the cut as if the text ended there: it works on single
   characters, on whole normalization segments or grapheme clusters, which end before a space, or on patterns
   that cannot contain the cut. `_keeps_boundary` checks in addition that the space stays a separator.
3. The known pre-tokenizers then end a word at the cut, and the words before it do not depend on later text.
4. The model encodes each word separately.

So the tokens of the beginning are the first tokens of the text. If they are as many as the bundle reads, the
result is that of the whole text; otherwise a longer beginning is encoded.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import tokenizers

# The first attempt encodes this many characters for each token that the bundle reads, and the next attempt
# four times as many. Words of European languages have about five characters a token.
CHARS_PER_TOKEN = 6
GROWTH = 4
# Texts of up to twice this length are encoded whole: a cut would save less than a millisecond.
MIN_CHARS = 2_048

# Letters and digits that no normalization joins with a space, or with what follows a space: they are neither
# marks nor parts of a grapheme cluster with their neighbour.
_LETTERS = (
    "0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0391-\u03a1\u03a3-\u03a9\u03ac-\u03ce"
    "\u0400-\u0481\u048a-\u052f\u0531-\u0556\u0561-\u0587\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"
    "\u0904-\u0939\u0e01-\u0e30\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
)
_IDEOGRAPHS = "\u4e00-\u9fff"
BETWEEN_WORDS = rf"(?<=[{_LETTERS}])(?= [{_LETTERS}])"
BETWEEN_IDEOGRAPHS = rf"(?<=[{_IDEOGRAPHS}])(?=[{_IDEOGRAPHS}])"

# These work on single characters, or on segments that end before a space.
_LOCAL_NORMALIZERS = frozenset(
    (
        "BertNormalizer",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Lowercase",
        "StripAccents",
        "Strip",
        "Nmt",
        "Precompiled",
    )
)
# These end a word before a space or at it.
_REMOVE_SPACES = frozenset(("BertPreTokenizer", "Whitespace", "WhitespaceSplit"))
# These may come before one that ends a word: they split between single characters.
_LOCAL_PRE_TOKENIZERS = frozenset(("Digits", "Punctuation"))
_MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")

Component = Mapping[str, Any]


class LongTexts:
    """Encodes long texts up to the tokens that a bundle reads, with the result of encoding all of them."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, max_length: int, windows: int, stride: int) -> None:
        """
        Args:
            tokenizer: the tokenizer. It, or the function that `encode` is given, truncates on the right to
                `max_length` tokens.
            max_length: the maximum tokens of an encoding.
            windows: the number of encodings of a text that the bundle reads.
            stride: the tokens that adjacent encodings of a text share.
        """
        self._max_length = max_length
        self._windows = windows
        self._boundary = cut_pattern(tokenizer)
        self._keeps_boundary = _boundary_check(tokenizer)
        tokens = windows * max_length - (windows - 1) * stride
        self._first_chars = max(MIN_CHARS, CHARS_PER_TOKEN * tokens)
        self._max_chars = 2 * self._first_chars

    def encode(
        self, encode: Callable[[Sequence[Any]], list[Any]], texts: Sequence[str | tuple[str, str]]
    ) -> list[Any]:
        """Encode texts and pairs of texts.

        Args:
            encode: encodes texts, each from its beginning; returns an encoding for each.
            texts: the texts, of any length.
        """
        if self._boundary is None or max(map(_chars, texts), default=0) <= self._max_chars:
            return encode(texts)
        chars = self._first_chars
        cut = [self._cut(text, chars) for text in texts]
        encodings = encode(cut)
        short = [*range(len(texts))]
        while short := [
            at for at in short if cut[at] is not texts[at] and not self._is_complete(encodings[at], texts[at])
        ]:
            chars *= GROWTH
            for at in short:
                cut[at] = self._cut(texts[at], chars)
            for at, encoding in zip(short, encode([cut[at] for at in short]), strict=True):
                encodings[at] = encoding
        return encodings

    def _cut(self, text: str | tuple[str, str], chars: int) -> str | tuple[str, str]:
        """Return the beginning of a text, or the text itself if it is short or has no place for a cut."""
        if isinstance(text, str):
            return self._beginning(text, chars)
        first, second = text
        beginnings = self._beginning(first, chars), self._beginning(second, chars)
        return text if beginnings[0] is first and beginnings[1] is second else beginnings

    def _beginning(self, text: str, chars: int) -> str:
        if self._boundary is None or len(text) <= 2 * chars:
            return text
        found = self._boundary.search(text, chars, 2 * chars)
        # Without a place for a cut, the text may be one long word.
        if found is None or not self._keeps_boundary(text, found.start()):
            return text
        return text[: found.start()]

    def _is_complete(self, encoding: Any, text: str | tuple[str, str]) -> bool:
        """Return True if the encoding of a beginning has all tokens of the text that the bundle reads."""
        if isinstance(text, str):
            if self._windows == 1:
                return len(encoding) == self._max_length
            encodings = [encoding, *encoding.overflowing][: self._windows]
            return len(encodings) == self._windows and len(encodings[-1]) == self._max_length
        sequences = encoding.sequence_ids
        counts = sequences.count(0), sequences.count(1)
        if len(encoding) != self._max_length:
            return False
        if counts[0] == counts[1]:
            # Each text has at least half of the tokens, and a longer text would not get more.
            return True
        # The text with less than half of the tokens is shorter, so it is not truncated. It must be whole; the
        # other text fills the rest. If it has half of them and the longer text gets the odd one, a cut can
        # change which text is longer.
        shorter = 0 if counts[0] < counts[1] else 1
        return counts[shorter] < sum(counts) // 2 and len(text[shorter]) <= 2 * self._first_chars


def _chars(text: str | tuple[str, str]) -> int:
    """Return the characters of a text, or of the longer text of a pair."""
    return len(text) if isinstance(text, str) else max(map(len, text))


def cut_pattern(tokenizer: tokenizers.Tokenizer) -> re.Pattern[str] | None:
    """Return a pattern that matches between two parts of a text whose tokens are those of the text.

    Returns:
        None if no such place is known for this tokenizer.
    """
    normalizers = _parts(tokenizer.normalizer, "normalizers")
    pre_tokenizers = _parts(tokenizer.pre_tokenizer, "pretokenizers")
    model = tokenizer.model
    known = (
        all(map(_is_local_normalizer, normalizers))
        and _ends_words_at_spaces(pre_tokenizers)
        and type(model).__name__ in _MODELS
        # With dropout the tokens of a text are random.
        and not getattr(model, "dropout", None)
    )
    added = [
        form
        for token in tokenizer.get_added_tokens_decoder().values()
        for form in (token.content, _normalized(tokenizer, token.content))
    ]
    if not known or any(re.search(r"\S\s", form) for form in added):
        return None
    places = [BETWEEN_WORDS]
    # No added token contains an ideograph then: its normalized form would contain a space.
    if _separates_ideographs(normalizers, pre_tokenizers):
        places.append(BETWEEN_IDEOGRAPHS)
    return re.compile("|".join(places))


def _parts(component: Any, members: str) -> Sequence[Component]:
    """Return the parts of a normalizer or pre-tokenizer, those of sequences in their order."""
    if component is None:
        return []
    try:
        found: Component = orjson.loads(component.__getstate__())
    except (TypeError, ValueError):
        # A component that is written in Python has no such form.
        return [{"type": "unknown"}]
    return _flatten(found, members)


def _flatten(component: Component, members: str) -> list[Component]:
    if component.get("type") != "Sequence":
        return [component]
    return [part for member in component[members] for part in _flatten(member, members)]


def _is_local_normalizer(part: Component) -> bool:
    match part:
        case {"type": "Prepend"}:
            return True
        case {"type": "Replace", "pattern": {"Regex": pattern}}:
            # The one expression in use: it changes runs of spaces, and the space at the cut is alone.
            return bool(pattern == " {2,}")
        case {"type": "Replace", "pattern": {"String": pattern}}:
            return not any(char.isspace() for char in pattern)
        case {"type": kind}:
            return kind in _LOCAL_NORMALIZERS
    return False


def _ends_words_at_spaces(parts: Sequence[Component]) -> bool:
    """Return True if a word ends at the cut; parts after the one that ends it see its pieces separately."""
    for part in parts:
        match part:
            case {"type": "ByteLevel", "use_regex": True} | {"type": "Metaspace", "split": True}:
                return True
            case {"type": kind} if kind in _REMOVE_SPACES:
                return True
            case {"type": kind} if kind in _LOCAL_PRE_TOKENIZERS:
                continue
        return False
    return False


def _separates_ideographs(normalizers: Sequence[Component], pre_tokenizers: Sequence[Component]) -> bool:
    """Return True if the normalizer puts spaces around each ideograph, and the spaces end words."""
    match normalizers, pre_tokenizers:
        case [{"type": "BertNormalizer", "handle_chinese_chars": True}], [{"type": kind}, *_]:
            return kind in _REMOVE_SPACES
    return False


def _normalized(tokenizer: tokenizers.Tokenizer, text: str) -> str:
    normalizer = tokenizer.normalizer
    return text if normalizer is None else str(normalizer.normalize_str(text))


def _boundary_check(tokenizer: tokenizers.Tokenizer) -> Callable[[str, int], bool]:
    """Return a function that checks that a space separates the characters around a cut when normalized."""

    def keeps_boundary(text: str, at: int) -> bool:
        around = text[at - 1 : at + 2] if text[at] == " " else text[at - 1 : at + 1]
        return " " in _normalized(tokenizer, around).strip()

    return keeps_boundary
