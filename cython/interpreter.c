/* The one exported symbol of lammps_mace._bridge: start Python if needed, import the module, hand over its table. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "bridge.h"

#include <stdio.h>
#include <string.h>

/* The embedded Python must find the site-packages of the environment that owns `python`, must not take signals away
 * from LAMMPS (Ctrl-C ends a run), and must not sit on output while LAMMPS writes to the same stream. */
static int start(const char *python, int hosted, lammps_mace_failure *failure)
{
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.install_signal_handlers = 0;
  config.parse_argv = 0;
  config.buffered_stdio = 0;
  PyStatus status = PyConfig_SetBytesString(&config, &config.program_name, python);
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  if (PyStatus_Exception(status)) {
    snprintf(failure->reason, sizeof failure->reason, "Python %s did not start: %s", python,
             status.err_msg ? status.err_msg : "no reason given");
    return -1;
  }
  /* From here on every call takes the GIL itself. A LAMMPS with its own Python ends ours too, without taking it. */
  if (!hosted) PyEval_SaveThread();
  return 0;
}

/* The pending exception, and in which Python it came up: perhaps not the one the user thinks of. */
static void describe_import_error(const char *python, lammps_mace_failure *failure)
{
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  PyObject *text = value ? PyObject_Str(value) : NULL;
  const char *words = text ? PyUnicode_AsUTF8(text) : NULL;
  snprintf(failure->reason, sizeof failure->reason,
           "cannot import lammps_mace._bridge in Python %s: %s: install lammps-mace into the environment whose `lmp` runs",
           python, words ? words : "unknown reason");
  Py_XDECREF(text);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(trace);
  PyErr_Clear();
}

static const lammps_mace_bridge *table(const char *python, lammps_mace_failure *failure)
{
  const lammps_mace_bridge *found = NULL;
  PyObject *module = PyImport_ImportModule("lammps_mace._bridge");
  PyObject *capsule = module ? PyObject_GetAttrString(module, "_table") : NULL;
  if (capsule) found = (const lammps_mace_bridge *)PyCapsule_GetPointer(capsule, "lammps_mace._bridge._table");
  if (!found) describe_import_error(python, failure);
  Py_XDECREF(capsule);
  Py_XDECREF(module);
  return found;
}

/* Compiled for one Python: using its structures in another would crash, so compare "3.11." first. */
static int version_differs(void)
{
  char built[16];
  snprintf(built, sizeof built, "%d.%d.", PY_MAJOR_VERSION, PY_MINOR_VERSION);
  return strncmp(Py_GetVersion(), built, strlen(built)) != 0;
}

Py_EXPORTED_SYMBOL const lammps_mace_bridge *lammps_mace_bridge_open(const char *python, int hosted,
                                                                     lammps_mace_failure *failure)
{
  if (version_differs()) {
    snprintf(failure->reason, sizeof failure->reason,
             "lammps-mace was built for Python %d.%d, but this process runs Python %.32s: "
             "install lammps-mace into that Python",
             PY_MAJOR_VERSION, PY_MINOR_VERSION, Py_GetVersion());
    return NULL;
  }
  if (!Py_IsInitialized() && start(python, hosted, failure)) return NULL;
  PyGILState_STATE gil = PyGILState_Ensure();
  const lammps_mace_bridge *found = table(python, failure);
  PyGILState_Release(gil);
  return found;
}
