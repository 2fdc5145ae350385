/* Records in Kafka's own format: read out of a batch, made of parts, appended to a batch. */
#include "native.h"

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

static PyObject *bytes_or_none(const byte *at, const byte *end)
{
    int64_t length = lengthy(&at, end);
    if (length < 0) {
        Py_RETURN_NONE;
    }
    return PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)length);
}

static PyObject *get_key(Record *self, void *closure)
{
    return bytes_or_none(self->body, self->end);
}

static PyObject *get_value(Record *self, void *closure)
{
    return bytes_or_none(self->value, self->end);
}

static PyObject *get_offset(Record *self, void *closure)
{
    return PyLong_FromLongLong(self->offset);
}

static PyObject *get_timestamp(Record *self, void *closure)
{
    return PyLong_FromLongLong(self->timestamp);
}

static PyObject *get_headers(Record *self, void *closure)
{
    const byte *at = self->headers;
    int64_t count = lengthy(&at, self->end);
    PyObject *headers = PyList_New(0);
    while (headers != NULL && count-- > 0) {
        int64_t name_length = lengthy(&at, self->end);
        PyObject *name = PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)name_length, NULL);
        at += name_length;
        PyObject *value = bytes_or_none(at, self->end);
        int64_t value_length = lengthy(&at, self->end);
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

/* ---- made of parts ----------------------------------------------------------------------------------- */

typedef struct {
    const char *data;
    Py_ssize_t length; /* -1: null */
} Part;

static int part_of(PyObject *given, Part *part)
{
    if (given == Py_None) {
        part->data = NULL;
        part->length = -1;
        return 0;
    }
    char *data;
    if (PyBytes_AsStringAndSize(given, &data, &part->length) < 0) {
        return -1;
    }
    part->data = data;
    return 0;
}

static Py_ssize_t part_size(const Part *part)
{
    return varint_size(part->length) + (part->length > 0 ? part->length : 0);
}

static byte *write_part(byte *at, const Part *part)
{
    at = write_varint(at, part->length);
    if (part->length > 0) {
        memcpy(at, part->data, (size_t)part->length);
        at += part->length;
    }
    return at;
}

static int header_parts(PyObject *headers, Py_ssize_t count, Part *parts)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PySequence_GetItem(headers, i);
        if (pair == NULL) {
            return -1;
        }
        /* The pair stays in `headers`, which the caller keeps. */
        Py_DECREF(pair);
        if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
            PyErr_SetString(PyExc_TypeError, "a header is a pair of name and value");
            return -1;
        }
        parts[2 * i].data = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(pair, 0), &parts[2 * i].length);
        if (parts[2 * i].data == NULL || part_of(PyTuple_GetItem(pair, 1), &parts[2 * i + 1]) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *pack(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *key, *value, *headers;
    long long timestamp;
    if (!PyArg_ParseTuple(args, "OOOL", &key, &value, &headers, &timestamp)) {
        return NULL;
    }
    if (!PyList_Check(headers) && !PyTuple_Check(headers)) {
        PyErr_SetString(PyExc_TypeError, "headers are a list or a tuple");
        return NULL;
    }
    Part own[2];
    if (part_of(key, &own[0]) < 0 || part_of(value, &own[1]) < 0) {
        return NULL;
    }
    Py_ssize_t count = PySequence_Size(headers);
    Part *parts = PyMem_Calloc((size_t)(2 * count + 1), sizeof(Part));
    if (parts == NULL) {
        return PyErr_NoMemory();
    }
    Record *record = NULL;
    PyObject *body = NULL;
    if (header_parts(headers, count, parts) == 0) {
        Py_ssize_t size = part_size(&own[0]) + part_size(&own[1]) + varint_size(count);
        for (Py_ssize_t i = 0; i < 2 * count; i++) {
            size += part_size(&parts[i]);
        }
        body = PyBytes_FromStringAndSize(NULL, size);
    }
    if (body != NULL && (record = new_record(state->record_type, body)) != NULL) {
        byte *at = (byte *)PyBytes_AsString(body);
        record->body = at;
        record->value = at = write_part(at, &own[0]);
        record->headers = at = write_part(at, &own[1]);
        at = write_varint(at, count);
        for (Py_ssize_t i = 0; i < 2 * count; i++) {
            at = write_part(at, &parts[i]);
        }
        record->end = at;
        record->offset = -1;
        record->timestamp = timestamp;
    }
    Py_XDECREF(body);
    PyMem_Free(parts);
    return (PyObject *)record;
}

/* ---- read out of a batch ----------------------------------------------------------------------------- */

static const byte *pass_bytes(const byte *at, const byte *end, int nullable)
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

/* Finds the parts of a record whose body begins at `at`; 0 when they do not fill it exactly. */
static int find_parts(Record *record, const byte *at, const byte *end)
{
    record->body = at;
    record->end = end;
    if ((at = pass_bytes(at, end, 1)) == NULL) {
        return 0;
    }
    record->value = at;
    if ((at = pass_bytes(at, end, 1)) == NULL) {
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
        if ((at = pass_bytes(at, end, 0)) == NULL || !is_utf8(name, length)) {
            return 0;
        }
        if ((at = pass_bytes(at, end, 1)) == NULL) {
            return 0;
        }
    }
    return at == end;
}

/* A batch may say anything; what is too large wraps round. */
static int64_t plus(int64_t one, int64_t other)
{
    return (int64_t)((uint64_t)one + (uint64_t)other);
}

PyObject *unpack(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *owner;
    Py_ssize_t start, stop, count;
    long long base_offset, base_timestamp, from_offset;
    int appended;
    if (!PyArg_ParseTuple(args, "SnnnLLpL", &owner, &start, &stop, &count, &base_offset, &base_timestamp,
                          &appended, &from_offset)) {
        return NULL;
    }
    if (start < 0 || start > stop || stop > PyBytes_Size(owner)) {
        PyErr_SetString(PyExc_ValueError, "the records lie outside of their batch");
        return NULL;
    }
    const byte *at = (const byte *)PyBytes_AsString(owner) + start;
    const byte *end = (const byte *)PyBytes_AsString(owner) + stop;
    PyObject *records = PyList_New(0);
    while (records != NULL && count-- > 0) {
        int64_t length = 0, timestamp = 0, offset = 0;
        at = read_varint(at, end, &length);
        const byte *next = at != NULL && length >= 0 && length <= end - at ? at + length : NULL;
        /* The attributes are a byte that nothing uses yet. */
        at = next != NULL && length > 0 ? read_varint(at + 1, next, &timestamp) : NULL;
        at = at != NULL ? read_varint(at, next, &offset) : NULL;
        if (at == NULL) {
            PyErr_SetString(PyExc_ValueError, "a record goes past its batch");
            Py_CLEAR(records);
            break;
        }
        Record *record = new_record(state->record_type, owner);
        if (record == NULL || !find_parts(record, at, next)) {
            if (record != NULL) {
                PyErr_SetString(PyExc_ValueError, "a record's parts do not fill it");
            }
            Py_XDECREF((PyObject *)record);
            Py_CLEAR(records);
            break;
        }
        record->offset = plus(base_offset, offset);
        record->timestamp = appended ? base_timestamp : plus(base_timestamp, timestamp);
        if (record->offset >= from_offset && PyList_Append(records, (PyObject *)record) < 0) {
            Py_CLEAR(records);
        }
        Py_DECREF((PyObject *)record);
        at = next;
    }
    if (records != NULL && at != end) {
        PyErr_SetString(PyExc_ValueError, "bytes are left behind the last record");
        Py_CLEAR(records);
    }
    return records;
}

/* ---- appended to a batch ----------------------------------------------------------------------------- */

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
        Py_ssize_t length = 1 + varint_size(plus(timestamp, -first)) + varint_size(count) + (record->end - record->body);
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
        int64_t delta = plus(record->timestamp >= 0 ? record->timestamp : now, -first);
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

static Py_ssize_t how_many(PyObject *records)
{
    if (!PyList_Check(records)) {
        PyErr_SetString(PyExc_TypeError, "records are a list");
        return -1;
    }
    return PyList_Size(records);
}

PyObject *timestamps(PyObject *module, PyObject *records)
{
    State *state = PyModule_GetState(module);
    Py_ssize_t count = how_many(records);
    PyObject *found = count < 0 ? NULL : PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(int64_t));
    for (Py_ssize_t i = 0; found != NULL && i < count; i++) {
        Record *record = record_at(records, i, state->record_type);
        if (record == NULL) {
            Py_CLEAR(found);
        } else {
            memcpy(PyBytes_AsString(found) + i * sizeof(int64_t), &record->timestamp, sizeof(int64_t));
        }
    }
    return found;
}

PyObject *size_bytes(PyObject *module, PyObject *records)
{
    State *state = PyModule_GetState(module);
    Py_ssize_t size = 0, count = how_many(records);
    if (count < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Record *record = record_at(records, i, state->record_type);
        if (record == NULL) {
            return NULL;
        }
        const byte *key = record->body, *value = record->value;
        int64_t key_length = lengthy(&key, record->end), value_length = lengthy(&value, record->end);
        size += (Py_ssize_t)((key_length > 0 ? key_length : 0) + (value_length > 0 ? value_length : 0));
    }
    return PyLong_FromSsize_t(size);
}
