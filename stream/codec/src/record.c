/* Records in Kafka's record format 2: unpack a fetched batch, append records to a batch of the producer. */
#include "records.h"

Record *new_record(PyTypeObject *type, PyObject *owner)
{
    Record *record = PyObject_New(Record, type);
    if (record != NULL) {
        Py_INCREF(owner);
        record->owner = owner;
    }
    return record;
}

static void record_dealloc(Record *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    Py_XDECREF(self->owner);
    PyObject_Free(self);
    Py_DECREF(type);
}

int has_header(const Record *record, PyObject *names)
{
    const byte *at = record->headers;
    int64_t count = read_length(&at, record->end);
    Py_ssize_t name_count = PyTuple_Size(names);
    while (count-- > 0) {
        int64_t length = read_length(&at, record->end);
        for (Py_ssize_t i = 0; i < name_count; i++) {
            char *name;
            Py_ssize_t name_length;
            if (PyBytes_AsStringAndSize(PyTuple_GetItem(names, i), &name, &name_length) < 0) {
                return -1;
            }
            if (name_length == length && memcmp(at, name, (size_t)length) == 0) {
                return 1;
            }
        }
        at += length;
        int64_t value_length = read_length(&at, record->end);
        at += value_length > 0 ? value_length : 0;
    }
    return 0;
}

static PyObject *bytes_or_none(const byte *at, const byte *end)
{
    int64_t length = read_length(&at, end);
    if (length < 0) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)length);
}

static PyObject *get_key(Record *self, void *Py_UNUSED(closure))
{
    return bytes_or_none(self->body, self->end);
}

static PyObject *get_value(Record *self, void *Py_UNUSED(closure))
{
    return bytes_or_none(self->value, self->end);
}

static PyObject *get_offset(Record *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(self->offset);
}

static PyObject *get_timestamp(Record *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(self->timestamp);
}

static PyObject *get_headers(Record *self, void *Py_UNUSED(closure))
{
    const byte *at = self->headers;
    int64_t count = read_length(&at, self->end);
    PyObject *headers = PyList_New(0);
    while (headers != NULL && count-- > 0) {
        int64_t name_length = read_length(&at, self->end);
        PyObject *name = PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)name_length, NULL);
        at += name_length;
        PyObject *value = bytes_or_none(at, self->end);
        int64_t value_length = read_length(&at, self->end);
        at += value_length > 0 ? value_length : 0;
        PyObject *pair = name != NULL && value != NULL ? PyTuple_Pack(2, name, value) : NULL;
        if (pair == NULL || PyList_Append(headers, pair) < 0) {
            Py_CLEAR(headers);
        }
        Py_XDECREF(name);
        Py_XDECREF(value);
        Py_XDECREF(pair);
    }
    return headers;
}

static PyObject *record_repr(Record *self)
{
    return PyUnicode_FromFormat("<Record offset=%lld>", (long long)self->offset);
}

static PyGetSetDef record_getset[] = {
    {"key", (getter)get_key, NULL, NULL, NULL},
    {"value", (getter)get_value, NULL, NULL, NULL},
    {"headers", (getter)get_headers, NULL, NULL, NULL},
    {"offset", (getter)get_offset, NULL, NULL, NULL},
    {"timestamp", (getter)get_timestamp, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot record_slots[] = {
    {Py_tp_dealloc, record_dealloc},
    {Py_tp_getset, record_getset},
    {Py_tp_repr, record_repr},
    {0, NULL},
};

PyType_Spec record_spec = {
    .name = "stream.codec._records.Record",
    .basicsize = sizeof(Record),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = record_slots,
};

/* ---- unpack ------------------------------------------------------------------------------------------- */

static const byte *skip_bytes(const byte *at, const byte *end, int nullable)
{
    int64_t length;
    at = read_varint(at, end, &length);
    if (at == NULL || length < (nullable ? -1 : 0) || length > end - at) {
        return NULL;
    }
    return length > 0 ? at + length : at;
}

static int is_utf8(const byte *at, int64_t length)
{
    for (int64_t i = 0; i < length; i++) {
        if (at[i] >= 0x80) {
            PyObject *decoded = PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)length, NULL);
            Py_XDECREF(decoded);
            PyErr_Clear();
            return decoded != NULL;
        }
    }
    return 1;
}

/* Locate the parts of the record whose body begins at `at`. Return 0 when they do not fill it exactly. */
static int find_parts(Record *record, const byte *at, const byte *end)
{
    record->body = at;
    record->end = end;
    if ((at = skip_bytes(at, end, 1)) == NULL) {
        return 0;
    }
    record->value = at;
    if ((at = skip_bytes(at, end, 1)) == NULL) {
        return 0;
    }
    record->headers = at;
    int64_t count;
    if ((at = read_varint(at, end, &count)) == NULL || count < 0) {
        return 0;
    }
    while (count-- > 0) {
        int64_t length = 0;
        const byte *name = read_varint(at, end, &length);
        if ((at = skip_bytes(at, end, 0)) == NULL || !is_utf8(name, length)) {
            return 0;
        }
        if ((at = skip_bytes(at, end, 1)) == NULL) {
            return 0;
        }
    }
    return at == end;
}

/* A corrupt batch may hold any number, and a signed overflow is undefined in C. */
static int64_t wrapping_add(int64_t left, int64_t right)
{
    return (int64_t)((uint64_t)left + (uint64_t)right);
}

PyObject *unpack(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *owner;
    Py_ssize_t start, stop, count;
    long long base_offset, base_timestamp, from_offset;
    int log_append_time;
    if (!PyArg_ParseTuple(args, "SnnnLLpL", &owner, &start, &stop, &count, &base_offset, &base_timestamp,
                          &log_append_time, &from_offset)) {
        return NULL;
    }
    if (start < 0 || start > stop || stop > PyBytes_Size(owner)) {
        PyErr_SetString(PyExc_ValueError, "the records lie outside their batch");
        return NULL;
    }
    const byte *at = (const byte *)PyBytes_AsString(owner) + start;
    const byte *end = (const byte *)PyBytes_AsString(owner) + stop;
    PyObject *records = PyList_New(0);
    while (records != NULL && count-- > 0) {
        int64_t length = 0, timestamp = 0, offset = 0;
        at = read_varint(at, end, &length);
        const byte *next = at != NULL && length >= 0 && length <= end - at ? at + length : NULL;
        /* The first byte holds the attributes, which Kafka does not use yet. */
        at = next != NULL && length > 0 ? read_varint(at + 1, next, &timestamp) : NULL;
        at = at != NULL ? read_varint(at, next, &offset) : NULL;
        if (at == NULL) {
            PyErr_SetString(PyExc_ValueError, "a record extends past its batch");
            Py_CLEAR(records);
            break;
        }
        Record *record = new_record(state->record_type, owner);
        if (record == NULL || !find_parts(record, at, next)) {
            if (record != NULL) {
                PyErr_SetString(PyExc_ValueError, "the length of a record does not match its parts");
            }
            Py_XDECREF((PyObject *)record);
            Py_CLEAR(records);
            break;
        }
        record->offset = wrapping_add(base_offset, offset);
        record->timestamp = log_append_time ? base_timestamp : wrapping_add(base_timestamp, timestamp);
        if (record->offset >= from_offset && PyList_Append(records, (PyObject *)record) < 0) {
            Py_CLEAR(records);
        }
        Py_DECREF((PyObject *)record);
        at = next;
    }
    if (records != NULL && at != end) {
        PyErr_SetString(PyExc_ValueError, "bytes follow the last record");
        Py_CLEAR(records);
    }
    return records;
}

/* ---- append ------------------------------------------------------------------------------------------- */

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
        int64_t delta = wrapping_add(timestamp, -first);
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
        int64_t delta = wrapping_add(record->timestamp >= 0 ? record->timestamp : now, -first);
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
