"""Text of a data file: the encoding, and strict decoding with the position of invalid bytes."""

import codecs
import itertools
import unicodedata
from collections.abc import Iterator

from stream.errors import UsageError
from stream.tables.packing import ByteSource

BYTE_ORDER_MARKS = (
    # The mark of UTF-16 is a prefix of that of UTF-32.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ESCAPES = {b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$)C": "iso2022_kr"}
SAMPLE_BYTES = 4096
# A larger file is not read to its end for the fix of an error.
GUESSED_CHUNKS = 256


class DecodedText:
    """The text of a file, decoded while it is read.

    Attributes:
        encoding: the name of the encoding.
    """

    def __init__(
        self, source: ByteSource, requested: str | None, kind: str = "text", *, has_flag: bool = True
    ) -> None:
        """Determine the encoding: that of the byte-order mark, the requested one, or UTF-8.

        Args:
            source: the bytes.
            requested: the name of the requested encoding.
            kind: the name of the file's format in messages.
            has_flag: whether the command has a flag `--encoding` for this file, which errors then name.

        Raises:
            UsageError: the file is UTF-16 or UTF-32 without a byte-order mark, or its mark contradicts the
                requested encoding.
        """
        self._source = source
        self._kind = kind
        self._has_flag = has_flag
        mark, marked = next(
            (found for found in BYTE_ORDER_MARKS if source.head.startswith(found[0])), (b"", "")
        )
        self._skipped = len(mark)
        named = codecs.lookup(requested).name if requested else ""
        if marked and named and not named.startswith(_without_byte_order(marked)):
            raise self._error(
                _without_byte_order(named),
                f"it begins with the byte-order mark of {_without_byte_order(marked).upper()}",
                "leave --encoding out",
            )
        wide = "" if marked else _wide_encoding(source.head[:SAMPLE_BYTES])
        if wide and not named:
            cause = f"it is {wide.upper()} without a byte-order mark: it has zero bytes between its letters"
            raise self._error("utf-8", cause, self._fix_for(wide))
        escaped = "" if marked or named else _escape_encoding(source.head)
        if escaped:
            cause = f"it has the escape sequences of {escaped.upper()}"
            raise self._error("utf-8", cause, self._fix_for(escaped))
        if not marked and named in ("utf-16", "utf-32"):
            # Without a byte-order mark, files of Windows have the lower byte first.
            marked = wide if wide.startswith(named) else f"{named}-le"
        self.encoding = marked or named or "utf-8"

    def chunks(self) -> Iterator[str]:
        """Yield the text.

        Raises:
            UsageError: the file cannot be read, or its bytes are invalid in the encoding; the error names
                the line and the byte.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        position, lines, is_ascii = 0, 1, True
        chunks = self._source.chunks()
        for chunk, is_last in _with_last(chunks):
            data = chunk[self._skipped :] if position == 0 else chunk
            try:
                text = decoder.decode(data, is_last)
            except UnicodeDecodeError as exc:
                # The decoder holds back the first bytes of a character that the previous chunk cut.
                start = position + (self._skipped if position == 0 else 0)
                start += exc.start - (len(exc.object) - len(data))
                valid = exc.object[: exc.start].decode(self.encoding, "replace")
                line = lines + _line_ends(valid)
                is_ascii = is_ascii and valid.isascii()
                rest = [exc.object[exc.start :], *itertools.islice(chunks, GUESSED_CHUNKS)]
                raise self._invalid(exc, start, line, is_ascii=is_ascii, rest=rest) from None
            position += len(chunk)
            lines += _line_ends(text)
            is_ascii = is_ascii and text.isascii()
            yield text

    def _invalid(
        self, error: UnicodeDecodeError, position: int, line: int, *, is_ascii: bool, rest: list[bytes]
    ) -> UsageError:
        byte = error.object[error.start]
        where = f"line {line}, byte {position}: 0x{byte:02x} is not valid in {self.encoding.upper()}"
        if self.encoding == "utf-8" and (wide := _wide_reading(self._source.head[:SAMPLE_BYTES])):
            cause, fix = f"; it is probably {wide.upper()} without a byte-order mark", self._fix_for(wide)
        elif any(b"\0" in part for part in rest):
            cause, fix = (
                "; the file contains zero bytes, so it is not a text file",
                "convert it to CSV in UTF-8",
            )
        elif self.encoding != "utf-8":
            cause, fix = (
                "",
                "name the encoding in which the file was saved in --encoding, or leave --encoding out",
            )
        elif not is_ascii:
            cause = "; the text before it is UTF-8, so these bytes are damaged or come from another file"
            fix = f"correct line {line}, or drop the invalid bytes: {self._iconv('UTF-8', '-c ')}"
        elif _decodes(rest, "windows-1252"):
            cause, fix = (
                "",
                f"if a Windows program in Western Europe wrote it, {self._fix_for('windows-1252')}",
            )
        else:
            cause, fix = "", self._fix_for("")
        return self._error(self.encoding, where + cause, fix)

    def _error(self, encoding: str, cause: str, fix: str) -> UsageError:
        message = f"{self._source.name} cannot be read as {self._kind}: it is not {encoding.upper()}"
        return UsageError(message, cause=cause, fix=fix)

    def _fix_for(self, encoding: str) -> str:
        if not encoding:
            flag = "--encoding" if self._has_flag else f"iconv: {self._iconv('ENCODING')}"
            return f"name the encoding in which the file was saved, such as gb18030 or shift_jis, with {flag}"
        return f"add --encoding {encoding}" if self._has_flag else self._iconv(encoding)

    def _iconv(self, encoding: str, options: str = "") -> str:
        return f"{self._source.as_input_of(f'iconv {options}-f {encoding} -t UTF-8')} > utf8.txt"


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each chunk; then an empty one, marked as the last."""
    for chunk in chunks:
        yield chunk, False
    yield b"", True


def _without_byte_order(encoding: str) -> str:
    return encoding.removesuffix("-le").removesuffix("-be")


def _line_ends(text: str) -> int:
    return text.count("\n") or text.count("\r")


def _decodes(parts: list[bytes], encoding: str) -> bool:
    try:
        b"".join(parts).decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _wide_encoding(sample: bytes) -> str:
    """Return the variant of UTF-16 or UTF-32 of a sample without byte-order mark; an empty text for others.

    Letters, digits and line ends of wide encodings have zero bytes at fixed places. A few zero bytes in other
    places are characters of a UTF-8 text.
    """
    sample = sample[: len(sample) // 4 * 4 or len(sample) // 2 * 2]
    if sample.count(0) < max(2, len(sample) // 8):
        return ""
    zeros = [sample[at::4].count(0) for at in range(4)]
    units = len(sample) // 4 or 1
    if zeros[2] + zeros[3] >= 1.9 * units and zeros[0] < units / 2:
        return "utf-32-le"
    if zeros[0] + zeros[1] >= 1.9 * units and zeros[3] < units / 2:
        return "utf-32-be"
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if odd > 4 * even:
        return "utf-16-le" if _plausible(sample, "utf-16-le") else ""
    if even > 4 * odd:
        return "utf-16-be" if _plausible(sample, "utf-16-be") else ""
    return ""


def _escape_encoding(sample: bytes) -> str:
    """Return the encoding whose escape sequences a sample has: its other bytes are valid UTF-8."""
    return next((name for escape, name in ESCAPES.items() if escape in sample), "")


def _wide_reading(sample: bytes) -> str:
    """Return the variant of UTF-16 in which a sample with few zero bytes, such as Chinese text, is valid."""
    readings = ("utf-16-le", "utf-16-be") if b"\0" in sample else ()
    return next((encoding for encoding in readings if _has_characters(sample, encoding)), "")


def _has_characters(sample: bytes, encoding: str) -> bool:
    """Return whether a sample, read in an encoding, has only assigned characters."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(character) in ("Cn", "Co") for character in text)


def _plausible(sample: bytes, encoding: str) -> bool:
    """Return whether the sample, read in an encoding, has its line ends at places for characters."""
    text = sample.decode(encoding, "replace")
    return b"\n" not in sample or "\n" in text
