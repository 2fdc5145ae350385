/* As much of JSON as plain events need. What is passed or read here a parser accepts; what is not, it may. */
#include "json.h"

#define DEPTH_MOST 16
#define DIGITS_MOST 15

void pass_space(Text *text)
{
    while (text->at < text->end &&
           (*text->at == ' ' || *text->at == '\n' || *text->at == '\t' || *text->at == '\r')) {
        text->at++;
    }
}

int pass_char(Text *text, byte wanted)
{
    if (text->at < text->end && *text->at == wanted) {
        text->at++;
        return 1;
    }
    return 0;
}

#define EACH(value) (0x0101010101010101u * (value))

/* Whether one of eight bytes ends a plain string: a quote, a backslash, a control character. Finding a zero byte
 * in a word: Mycroft's test, as in "Hacker's Delight", 6-1. */
static int ends_plain(uint64_t word)
{
    uint64_t quote = word ^ EACH('"'), slash = word ^ EACH('\\');
    uint64_t found = ((quote - EACH(1)) & ~quote) | ((slash - EACH(1)) & ~slash) | ((word - EACH(0x20)) & ~word);
    return (found & EACH(0x80)) != 0;
}

/* Four hexadecimal digits as a number, -1 when they are none. */
static int32_t hexadecimal(const byte *at, const byte *end)
{
    int32_t number = 0;
    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        byte digit = at[i], letter = digit | 0x20;
        if (digit >= '0' && digit <= '9') {
            number = number * 16 + digit - '0';
        } else if (letter >= 'a' && letter <= 'f') {
            number = number * 16 + letter - 'a' + 10;
        } else {
            return -1;
        }
    }
    return number;
}

/* The character that an escape stands for, `at` on the backslash and then behind the escape; -1 for none. */
static int32_t read_escape(const byte **at, const byte *end)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const byte *letter = *at + 1;
    if (letter >= end || *letter == 0) {
        return -1;
    }
    const char *known = strchr(letters, *letter);
    if (known != NULL) {
        *at = letter + 1;
        return meant[known - letters];
    }
    int32_t unit = *letter == 'u' ? hexadecimal(letter + 1, end) : -1;
    if (unit < 0xD800 || unit > 0xDFFF) {
        *at = letter + 5;
        return unit;
    }
    /* Half of a pair: the second has to follow. */
    const byte *next = letter + 5;
    int follows = unit < 0xDC00 && end - next >= 6 && next[0] == '\\' && next[1] == 'u';
    int32_t low = follows ? hexadecimal(next + 2, end) : -1;
    *at = next + 6;
    return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00) : -1;
}

/* A string; 0 for anything that is none or has an invalid escape. Whether it is UTF-8 is not looked at. */
int read_string(Text *text, Span *span)
{
    if (!pass_char(text, '"')) {
        return 0;
    }
    const byte *at = text->at;
    uint64_t bits = 0;
    span->escaped = 0;
    for (;;) {
        while (text->end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, 8);
            if (ends_plain(word)) {
                break;
            }
            bits |= word;
            at += 8;
        }
        while (at < text->end && *at != '"' && *at != '\\' && *at >= 0x20) {
            bits |= *at++;
        }
        if (at >= text->end || *at < 0x20) {
            return 0;
        }
        if (*at == '"') {
            break;
        }
        span->escaped = 1;
        if (read_escape(&at, text->end) < 0) {
            return 0;
        }
    }
    span->at = text->at;
    span->length = at - text->at;
    span->ascii = (bits & EACH(0x80)) == 0;
    text->at = at + 1;
    return 1;
}

static byte *write_utf8(byte *at, int32_t character)
{
    if (character < 0x80) {
        *at++ = (byte)character;
        return at;
    }
    int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    *at++ = (byte)((0xFF00 >> (more + 1)) | (character >> (6 * more)));
    while (more--) {
        *at++ = (byte)(0x80 | ((character >> (6 * more)) & 0x3f));
    }
    return at;
}

/* Puts characters in place of escapes, into a buffer that is as long as the string. An escape is longer than
 * its character. */
void unescape(Span *span, byte *buffer)
{
    const byte *at = span->at, *end = span->at + span->length;
    byte *to = buffer;
    while (at < end) {
        if (*at == '\\') {
            to = write_utf8(to, read_escape(&at, end));
        } else {
            *to++ = *at++;
        }
    }
    span->at = buffer;
    span->length = to - buffer;
}

int pass_word(Text *text, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, word, length) != 0) {
        return 0;
    }
    text->at += length;
    return 1;
}

static int pass_digits(Text *text)
{
    const byte *from = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
        text->at++;
    }
    return text->at > from && text->at - from <= DIGITS_MOST;
}

static int pass_number(Text *text)
{
    pass_char(text, '-');
    if (!pass_char(text, '0') && !pass_digits(text)) {
        return 0;
    }
    if (pass_char(text, '.') && !pass_digits(text)) {
        return 0;
    }
    /* What may follow a number is seen by whoever comes next; an exponent or a further digit may not. */
    return 1;
}

static int pass_string(Text *text)
{
    Span span;
    if (!read_string(text, &span)) {
        return 0;
    }
    if (span.ascii) {
        return 1;
    }
    PyObject *decoded = PyUnicode_DecodeUTF8((const char *)span.at, span.length, NULL);
    Py_XDECREF(decoded);
    PyErr_Clear();
    return decoded != NULL;
}

/* What stands between the brackets, and the closing one. */
int pass_members(Text *text, byte closing, int depth)
{
    pass_space(text);
    if (pass_char(text, closing)) {
        return 1;
    }
    do {
        pass_space(text);
        if (closing == '}') {
            if (!pass_string(text)) {
                return 0;
            }
            pass_space(text);
            if (!pass_char(text, ':')) {
                return 0;
            }
            pass_space(text);
        }
        if (!pass_value(text, depth)) {
            return 0;
        }
        pass_space(text);
    } while (pass_char(text, ','));
    return pass_char(text, closing);
}

int pass_value(Text *text, int depth)
{
    if (text->at >= text->end || depth > DEPTH_MOST) {
        return 0;
    }
    switch (*text->at) {
    case '"':
        return pass_string(text);
    case '{':
        text->at++;
        return pass_members(text, '}', depth + 1);
    case '[':
        text->at++;
        return pass_members(text, ']', depth + 1);
    case 't':
        return pass_word(text, "true");
    case 'f':
        return pass_word(text, "false");
    case 'n':
        return pass_word(text, "null");
    default:
        return pass_number(text);
    }
}
