/* The header `traceparent` (W3C Trace Context): find the sampled records, and replace the header of one. */
#include "records.h"

static const char NAME[] = "traceparent";
#define NAME_LENGTH ((int64_t)sizeof(NAME) - 1)
/* version-trace-span-flags, in hexadecimal digits. Python checks the rest. */
#define MIN_LENGTH 55
#define LAST_FLAGS_DIGIT 54

static int hex_digit(byte digit)
{
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : digit - '0';
}

/* Return 1 if the last header `traceparent` has the flag that its event is sampled. */
static int is_sampled(const Record *record)
{
    const byte *at = record->headers;
    int64_t count = read_length(&at, record->end);
    int sampled = 0;
    while (count-- > 0) {
        int64_t length = read_length(&at, record->end);
        int found = length == NAME_LENGTH && memcmp(at, NAME, (size_t)length) == 0;
        at += length;
        length = read_length(&at, record->end);
        if (found) {
            sampled = length >= MIN_LENGTH && hex_digit(at[LAST_FLAGS_DIGIT]) & 1;
        }
        at += length > 0 ? length : 0;
    }
    return sampled;
}

PyObject *sampled_traces(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *records;
    if (!PyArg_ParseTuple(args, "O!", &PyList_Type, &records)) {
        return NULL;
    }
    Py_ssize_t size = PyList_Size(records);
    PyObject *indexes = PyList_New(0);
    for (Py_ssize_t i = 0; indexes != NULL && i < size; i++) {
        Record *record = (Record *)PyList_GetItem(records, i);
        if (Py_TYPE((PyObject *)record) != state->record_type || record->flags & DAMAGED || !is_sampled(record)) {
            continue;
        }
        PyObject *index = PyLong_FromSsize_t(i);
        if (index == NULL || PyList_Append(indexes, index) < 0) {
            Py_CLEAR(indexes);
        }
        Py_XDECREF(index);
    }
    return indexes;
}

/* Copy the headers other than `traceparent` to `to`, and return the end of the copy. Count them in `kept`. */
static byte *copy_others(const Record *record, byte *to, int64_t *kept)
{
    const byte *at = record->headers;
    int64_t count = read_length(&at, record->end);
    *kept = 0;
    while (count-- > 0) {
        const byte *start = at;
        int64_t length = read_length(&at, record->end);
        int found = length == NAME_LENGTH && memcmp(at, NAME, (size_t)length) == 0;
        at += length;
        length = read_length(&at, record->end);
        at += length > 0 ? length : 0;
        if (!found) {
            memcpy(to, start, (size_t)(at - start));
            to += at - start;
            ++*kept;
        }
    }
    return to;
}

PyObject *with_trace(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    Record *record;
    const char *value;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(args, "O!y#", state->record_type, &record, &value, &length)) {
        return NULL;
    }
    /* The body is written from the back: the headers, then their number, then the key and the value. */
    Py_ssize_t before = record->headers - record->body;
    Py_ssize_t others_size = record->end - record->headers;
    Py_ssize_t room = before + MAX_VARINT_SIZE + others_size + 2 * MAX_VARINT_SIZE + NAME_LENGTH + length;
    PyObject *body = PyBytes_FromStringAndSize(NULL, room);
    Record *written = body != NULL ? new_record(state->record_type, body) : NULL;
    if (written != NULL) {
        byte *start = (byte *)PyBytes_AsString(body);
        byte *headers = start + before + MAX_VARINT_SIZE;
        int64_t kept;
        byte *at = copy_others(record, headers, &kept);
        at = write_varint(at, NAME_LENGTH);
        memcpy(at, NAME, (size_t)NAME_LENGTH);
        at = write_varint(at + NAME_LENGTH, length);
        memcpy(at, value, (size_t)length);
        written->end = at + length;
        Py_ssize_t count_size = varint_size(kept + 1);
        written->headers = headers - count_size;
        write_varint(headers - count_size, kept + 1);
        written->body = headers - count_size - before;
        memcpy(headers - count_size - before, record->body, (size_t)before);
        written->value = written->body + (record->value - record->body);
        written->offset = record->offset;
        written->timestamp = record->timestamp;
        written->flags = record->flags;
    }
    Py_XDECREF(body);
    return (PyObject *)written;
}
