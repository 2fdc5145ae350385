/* Append records to a batch of the producer. */
#include "records.h"

/* A record may hold any timestamp, and a signed overflow is undefined in C. */
static int64_t difference(int64_t left, int64_t right)
{
    return (int64_t)((uint64_t)left - (uint64_t)right);
}

/* Return a borrowed reference; NULL with an error set when the object is not a `Record`. */
static Record *record_at(PyObject *records, Py_ssize_t at, PyTypeObject *type)
{
    PyObject *record = PyList_GetItem(records, at);
    if (record != NULL && Py_TYPE(record) != type) {
        PyErr_SetString(PyExc_TypeError, "only packed records can be appended");
        return NULL;
    }
    return (Record *)record;
}

PyObject *append(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *buffer, *records;
    Py_ssize_t start, limit;
    long long now;
    if (!PyArg_ParseTuple(args, "O!O!nnL", &PyByteArray_Type, &buffer, &PyList_Type, &records, &start, &limit,
                          &now)) {
        return NULL;
    }
    Py_ssize_t filled = PyByteArray_Size(buffer), all = PyList_Size(records);
    Py_ssize_t size = filled, count = 0;
    int64_t first = 0, last = INT64_MIN;
    for (; start + count < all; count++) {
        Record *record = record_at(records, start + count, state->record_type);
        if (record == NULL) {
            return NULL;
        }
        int64_t timestamp = record->timestamp >= 0 ? record->timestamp : now;
        first = count ? first : timestamp;
        int64_t delta = difference(timestamp, first);
        Py_ssize_t length = 1 + varint_size(delta) + varint_size(count) + (record->end - record->body);
        length += varint_size(length);
        if (count && size + length > limit) {
            break;
        }
        size += length;
        last = timestamp > last ? timestamp : last;
    }
    if (PyByteArray_Resize(buffer, size) < 0) {
        return NULL;
    }
    byte *at = (byte *)PyByteArray_AsString(buffer) + filled;
    for (Py_ssize_t i = 0; i < count; i++) {
        Record *record = record_at(records, start + i, state->record_type);
        int64_t delta = difference(record->timestamp >= 0 ? record->timestamp : now, first);
        size_t body = (size_t)(record->end - record->body);
        at = write_varint(at, 1 + varint_size(delta) + varint_size(i) + (int64_t)body);
        *at++ = 0;
        at = write_varint(at, delta);
        at = write_varint(at, i);
        memcpy(at, record->body, body);
        at += body;
    }
    return Py_BuildValue("nLL", count, (long long)first, (long long)last);
}
