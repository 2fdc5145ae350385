/* Declarations that the files of stream.codec._records share. The code uses only the stable ABI of Python 3.11, so
 * one wheel serves every later version. */
#ifndef LABELSTREAM_RECORDS_H
#define LABELSTREAM_RECORDS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

typedef unsigned char byte;

/* The bytes of the record did not have parts that fill it; the value holds them. */
#define DAMAGED 1
/* Each header becomes several Python objects, so a record with more of them counts as damaged. */
#define MAX_HEADERS 100000
/* A length is below -1. It means null too, but other readers may not know that, so it is not copied. */
#define UNUSUAL_NULL 2

/* A record whose key, value and headers stay encoded in `owner` (KIP-98, record format 2):
 *
 *     key length, key, value length, value, number of headers, headers: name length, name, length, value
 *
 * Every length is a zigzag varint, negative for null. The getters create Python objects on demand. */
typedef struct {
    PyObject_HEAD
    PyObject *owner;
    const byte *body;    /* points to the key length */
    const byte *value;   /* points to the value length */
    const byte *headers; /* points to the number of headers */
    const byte *end;
    int64_t offset;
    int64_t timestamp;
    int flags;
} Record;

typedef struct {
    PyTypeObject *record_type;
} State;

/* The bytes of the longest zigzag varint of 64 bits. */
#define MAX_VARINT_SIZE 10
/* Kafka's clients read at most five bytes of a varint of 32 bits. */
#define INT32_BITS 35

/* Return the end of the varint of 64 bits, NULL when it does not end before `end` or within ten bytes. */
static inline const byte *read_varlong(const byte *at, const byte *end, int64_t *number)
{
    uint64_t raw = 0;
    for (int shift = 0; at < end && shift < 64; shift += 7) {
        byte next = *at++;
        raw |= (uint64_t)(next & 0x7f) << shift;
        if (next < 0x80) {
            *number = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return at;
        }
    }
    return NULL;
}

/* The same for a varint of 32 bits: a length, a count or an offset delta. */
static inline const byte *read_varint(const byte *at, const byte *end, int64_t *number)
{
    uint32_t raw = 0;
    for (int shift = 0; at < end && shift < INT32_BITS; shift += 7) {
        byte next = *at++;
        raw |= (uint32_t)(next & 0x7f) << shift;
        if (next < 0x80) {
            *number = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return at;
        }
    }
    return NULL;
}

static inline byte *write_varint(byte *at, int64_t number)
{
    uint64_t raw = ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
    while (raw >= 0x80) {
        *at++ = (byte)(raw | 0x80);
        raw >>= 7;
    }
    *at++ = (byte)raw;
    return at;
}

static inline Py_ssize_t varint_size(int64_t number)
{
    byte buffer[MAX_VARINT_SIZE];
    return write_varint(buffer, number) - buffer;
}

/* Read a length that find_parts has validated, and move `at` past it. Return a negative number for null. */
static inline int64_t read_length(const byte **at, const byte *end)
{
    int64_t length = -1;
    *at = read_varint(*at, end, &length);
    return length;
}

/* record.c */
extern PyType_Spec record_spec;
Record *new_record(PyTypeObject *type, PyObject *owner);
/* Locate the parts of the record whose key length is at `at`, and set `flags`. Return 0 when they do not fill it. */
int find_parts(Record *record, const byte *at, const byte *end);
/* Return 1 if one of the headers has a name in `names`, a tuple of bytes; 0 if none; -1 with an error set. */
int has_header(const Record *record, PyObject *names);
PyObject *size_bytes(PyObject *module, PyObject *args);

/* unpack.c */
PyObject *check(PyObject *module, PyObject *args);
PyObject *unpack(PyObject *module, PyObject *args);

/* append.c */
PyObject *append(PyObject *module, PyObject *args);

/* values.c */
PyObject *json_texts(PyObject *module, PyObject *args);

/* labels.c */
PyObject *write_labels(PyObject *module, PyObject *args);

/* traces.c */
PyObject *sampled_traces(PyObject *module, PyObject *args);
PyObject *with_trace(PyObject *module, PyObject *args);

/* replace.c */
PyObject *replace_values(PyObject *module, PyObject *args);

/* scores.c: scores are integers that count millionths. */
#define MILLIONTHS 1000000
PyObject *encode_scores(PyObject *module, PyObject *args);

#endif
