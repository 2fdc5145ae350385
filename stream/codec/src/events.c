/* Plain JSON events, as nearly all are, read without the objects that nobody asks for.
 *
 * Everything that is not plain is left to the caller: escapes in names, numbers with exponents, whatever is no
 * valid event. So nothing here has to tell what is wrong, and nothing may be accepted that a JSON parser refuses. */
#include "json.h"

typedef struct {
    Span id, text, metadata, time;
} Found;

static int is_named(const Span *name, const char *wanted)
{
    return (size_t)name->length == strlen(wanted) && memcmp(name->at, wanted, strlen(wanted)) == 0;
}

/* A member of the event; of one that is there twice the last counts. */
static int read_member(Text *text, const Span *name, Found *found)
{
    if (is_named(name, "text")) {
        return read_string(text, &found->text);
    }
    if (is_named(name, "id")) {
        found->id.at = NULL;
        return pass_word(text, "null") || read_string(text, &found->id);
    }
    if (is_named(name, "time")) {
        found->time.at = NULL;
        return pass_word(text, "null") || read_string(text, &found->time);
    }
    if (is_named(name, "text_pair")) {
        return pass_word(text, "null");
    }
    if (is_named(name, "metadata")) {
        found->metadata.at = NULL;
        if (pass_word(text, "null")) {
            return 1;
        }
        const byte *from = text->at;
        if (!pass_char(text, '{') || !pass_members(text, '}', 1)) {
            return 0;
        }
        found->metadata.at = from;
        found->metadata.length = text->at - from;
        return 1;
    }
    return pass_value(text, 0);
}

static int read_object(Text *text, Found *found)
{
    pass_space(text);
    if (!pass_char(text, '{')) {
        return 0;
    }
    do {
        Span name;
        pass_space(text);
        if (!read_string(text, &name) || !name.ascii || name.escaped) {
            return 0;
        }
        pass_space(text);
        if (!pass_char(text, ':')) {
            return 0;
        }
        pass_space(text);
        if (!read_member(text, &name, found)) {
            return 0;
        }
        pass_space(text);
    } while (pass_char(text, ','));
    if (!pass_char(text, '}')) {
        return 0;
    }
    pass_space(text);
    return text->at == text->end;
}

/* Whether something in the text is surely no white space; texts of which this is unclear are rare. */
static int has_substance(const Span *text)
{
    for (Py_ssize_t i = 0; i < text->length; i++) {
        byte lead = text->at[i];
        if (lead > 0x20 && lead < 0x80) {
            return 1;
        }
        /* Unicode's white space beyond ASCII is U+0085, U+00A0, U+1680, some of U+2000 to U+205F, and U+3000. */
        if (lead >= 0xC3 && lead != 0xE1 && lead != 0xE2 && lead != 0xE3) {
            return 1;
        }
        if (lead == 0xE3 && i + 1 < text->length && text->at[i + 1] != 0x80) {
            return 1;
        }
    }
    return 0;
}

/* Headers that say more about the value or the id than the value does. */
static int has_telling_header(const Record *record)
{
    static const char *const names[] = {"labelstream-id", "content-type", "ce_specversion"};
    const byte *at = record->headers;
    int64_t count = lengthy(&at, record->end);
    while (count-- > 0) {
        int64_t length = lengthy(&at, record->end);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if ((size_t)length == strlen(names[i]) && memcmp(at, names[i], (size_t)length) == 0) {
                return 1;
            }
        }
        at += length;
        int64_t value_length = lengthy(&at, record->end);
        at += value_length > 0 ? value_length : 0;
    }
    return 0;
}

static PyObject *string_of(const Span *span)
{
    return PyUnicode_DecodeUTF8((const char *)span->at, span->length, NULL);
}

typedef struct {
    PyTypeObject *event_type;
    PyObject *id_stem; /* of an event without an id, its offset follows */
    long long max_bytes;
    Py_ssize_t max_chars;
} Reading;

/* Strings with escapes move into a buffer, which is NULL when there are none. They lie apart in the value, so a
 * buffer of its length has room for all. */
static int unescape_all(Found *found, int64_t length, byte **buffer)
{
    Span *spans[] = {&found->text, &found->id, &found->time};
    byte *room = NULL;
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        if (spans[i]->at == NULL || !spans[i]->escaped) {
            continue;
        }
        if (*buffer == NULL && (*buffer = room = PyMem_Malloc((size_t)length)) == NULL) {
            return 0;
        }
        unescape(spans[i], room);
        room += spans[i]->length;
    }
    return 1;
}

static PyObject *make_event(Record *record, const Found *found, const Reading *reading)
{
    PyObject *id = found->id.at != NULL && found->id.length > 0
                       ? string_of(&found->id)
                       : PyUnicode_FromFormat("%U%lld", reading->id_stem, (long long)record->offset);
    PyObject *text = string_of(&found->text);
    PyObject *metadata = found->metadata.at != NULL
                             ? PyBytes_FromStringAndSize((const char *)found->metadata.at, found->metadata.length)
                             : Py_NewRef(Py_None);
    PyObject *time = found->time.at != NULL ? string_of(&found->time) : Py_NewRef(Py_None);
    PyObject *event = NULL;
    if (id != NULL && text != NULL && metadata != NULL && time != NULL &&
        PyUnicode_GetLength(text) <= reading->max_chars) {
        event = new_tuple(reading->event_type, 6);
    }
    if (event == NULL) {
        Py_XDECREF(id);
        Py_XDECREF(text);
        Py_XDECREF(metadata);
        Py_XDECREF(time);
        /* Not UTF-8: what the caller says of it counts. Want of memory would come back soon. */
        PyErr_Clear();
        return NULL;
    }
    PyTuple_SetItem(event, 0, Py_NewRef((PyObject *)record));
    PyTuple_SetItem(event, 1, id);
    PyTuple_SetItem(event, 2, text);
    PyTuple_SetItem(event, 3, Py_NewRef(Py_None));
    PyTuple_SetItem(event, 4, metadata);
    PyTuple_SetItem(event, 5, time);
    return event;
}

/* An event, or NULL without an error when a closer look is needed. */
static PyObject *read_event(Record *record, const Reading *reading)
{
    static const Span none = {NULL, 0, 0, 0};
    Found found = {none, none, none, none};
    Text value = {record->value, record->end};
    int64_t length = lengthy(&value.at, record->end);
    if (length < 0 || length > reading->max_bytes || has_telling_header(record)) {
        return NULL;
    }
    value.end = value.at + length;
    if (!read_object(&value, &found) || found.text.at == NULL) {
        return NULL;
    }
    byte *buffer = NULL;
    if (!unescape_all(&found, length, &buffer)) {
        return NULL;
    }
    PyObject *event = NULL;
    if (has_substance(&found.text)) {
        event = make_event(record, &found, reading);
    }
    PyMem_Free(buffer);
    return event;
}

PyObject *read_events(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *records;
    Reading reading;
    if (!PyArg_ParseTuple(args, "O!O!ULn", &PyList_Type, &records, &PyType_Type, &reading.event_type,
                          &reading.id_stem, &reading.max_bytes, &reading.max_chars)) {
        return NULL;
    }
    if (!PyType_IsSubtype(reading.event_type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "events are tuples");
        return NULL;
    }
    Py_ssize_t count = PyList_Size(records), unclear = 0;
    PyObject *events = PyList_New(count);
    for (Py_ssize_t i = 0; events != NULL && i < count; i++) {
        PyObject *record = PyList_GetItem(records, i), *event = NULL;
        if (Py_TYPE(record) == state->record_type) {
            event = read_event((Record *)record, &reading);
        }
        unclear += event == NULL;
        PyList_SetItem(events, i, event != NULL ? event : Py_NewRef(Py_None));
    }
    return events != NULL ? Py_BuildValue("Nn", events, unclear) : NULL;
}
