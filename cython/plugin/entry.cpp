// The symbol LAMMPS looks for in a plugin: registers pair style `mliap`, nothing else.
#include "registration.h"

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  lammps_mace::register_styles(lmp, handle, regfunc);
}
