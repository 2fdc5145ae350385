/* The type of a record in Kafka's record format 2. */
#include "records.h"

Record *new_record(PyTypeObject *type, PyObject *owner)
{
    Record *record = PyObject_New(Record, type);
    if (record != NULL) {
        Py_INCREF(owner);
        record->owner = owner;
        record->flags = 0;
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

static PyObject *get_damaged(Record *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->flags & DAMAGED);
}

static PyObject *get_headers(Record *self, void *Py_UNUSED(closure))
{
    const byte *at = self->headers;
    int64_t count = read_length(&at, self->end);
    PyObject *headers = PyList_New(0);
    while (headers != NULL && count-- > 0) {
        int64_t name_length = read_length(&at, self->end);
        PyObject *name = PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)name_length, "surrogateescape");
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
    {"damaged", (getter)get_damaged, NULL, NULL, NULL},
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

/* ---- the parts of a record ------------------------------------------------------------------------------ */

/* Return the end of the bytes whose length is at `at`, NULL when they do not end before `end`. */
static const byte *skip_bytes(const byte *at, const byte *end, int *flags)
{
    int64_t length;
    at = read_varint(at, end, &length);
    if (at == NULL || length > end - at) {
        return NULL;
    }
    if (length < -1) {
        *flags |= UNUSUAL_NULL;
    }
    return length > 0 ? at + length : at;
}

int find_parts(Record *record, const byte *at, const byte *end)
{
    record->flags = 0;
    record->body = at;
    record->end = end;
    if ((at = skip_bytes(at, end, &record->flags)) == NULL) {
        return 0;
    }
    record->value = at;
    if ((at = skip_bytes(at, end, &record->flags)) == NULL) {
        return 0;
    }
    record->headers = at;
    int64_t count;
    if ((at = read_varint(at, end, &count)) == NULL || count < 0 || count > MAX_HEADERS) {
        return 0;
    }
    while (count-- > 0) {
        int64_t length = 0;
        const byte *name = read_varint(at, end, &length);
        if (name == NULL || length < 0 || length > end - name) {
            return 0;
        }
        if ((at = skip_bytes(name + length, end, &record->flags)) == NULL) {
            return 0;
        }
    }
    return at == end;
}

static int64_t length_or_zero(const byte **at, const byte *end)
{
    int64_t length = read_length(at, end);
    length = length > 0 ? length : 0;
    *at += length;
    return length;
}

PyObject *size_bytes(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *records;
    if (!PyArg_ParseTuple(args, "O!", &PyList_Type, &records)) {
        return NULL;
    }
    int64_t size = 0;
    for (Py_ssize_t i = 0; i < PyList_Size(records); i++) {
        Record *record = (Record *)PyList_GetItem(records, i);
        if (Py_TYPE((PyObject *)record) != state->record_type) {
            PyErr_SetString(PyExc_TypeError, "only packed records have a size");
            return NULL;
        }
        const byte *at = record->body;
        size += length_or_zero(&at, record->end);
        size += length_or_zero(&at, record->end);
        int64_t count = read_length(&at, record->end);
        while (count-- > 0) {
            size += length_or_zero(&at, record->end);
            size += length_or_zero(&at, record->end);
        }
    }
    return PyLong_FromLongLong(size);
}
