/* The members that a label event gets of a single-label model: label, score, and scores with the best first. */
#include "native.h"

#define MILLION 1000000u
/* 4294.967295, or 9e-6 */
#define SCORE_MOST 11

typedef struct {
    const char *data; /* a label as JSON, quotes included */
    Py_ssize_t size;
} Name;

/* Millionths as orjson writes the float: the shortest form, with an exponent below 1e-5. */
static char *write_score(char *at, uint32_t millionths)
{
    uint32_t whole = millionths / MILLION, rest = millionths % MILLION;
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
    uint32_t unit = MILLION;
    do {
        unit /= 10;
        *at++ = (char)('0' + rest / unit);
        rest %= unit;
    } while (rest);
    return at;
}

/* The best `shown` labels of a row, best first; of equal ones the earlier. */
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
    char score[SCORE_MOST];
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

static PyObject *predict(PyTypeObject *type, const char *members, Py_ssize_t size, const uint32_t *scores,
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

/* The names, and into `most` the longest members that they can lead to. */
static Name *read_names(PyObject *given, Py_ssize_t shown, Py_ssize_t *most)
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
    *most = 32 + (shown + 1) * (longest + SCORE_MOST + 2);
    return names;
}

PyObject *encode_scores(PyObject *module, PyObject *args)
{
    Py_buffer given;
    PyObject *labels, *type, *cached;
    Py_ssize_t shown;
    if (!PyArg_ParseTuple(args, "y*O!nO!O", &given, &PyTuple_Type, &labels, &shown, &PyType_Type, &type, &cached)) {
        return NULL;
    }
    Py_ssize_t columns = PyTuple_Size(labels), most = 0;
    Py_ssize_t width = columns * (Py_ssize_t)sizeof(uint32_t);
    PyObject *predictions = NULL;
    Name *names = NULL;
    Py_ssize_t *best = NULL;
    char *buffer = NULL;
    uint32_t *row = NULL;
    if (columns < 1 || shown < 1 || given.len % width != 0 ||
        !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
        PyErr_SetString(PyExc_ValueError, "a score for each label, at least one shown, and tuples are wanted");
        goto done;
    }
    shown = shown < columns ? shown : columns;
    if ((names = read_names(labels, shown, &most)) == NULL) {
        goto done;
    }
    best = PyMem_Calloc((size_t)shown, sizeof(Py_ssize_t));
    buffer = PyMem_Malloc((size_t)most);
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
        PyObject *prediction = predict((PyTypeObject *)type, buffer, size, row, columns, cached);
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
