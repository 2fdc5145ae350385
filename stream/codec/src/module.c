/* The module stream.codec._records. */
#include "records.h"

static PyMethodDef methods[] = {
    {"check", check, METH_VARARGS, NULL},
    {"unpack", unpack, METH_VARARGS, NULL},
    {"size_bytes", size_bytes, METH_VARARGS, NULL},
    {"append", append, METH_VARARGS, NULL},
    {"json_texts", json_texts, METH_VARARGS, NULL},
    {"write_labels", write_labels, METH_VARARGS, NULL},
    {"sampled_traces", sampled_traces, METH_VARARGS, NULL},
    {"with_trace", with_trace, METH_VARARGS, NULL},
    {"replace_values", replace_values, METH_VARARGS, NULL},
    {"encode_scores", encode_scores, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int fill_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->record_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &record_spec, NULL);
    if (state->record_type == NULL) {
        return -1;
    }
    if (PyModule_AddIntMacro(module, MILLIONTHS) < 0 || PyModule_AddIntMacro(module, MAX_HEADERS) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Record", (PyObject *)state->record_type);
}

static int visit_module(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->record_type);
    return 0;
}

static int clear_module(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->record_type);
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill_module},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "stream.codec._records",
    .m_size = sizeof(State),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = visit_module,
    .m_clear = clear_module,
};

PyMODINIT_FUNC PyInit__records(void)
{
    return PyModuleDef_Init(&definition);
}
