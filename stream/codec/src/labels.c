/* Write label records: the key and the headers of the event as received, and a JSON value that contains the bytes
 * that all records of a batch share. */
#include "records.h"

/* A control character becomes \u00XX. */
#define MAX_ESCAPE_SIZE 6
#define MAX_NUMBER_SIZE 20
#define TIME_SIZE 26

typedef struct {
    byte *data;
    Py_ssize_t size;
} Scratch;

static int make_room(Scratch *scratch, Py_ssize_t size)
{
    if (size > scratch->size) {
        byte *grown = PyMem_Realloc(scratch->data, (size_t)(2 * size));
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        scratch->data = grown;
        scratch->size = 2 * size;
    }
    return 0;
}

static byte *write_raw(byte *at, const void *data, Py_ssize_t size)
{
    memcpy(at, data, (size_t)size);
    return at + size;
}

/* Write a JSON string with the escapes that orjson writes. */
static byte *write_string(byte *at, const char *text, Py_ssize_t length)
{
    static const char hex[] = "0123456789abcdef";
    *at++ = '"';
    for (Py_ssize_t i = 0; i < length; i++) {
        byte next = (byte)text[i];
        if (next >= 0x20 && next != '"' && next != '\\') {
            *at++ = next;
            continue;
        }
        *at++ = '\\';
        switch (next) {
        case '"':
        case '\\':
            *at++ = next;
            break;
        case '\b':
            *at++ = 'b';
            break;
        case '\t':
            *at++ = 't';
            break;
        case '\n':
            *at++ = 'n';
            break;
        case '\f':
            *at++ = 'f';
            break;
        case '\r':
            *at++ = 'r';
            break;
        default:
            at = write_raw(at, "u00", 3);
            *at++ = (byte)hex[next >> 4];
            *at++ = (byte)hex[next & 15];
        }
    }
    *at++ = '"';
    return at;
}

static byte *write_digits(byte *at, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        at[i] = (byte)('0' + number % 10);
        number /= 10;
    }
    return at + digits;
}

static byte *write_number(byte *at, int64_t number)
{
    int digits = 1;
    for (int64_t rest = number / 10; rest != 0; rest /= 10) {
        digits++;
    }
    return write_digits(at, number, digits);
}

/* The last second that was written, without its milliseconds. Neighbouring records mostly share it. */
typedef struct {
    int64_t second;
    byte text[TIME_SIZE];
} LastSecond;

/* Write milliseconds since the epoch as a JSON string in RFC 3339. The calendar is Howard Hinnant's `civil_from_days`
 * (howardhinnant.github.io/date_algorithms.html). */
static byte *write_time(byte *at, int64_t ms, int64_t latest_ms, LastSecond *last)
{
    ms = ms < 0 ? 0 : ms > latest_ms ? latest_ms : ms;
    int64_t second = ms / 1000;
    if (second != last->second) {
        int64_t days = second / 86400 + 719468, of_day = second % 86400;
        int64_t era = days / 146097, of_era = days % 146097;
        int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
        int64_t march = (5 * of_year + 2) / 153;
        int64_t day = of_year - (153 * march + 2) / 5 + 1, month = march < 10 ? march + 3 : march - 9;
        byte *to = last->text;
        *to++ = '"';
        to = write_digits(to, year + era * 400 + (month <= 2), 4);
        *to++ = '-';
        to = write_digits(to, month, 2);
        *to++ = '-';
        to = write_digits(to, day, 2);
        *to++ = 'T';
        to = write_digits(to, of_day / 3600, 2);
        *to++ = ':';
        to = write_digits(to, of_day / 60 % 60, 2);
        *to++ = ':';
        to = write_digits(to, of_day % 60, 2);
        *to++ = '.';
        memcpy(to + 3, "Z\"", 2);
        last->second = second;
    }
    at = write_raw(at, last->text, TIME_SIZE);
    write_digits(at - 5, ms % 1000, 3);
    return at;
}

typedef struct {
    const char *data;
    Py_ssize_t size;
} Bytes;

/* The parts that all label records of a batch share. */
typedef struct {
    Bytes inferred; /* the JSON between the members and the offset: model, cached, source */
    Bytes cached;   /* the same for a prediction from a cache */
    Bytes end;      /* the JSON after the time */
    Bytes id_name;  /* the name of the header with the event's id, encoded */
    Bytes added;    /* the other headers that every label record gets, encoded */
    Py_ssize_t header_count;
    PyObject *replaced; /* names of the input's headers that are not copied unchanged */
    long long latest_ms;
    PyObject *fallback;
} Common;

typedef struct {
    const char *id, *time;
    Py_ssize_t id_length, time_length;
    Bytes members;
    int cached;
} Label;

/* Read an event and its prediction. The pointers in `label` stay valid as long as both live. */
static int read_label(PyObject *event, PyObject *prediction, Label *label)
{
    if (!PyTuple_Check(event) || PyTuple_Size(event) != 6 || !PyTuple_Check(prediction) ||
        PyTuple_Size(prediction) != 3) {
        PyErr_SetString(PyExc_TypeError, "an event has six fields and a prediction has three");
        return -1;
    }
    label->id = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(event, 1), &label->id_length);
    PyObject *time = PyTuple_GetItem(event, 5);
    label->time_length = 0;
    if (time != Py_None) {
        label->time = PyUnicode_AsUTF8AndSize(time, &label->time_length);
    }
    char *members;
    label->cached = PyObject_IsTrue(PyTuple_GetItem(prediction, 2));
    if (label->id == NULL || PyErr_Occurred() ||
        PyBytes_AsStringAndSize(PyTuple_GetItem(prediction, 0), &members, &label->members.size) < 0) {
        return -1;
    }
    label->members.data = members;
    return 0;
}

static Py_ssize_t write_value(const Label *label, const Record *record, const Common *common, Scratch *scratch,
                              LastSecond *last)
{
    const Bytes *middle = label->cached ? &common->cached : &common->inferred;
    Py_ssize_t most = 64 + MAX_ESCAPE_SIZE * (label->id_length + label->time_length) + label->members.size +
                      middle->size + common->end.size + MAX_NUMBER_SIZE + TIME_SIZE;
    if (make_room(scratch, most) < 0) {
        return -1;
    }
    byte *at = write_raw(scratch->data, "{\"id\":", 6);
    at = write_string(at, label->id, label->id_length);
    *at++ = ',';
    at = write_raw(at, label->members.data, label->members.size);
    at = write_raw(at, middle->data, middle->size);
    at = write_number(at, record->offset);
    at = write_raw(at, "},\"time\":", 9);
    at = label->time_length ? write_string(at, label->time, label->time_length)
                            : write_time(at, record->timestamp, common->latest_ms, last);
    at = write_raw(at, common->end.data, common->end.size);
    return at - scratch->data;
}

static PyObject *write_label(State *state, PyObject *event, PyObject *prediction, const Common *common,
                             Scratch *scratch, LastSecond *last)
{
    Label label;
    if (read_label(event, prediction, &label) < 0) {
        return NULL;
    }
    Record *record = (Record *)PyTuple_GetItem(event, 0);
    int found = Py_TYPE((PyObject *)record) != state->record_type || record->flags
                    ? 1
                    : has_header(record, common->replaced);
    if (found) {
        return found < 0 ? NULL : PyObject_CallFunctionObjArgs(common->fallback, event, prediction, NULL);
    }
    Py_ssize_t value_size = write_value(&label, record, common, scratch, last);
    if (value_size < 0) {
        return NULL;
    }
    const byte *kept = record->headers;
    int64_t count = read_length(&kept, record->end) + 1 + common->header_count;
    Py_ssize_t size = (record->value - record->body) + varint_size(value_size) + value_size + varint_size(count) +
                      (record->end - kept) + common->id_name.size + varint_size(label.id_length) +
                      label.id_length + common->added.size;
    PyObject *body = PyBytes_FromStringAndSize(NULL, size);
    Record *written = body != NULL ? new_record(state->record_type, body) : NULL;
    if (written != NULL) {
        byte *at = (byte *)PyBytes_AsString(body);
        written->body = at;
        written->value = at = write_raw(at, record->body, record->value - record->body);
        at = write_varint(at, value_size);
        written->headers = at = write_raw(at, scratch->data, value_size);
        at = write_varint(at, count);
        at = write_raw(at, kept, record->end - kept);
        at = write_raw(at, common->id_name.data, common->id_name.size);
        at = write_varint(at, label.id_length);
        at = write_raw(at, label.id, label.id_length);
        at = write_raw(at, common->added.data, common->added.size);
        written->end = at;
        written->offset = -1;
        written->timestamp = record->timestamp;
    }
    Py_XDECREF(body);
    return (PyObject *)written;
}

PyObject *write_labels(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *events, *predictions;
    Common common;
    if (!PyArg_ParseTuple(args, "O!O!y#y#y#y#y#nO!LO", &PyList_Type, &events, &PyList_Type, &predictions,
                          &common.inferred.data, &common.inferred.size, &common.cached.data, &common.cached.size,
                          &common.end.data, &common.end.size, &common.id_name.data, &common.id_name.size,
                          &common.added.data, &common.added.size, &common.header_count, &PyTuple_Type,
                          &common.replaced, &common.latest_ms, &common.fallback)) {
        return NULL;
    }
    Py_ssize_t count = PyList_Size(events);
    if (PyList_Size(predictions) != count) {
        PyErr_SetString(PyExc_ValueError, "events and predictions differ in number");
        return NULL;
    }
    Scratch scratch = {NULL, 0};
    LastSecond last = {-1, {0}};
    PyObject *records = PyList_New(count);
    for (Py_ssize_t i = 0; records != NULL && i < count; i++) {
        PyObject *event = PyList_GetItem(events, i), *prediction = PyList_GetItem(predictions, i);
        PyObject *record = event != NULL && prediction != NULL
                               ? write_label(state, event, prediction, &common, &scratch, &last)
                               : NULL;
        if (record == NULL) {
            Py_CLEAR(records);
        } else {
            PyList_SetItem(records, i, record);
        }
    }
    PyMem_Free(scratch.data);
    return records;
}
