/* Read the records of a fetched batch in Kafka's record format 2. */
#include "records.h"

/* A corrupt batch may hold any number, and a signed overflow is undefined in C. */
static int64_t wrapping_add(int64_t left, int64_t right)
{
    return (int64_t)((uint64_t)left + (uint64_t)right);
}

/* The bytes of a record after its length. */
typedef struct {
    const byte *at;
    const byte *end;
} Span;

/* Read the length of the record at `at`, and return the position of the next one. Return NULL with an error set when
 * the record does not end before `end`. */
static const byte *next_record(const byte *at, const byte *end, Span *span)
{
    int64_t length = -1;
    at = at < end ? read_varint(at, end, &length) : NULL;
    if (at == NULL || length < 0 || length > end - at) {
        PyErr_SetString(PyExc_ValueError, "a record extends past its batch");
        return NULL;
    }
    span->at = at;
    span->end = at + length;
    return span->end;
}

/* Read what precedes the key, and return the position of the key. Return NULL when a part is missing. */
static const byte *read_prefix(const Span *span, int64_t *timestamp, int64_t *delta)
{
    if (span->at == span->end) {
        return NULL;
    }
    /* The first byte holds the attributes, which Kafka does not use yet. */
    const byte *at = read_varlong(span->at + 1, span->end, timestamp);
    return at != NULL ? read_varint(at, span->end, delta) : NULL;
}

/* Set `at` and `end` to the records in `owner`. */
static int records_of(PyObject *owner, Py_ssize_t start, Py_ssize_t stop, const byte **at, const byte **end)
{
    if (start < 0 || start > stop || stop > PyBytes_Size(owner)) {
        PyErr_SetString(PyExc_ValueError, "the records lie outside their batch");
        return -1;
    }
    *at = (const byte *)PyBytes_AsString(owner) + start;
    *end = (const byte *)PyBytes_AsString(owner) + stop;
    return 0;
}

PyObject *check(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *owner;
    Py_ssize_t start, stop;
    long long count, last;
    if (!PyArg_ParseTuple(args, "SnnLL", &owner, &start, &stop, &count, &last)) {
        return NULL;
    }
    const byte *at, *end;
    if (records_of(owner, start, stop, &at, &end) < 0) {
        return NULL;
    }
    if (count < 0 || last < 0) {
        PyErr_SetString(PyExc_ValueError, "the number of records is negative");
        return NULL;
    }
    int dense = count == last + 1;
    int64_t previous = -1;
    for (long long i = 0; i < count; i++) {
        Span span;
        if ((at = next_record(at, end, &span)) == NULL) {
            return NULL;
        }
        if (!dense) {
            int64_t timestamp = 0, delta = 0;
            if (read_prefix(&span, &timestamp, &delta) == NULL) {
                delta = previous + 1;
            }
            if (delta <= previous || delta > last) {
                PyErr_SetString(PyExc_ValueError, "the offsets of the records are out of order");
                return NULL;
            }
            previous = delta;
        }
    }
    if (at != end) {
        PyErr_SetString(PyExc_ValueError, "bytes follow the last record");
        return NULL;
    }
    return PyBool_FromLong(dense);
}

/* Make a record of bytes that have no parts: they become the value, without key and headers. */
static Record *damaged_record(PyTypeObject *type, const Span *span)
{
    Py_ssize_t size = span->end - span->at;
    PyObject *body = PyBytes_FromStringAndSize(NULL, 1 + varint_size(size) + size + 1);
    Record *record = body != NULL ? new_record(type, body) : NULL;
    if (record != NULL) {
        byte *at = (byte *)PyBytes_AsString(body);
        record->body = at;
        record->value = at = write_varint(at, -1);
        at = write_varint(at, size);
        memcpy(at, span->at, (size_t)size);
        record->headers = at += size;
        record->end = write_varint(at, 0);
        record->flags = DAMAGED;
    }
    Py_XDECREF(body);
    return record;
}

/* What the records of a batch have in common. */
typedef struct {
    PyTypeObject *type;
    PyObject *owner;
    int64_t base_offset;
    int64_t base_timestamp;
    int log_append_time;
    int dense;
} Batch;

/* Return the record in the span. `delta` is the offset delta of the record in a dense batch, and of a record without
 * one; it is set to that of the record. */
static Record *read_record(const Batch *batch, const Span *span, int64_t *delta)
{
    int64_t timestamp = 0, own = *delta;
    const byte *key = read_prefix(span, &timestamp, &own);
    Record *record = NULL;
    if (key != NULL) {
        *delta = batch->dense ? *delta : own;
        record = new_record(batch->type, batch->owner);
        if (record == NULL) {
            return NULL;
        }
        if (!find_parts(record, key, span->end)) {
            Py_DECREF((PyObject *)record);
            record = NULL;
        }
    } else {
        timestamp = 0;
    }
    if (record == NULL && (record = damaged_record(batch->type, span)) == NULL) {
        return NULL;
    }
    record->offset = wrapping_add(batch->base_offset, *delta);
    record->timestamp = batch->log_append_time ? batch->base_timestamp
                                               : wrapping_add(batch->base_timestamp, timestamp);
    return record;
}

PyObject *unpack(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    Batch batch = {.type = state->record_type};
    Py_ssize_t start, stop;
    long long count, base_offset, base_timestamp, from_offset, delta;
    if (!PyArg_ParseTuple(args, "SnnLLLpLLp", &batch.owner, &start, &stop, &count, &base_offset, &base_timestamp,
                          &batch.log_append_time, &from_offset, &delta, &batch.dense)) {
        return NULL;
    }
    batch.base_offset = base_offset;
    batch.base_timestamp = base_timestamp;
    const byte *first, *at, *end;
    if (records_of(batch.owner, start, stop, &first, &end) < 0) {
        return NULL;
    }
    at = first;
    int64_t next_delta = delta;
    PyObject *records = PyList_New(0);
    while (records != NULL && count-- > 0) {
        Span span;
        if ((at = next_record(at, end, &span)) == NULL) {
            Py_CLEAR(records);
            break;
        }
        Record *record = read_record(&batch, &span, &next_delta);
        if (record == NULL || (record->offset >= from_offset && PyList_Append(records, (PyObject *)record) < 0)) {
            Py_CLEAR(records);
        }
        Py_XDECREF((PyObject *)record);
        next_delta = wrapping_add(next_delta, 1);
    }
    return records != NULL ? Py_BuildValue("NnL", records, start + (at - first), (long long)next_delta) : NULL;
}
