// Which pair style this plugin registers, and in which LAMMPS.
#ifndef LAMMPS_MACE_REGISTRATION_H
#define LAMMPS_MACE_REGISTRATION_H

namespace lammps_mace {

using Creator = void *(*) (void *lmp);

// Arguments as LAMMPS passes them to lammpsplugin_init.
void register_styles(void *lmp, void *handle, void *regfunc);

// Only for the LAMMPS whose headers we saw: puts our creator in front of the built-in pair style of that name.
void take_over_builtin(void *lmp);
void put_in_place(void *lmp);
void *create_pair(void *lmp);

}    // namespace lammps_mace

#endif
