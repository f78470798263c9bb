// Registers pair style `mliap` after comparing LAMMPS's version with ours.
//
// A C++ plugin is bound to the class layouts it was compiled with, and to an MPI. Until both are known to agree, only the
// C library interface is used, found at run time: this file and entry.cpp are the plugin, and load into any LAMMPS. What
// needs more is in a second library.
#include "registration.h"

#include <dlfcn.h>
#include <exceptions.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace lammps_mace {
namespace {

  // As LAMMPS's developer guide documents it.
  struct Plugin {
    const char *version, *style, *name, *info, *author;
    Creator creator;
    void *handle;
  };
  using Register = void (*)(Plugin *, void *);

#define STRING(x) #x
#define QUOTED(x) STRING(x)
  // Volatile: kept as one string in the binary, read when the plugin is loaded.
  volatile const char built_for[] = "LAMMPS_MACE_BUILT_FOR=" QUOTED(LAMMPS_MACE_LAMMPS_VERSION);
  char version_text[32];

  int built_version()
  {
    char digits[9] = {};
    for (int i = 0; i < 8; i++) digits[i] = built_for[sizeof "LAMMPS_MACE_BUILT_FOR=" - 1 + i];
    return std::atoi(digits);
  }

  // 20250722 -> "22 Jul 2025", the way LAMMPS writes its versions.
  std::string as_date(int version)
  {
    static const char *months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int month = version / 100 % 100;
    if (month < 1 || month > 12) return "of unknown version";
    return std::to_string(version % 100) + " " + months[month - 1] + " " + std::to_string(version / 10000);
  }

  template <typename Function> Function library(const char *name)
  {
    return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
  }

  int running_version(void *lmp)
  {
    const auto version = library<int (*)(void *)>("lammps_version");
    return version ? version(lmp) : 0;
  }

  bool has_wide_ids(void *lmp)
  {
    const auto setting = library<int (*)(void *, const char *)>("lammps_extract_setting");
    return setting && setting(lmp, "tagint") == 8;
  }

#ifdef OPEN_MPI
  const char *const built_mpi = "Open MPI";
#else
  const char *const built_mpi = "MPICH";    // and those of the same ABI: Intel MPI, Cray MPICH
#endif

  // Of the library in this process; "" where it does not tell.
  std::string running_mpi()
  {
    const auto ask = library<int (*)(char *, int *)>("MPI_Get_library_version");
    if (!ask) return "";
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 8192] = {};    // another MPI's may be longer
    int length = 0;
    ask(text, &length);
    return std::strstr(text, "Open MPI") ? "Open MPI" : "MPICH";
  }

  std::string trouble;    // why this LAMMPS cannot have our pair style, and what to do

  std::string unfit(const std::string &why)
  {
    return "was built for LAMMPS " + as_date(built_version()) + ", " + why +
        ": install the LAMMPS it was built for (pip install --force-reinstall lammps-mace), or compile it for this LAMMPS "
        "and its MPI (lammps-mace build-plugin --lammps DIR --mpi DIR)";
  }

  std::string incomplete(const std::string &file)
  {
    return "is not complete, it has no " + file + ": install it again (pip install --force-reinstall lammps-mace)";
  }

  std::string own_folder()
  {
    Dl_info self;
    if (!dladdr(reinterpret_cast<void *>(&own_folder), &self)) return "";
    const std::string path = self.dli_fname;
    return path.substr(0, path.rfind('/') + 1);
  }

  // The folder in which `lammps-mace build-plugin` puts what it compiles for a LAMMPS: see cmake/Lammps.cmake.
  std::string other_folder(int version, const std::string &mpi, bool big)
  {
    return own_folder() + std::to_string(version) + (mpi == "Open MPI" ? "-openmpi" : "-mpich") + (big ? "-bigbig/" : "/");
  }

  const Style *open_style(const std::string &folder)
  {
    const std::string path = folder + LAMMPS_MACE_STYLE_LIBRARY;
    void *opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    void *found = opened ? dlsym(opened, LAMMPS_MACE_STYLE_SYMBOL) : nullptr;
    if (!found && access(path.c_str(), F_OK) != 0)
      trouble = incomplete(path);
    else if (!found)
      trouble = unfit(std::string("this one lacks what it needs (") + dlerror() + ")");
    return static_cast<const Style *>(found);
  }

  // The rest of the plugin; nullptr in a LAMMPS that we must not touch.
  const Style *find_style(void *lmp)
  {
    const int version = running_version(lmp);
    const std::string mpi = running_mpi();
    const bool big = has_wide_ids(lmp);
    const std::string other = other_folder(version, mpi, big);
    if (access((other + LAMMPS_MACE_STYLE_LIBRARY).c_str(), F_OK) == 0) return open_style(other);
    if (version != built_version())
      trouble = unfit("this is LAMMPS " + as_date(version));
    else if (!mpi.empty() && mpi != built_mpi)
      trouble = unfit("this one runs with " + mpi + " instead of " + built_mpi);
    else if (big)
      trouble = unfit("this one has atom IDs of 64 bits (LAMMPS_SIZES=bigbig)");
    else
      return open_style(own_folder());
    return nullptr;
  }

  // Creator for a LAMMPS we must not touch. lammps_error prints and returns, hence the throw: LAMMPS's own exception ends
  // the run on every rank, and code that does not know it still sees a std::exception.
  void *refuse(void *lmp)
  {
    const std::string text = "pair_style mliap: the lammps-mace plugin " + trouble +
        ", or remove its folder from LAMMPS_PLUGIN_PATH to get LAMMPS's own mliap back";
    constexpr int error_on_all_ranks = 2;    // LMP_ERROR_ALL
    if (const auto error = library<void (*)(void *, int, const char *)>("lammps_error"))
      error(lmp, error_on_all_ranks, text.c_str());
    throw LAMMPS_NS::LAMMPSException(text);
  }

}    // namespace

void register_styles(void *lmp, void *handle, void *regfunc)
{
  const Style *style = find_style(lmp);
  std::strncpy(version_text, as_date(built_version()).c_str(), sizeof version_text - 1);
  Plugin plugin{version_text, "pair", "mliap", "JAX MACE potentials", "lammps-mace", style ? style->create_pair : refuse,
                handle};
  if (style) style->take_over_builtin(lmp);
  reinterpret_cast<Register>(regfunc)(&plugin, lmp);
  if (style) style->put_in_place(lmp);
}

}    // namespace lammps_mace
