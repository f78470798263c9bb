// Which pair style this plugin registers, and in which LAMMPS.
#ifndef LAMMPS_MACE_REGISTRATION_H
#define LAMMPS_MACE_REGISTRATION_H

namespace lammps_mace {

using Creator = void *(*)(void *lmp);

// Arguments as LAMMPS passes them to lammpsplugin_init.
void register_styles(void *lmp, void *handle, void *regfunc);

// What the second library offers: everything that needs C++ symbols of LAMMPS, which another build may not have. The
// dynamic linker would say so in its own words, before any of ours; so the plugin, which needs none, opens it.
struct Style {
  Creator create_pair;
  void (*take_over_builtin)(void *lmp);    // puts our creator in front of the built-in pair style of that name
  void (*put_in_place)(void *lmp);
};
#define LAMMPS_MACE_STYLE_LIBRARY "liblammps_mace_style.so"    // in the plugin's folder
#define LAMMPS_MACE_STYLE_SYMBOL "lammps_mace_style"           // a Style

}    // namespace lammps_mace

#endif
