/* Encode predictions of a single-label model as JSON members: label, score, and scores with the best first. */
#include "records.h"

/* The length of 4294.967295, the largest number of millionths in 32 bits. */
#define MAX_SCORE_SIZE 11

/* Create an instance of a subclass of tuple with empty places. */
static PyObject *new_tuple(PyTypeObject *type, Py_ssize_t places)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, places);
}

typedef struct {
    const char *data; /* a label as a JSON string, with its quotes */
    Py_ssize_t size;
} Name;

/* Write millionths as orjson writes the float: in the shortest form, with an exponent below 1e-5. */
static char *write_score(char *at, uint32_t millionths)
{
    uint32_t whole = millionths / MILLIONTHS, rest = millionths % MILLIONTHS;
    if (whole == 0 && rest > 0 && rest < 10) {
        *at++ = (char)('0' + rest);
        memcpy(at, "e-6", 3);
        return at + 3;
    }
    char digits[10];
    int count = 0;
    do {
        digits[count++] = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole);
    while (count) {
        *at++ = digits[--count];
    }
    *at++ = '.';
    uint32_t unit = MILLIONTHS;
    do {
        unit /= 10;
        *at++ = (char)('0' + rest / unit);
        rest %= unit;
    } while (rest);
    return at;
}

/* Find the `shown` labels with the highest scores, best first; of equal scores the earlier label comes first. */
static void find_best(const uint32_t *scores, Py_ssize_t labels, Py_ssize_t *best, Py_ssize_t shown)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t label = 0; label < labels; label++) {
        if (found == shown && scores[label] <= scores[best[found - 1]]) {
            continue;
        }
        Py_ssize_t at = found < shown ? found++ : found - 1;
        while (at > 0 && scores[best[at - 1]] < scores[label]) {
            best[at] = best[at - 1];
            at--;
        }
        best[at] = label;
    }
}

static char *write_text(char *at, const char *text, Py_ssize_t size)
{
    memcpy(at, text, (size_t)size);
    return at + size;
}

static Py_ssize_t write_members(char *buffer, const uint32_t *scores, const Name *names, const Py_ssize_t *best,
                                Py_ssize_t shown)
{
    char score[MAX_SCORE_SIZE];
    Py_ssize_t size = write_score(score, scores[best[0]]) - score;
    char *at = write_text(buffer, "\"label\":", 8);
    at = write_text(at, names[best[0]].data, names[best[0]].size);
    at = write_text(at, ",\"score\":", 9);
    at = write_text(at, score, size);
    at = write_text(at, ",\"scores\":{", 11);
    for (Py_ssize_t i = 0; i < shown; i++) {
        at = write_text(at, names[best[i]].data, names[best[i]].size);
        *at++ = ':';
        at = write_score(at, scores[best[i]]);
        *at++ = ',';
    }
    at[-1] = '}';
    return at - buffer;
}

static PyObject *new_prediction(PyTypeObject *type, const char *members, Py_ssize_t size, const uint32_t *scores,
                                Py_ssize_t labels, PyObject *cached)
{
    PyObject *written = PyBytes_FromStringAndSize(members, size);
    PyObject *kept = PyBytes_FromStringAndSize((const char *)scores, labels * (Py_ssize_t)sizeof(uint32_t));
    PyObject *prediction = written != NULL && kept != NULL ? new_tuple(type, 3) : NULL;
    if (prediction == NULL) {
        Py_XDECREF(written);
        Py_XDECREF(kept);
        return NULL;
    }
    PyTuple_SetItem(prediction, 0, written);
    PyTuple_SetItem(prediction, 1, kept);
    PyTuple_SetItem(prediction, 2, Py_NewRef(cached));
    return prediction;
}

/* Read the labels, and store the largest possible size of a prediction's members in `max_size`. */
static Name *read_names(PyObject *given, Py_ssize_t shown, Py_ssize_t *max_size)
{
    Py_ssize_t labels = PyTuple_Size(given), longest = 0;
    Name *names = PyMem_Calloc((size_t)labels, sizeof(Name));
    if (names == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < labels; i++) {
        char *data;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(given, i), &data, &names[i].size) < 0) {
            PyMem_Free(names);
            return NULL;
        }
        names[i].data = data;
        longest = names[i].size > longest ? names[i].size : longest;
    }
    *max_size = 32 + (shown + 1) * (longest + MAX_SCORE_SIZE + 2);
    return names;
}

PyObject *encode_scores(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer given;
    PyObject *labels, *type, *cached;
    Py_ssize_t shown;
    if (!PyArg_ParseTuple(args, "y*O!nO!O", &given, &PyTuple_Type, &labels, &shown, &PyType_Type, &type, &cached)) {
        return NULL;
    }
    Py_ssize_t columns = PyTuple_Size(labels), max_size = 0;
    Py_ssize_t width = columns * (Py_ssize_t)sizeof(uint32_t);
    PyObject *predictions = NULL;
    Name *names = NULL;
    Py_ssize_t *best = NULL;
    char *buffer = NULL;
    uint32_t *row = NULL;
    if (columns < 1 || shown < 1 || given.len % width != 0 ||
        !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_ValueError,
                        "the scores are not [rows, labels], no label is shown, or the type is not a tuple");
        goto done;
    }
    shown = shown < columns ? shown : columns;
    if ((names = read_names(labels, shown, &max_size)) == NULL) {
        goto done;
    }
    best = PyMem_Calloc((size_t)shown, sizeof(Py_ssize_t));
    buffer = PyMem_Malloc((size_t)max_size);
    row = PyMem_Malloc((size_t)width);
    if (best == NULL || buffer == NULL || row == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    Py_ssize_t rows = given.len / width;
    predictions = PyList_New(rows);
    for (Py_ssize_t i = 0; predictions != NULL && i < rows; i++) {
        memcpy(row, (const char *)given.buf + i * width, (size_t)width);
        find_best(row, columns, best, shown);
        Py_ssize_t size = write_members(buffer, row, names, best, shown);
        PyObject *prediction = new_prediction((PyTypeObject *)type, buffer, size, row, columns, cached);
        if (prediction == NULL) {
            Py_CLEAR(predictions);
        } else {
            PyList_SetItem(predictions, i, prediction);
        }
    }
done:
    PyMem_Free(row);
    PyMem_Free(buffer);
    PyMem_Free(best);
    PyMem_Free(names);
    PyBuffer_Release(&given);
    return predictions;
}
