/* What the files of stream.codec._records share. Only the stable ABI of Python 3.11 is used, so that one
 * wheel serves every later version. */
#ifndef LABELSTREAM_NATIVE_H
#define LABELSTREAM_NATIVE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

typedef unsigned char byte;

/* A record whose key, value and headers lie in `owner` as Kafka writes them (KIP-98, record format 2):
 *
 *     key length, key, value length, value, number of headers, headers: name length, name, length, value
 *
 * Every length is a zigzag varint, -1 for null. Bytes objects are made when they are asked for. */
typedef struct {
    PyObject_HEAD
    PyObject *owner;
    const byte *body;    /* the key's length */
    const byte *value;   /* the value's length */
    const byte *headers; /* the number of headers */
    const byte *end;
    int64_t offset;
    int64_t timestamp;
} Record;

typedef struct {
    PyTypeObject *record_type;
} State;

/* Zigzag varints. */
#define VARINT_MOST 10

/* Returns where the varint ends, NULL when it does not end before `end` or is no 64-bit number. */
static inline const byte *read_varint(const byte *at, const byte *end, int64_t *number)
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
    byte buffer[VARINT_MOST];
    return write_varint(buffer, number) - buffer;
}

/* The bytes that follow a length which was checked before; returns -1 for null. */
static inline int64_t lengthy(const byte **at, const byte *end)
{
    int64_t length = -1;
    *at = read_varint(*at, end, &length);
    return length;
}

/* record.c */
extern PyType_Spec record_spec;
Record *new_record(PyTypeObject *type, PyObject *owner);
PyObject *pack(PyObject *module, PyObject *args);
PyObject *unpack(PyObject *module, PyObject *args);
PyObject *append(PyObject *module, PyObject *args);
PyObject *size_bytes(PyObject *module, PyObject *records);
PyObject *timestamps(PyObject *module, PyObject *records);

/* events.c */
PyObject *read_events(PyObject *module, PyObject *args);

/* labels.c */
PyObject *write_labels(PyObject *module, PyObject *args);

/* scores.c */
PyObject *encode_scores(PyObject *module, PyObject *args);

/* An instance of a subclass of tuple, its places still empty. */
static inline PyObject *new_tuple(PyTypeObject *type, Py_ssize_t places)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, places);
}

#endif
