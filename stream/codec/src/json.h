/* Reading JSON where it lies. A function that returns an int returns 0 when what it looks for is not there. */
#ifndef LABELSTREAM_JSON_H
#define LABELSTREAM_JSON_H

#include "native.h"

typedef struct {
    const byte *at;
    const byte *end;
} Text;

/* A string without its quotes, or a whole value. */
typedef struct {
    const byte *at; /* NULL: there is none */
    Py_ssize_t length;
    int ascii;
    int escaped; /* whether it has escapes, all of them valid */
} Span;

void pass_space(Text *text);
int pass_char(Text *text, byte wanted);
int pass_word(Text *text, const char *word);

/* Any value: strings in UTF-8 and with valid escapes, numbers without exponents, not too deep. */
int pass_value(Text *text, int depth);

/* What stands between the brackets of an object or an array, and the closing one. */
int pass_members(Text *text, byte closing, int depth);

/* A string with valid escapes. Whether it is UTF-8 is not looked at. */
int read_string(Text *text, Span *span);

/* Puts characters in place of escapes, into a buffer that is as long as the string: an escape is longer than its
 * character. */
void unescape(Span *span, byte *buffer);

#endif
