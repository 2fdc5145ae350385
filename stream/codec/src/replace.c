/* Replace the values of records. */
#include "records.h"

static PyObject *with_value(State *state, PyObject *object, PyObject *value)
{
    Record *record = (Record *)object;
    char *data;
    Py_ssize_t length;
    if (Py_TYPE(object) != state->record_type || record->flags) {
        PyErr_SetString(PyExc_TypeError, "only packed records have values that can be replaced");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(value, &data, &length) < 0) {
        return NULL;
    }
    Py_ssize_t before = record->value - record->body, after = record->end - record->headers;
    PyObject *body = PyBytes_FromStringAndSize(NULL, before + varint_size(length) + length + after);
    Record *written = body != NULL ? new_record(state->record_type, body) : NULL;
    if (written != NULL) {
        byte *at = (byte *)PyBytes_AsString(body);
        written->body = at;
        memcpy(at, record->body, (size_t)before);
        written->value = at += before;
        at = write_varint(at, length);
        memcpy(at, data, (size_t)length);
        written->headers = at += length;
        memcpy(at, record->headers, (size_t)after);
        written->end = at + after;
        written->offset = record->offset;
        written->timestamp = record->timestamp;
    }
    Py_XDECREF(body);
    return (PyObject *)written;
}

PyObject *replace_values(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *records, *values;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &records, &PyList_Type, &values)) {
        return NULL;
    }
    Py_ssize_t count = PyList_Size(records);
    if (PyList_Size(values) != count) {
        PyErr_SetString(PyExc_ValueError, "records and values differ in number");
        return NULL;
    }
    PyObject *replaced = PyList_New(count);
    for (Py_ssize_t i = 0; replaced != NULL && i < count; i++) {
        PyObject *record = PyList_GetItem(records, i), *value = PyList_GetItem(values, i);
        PyObject *written = record != NULL && value != NULL ? with_value(state, record, value) : NULL;
        if (written == NULL) {
            Py_CLEAR(replaced);
        } else {
            PyList_SetItem(replaced, i, written);
        }
    }
    return replaced;
}
