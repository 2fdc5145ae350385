/* Select the values that the JSON fast path may read. */
#include "records.h"

/* Within these limits JSON parsers agree on every value. Beyond them one may refuse what another accepts: deep
 * nesting, and numbers that do not fit a double. */
#define MAX_DEPTH 100
#define MAX_DIGITS 300

/* Return the end of the string whose first character is at `at`, NULL when it has no closing quote. */
static const byte *skip_string(const byte *at, const byte *end)
{
    for (;;) {
        const byte *quote = memchr(at, '"', (size_t)(end - at));
        if (quote == NULL) {
            return NULL;
        }
        const byte *slash = quote;
        while (slash > at && slash[-1] == '\\') {
            slash--;
        }
        if ((quote - slash) % 2 == 0) {
            return quote + 1;
        }
        at = quote + 1;
    }
}

/* Check nesting and numbers against the limits. The parser checks the syntax. */
static int within_limits(const byte *at, const byte *end)
{
    int depth = 0, digits = 0;
    while (at < end) {
        byte next = *at++;
        if (next >= '0' && next <= '9') {
            if (++digits > MAX_DIGITS) {
                return 0;
            }
            continue;
        }
        if (next == '.') {
            continue;
        }
        if ((next == 'e' || next == 'E') && digits > 0) {
            return 0;
        }
        digits = 0;
        if (next == '"') {
            if ((at = skip_string(at, end)) == NULL) {
                return 0;
            }
        } else if (next == '{' || next == '[') {
            if (++depth > MAX_DEPTH) {
                return 0;
            }
        } else if (next == '}' || next == ']') {
            depth--;
        }
    }
    return 1;
}

/* Return the value as str; NULL without an error set when the slow path has to decode the record. */
static PyObject *json_text(const Record *record, PyObject *names, long long max_bytes)
{
    const byte *at = record->value;
    int64_t length = read_length(&at, record->end);
    if (record->flags & DAMAGED || length < 0 || length > max_bytes || has_header(record, names) || !within_limits(at, at + length)) {
        return NULL;
    }
    PyObject *text = PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)length, NULL);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
    }
    return text;
}

PyObject *json_texts(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *records, *names;
    long long max_bytes;
    if (!PyArg_ParseTuple(args, "O!O!L", &PyList_Type, &records, &PyTuple_Type, &names, &max_bytes)) {
        return NULL;
    }
    Py_ssize_t count = PyList_Size(records);
    PyObject *texts = PyList_New(count);
    for (Py_ssize_t i = 0; texts != NULL && i < count; i++) {
        PyObject *record = PyList_GetItem(records, i), *text = NULL;
        if (Py_TYPE(record) == state->record_type) {
            text = json_text((Record *)record, names, max_bytes);
        }
        if (text == NULL && PyErr_Occurred()) {
            Py_CLEAR(texts);
        } else {
            PyList_SetItem(texts, i, text != NULL ? text : Py_NewRef(Py_None));
        }
    }
    return texts;
}
