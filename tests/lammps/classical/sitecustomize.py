# Puts the classical potential of this folder where the bridge looks for the MACE one.
import sys
import types


def _load(name):
    import potential

    return getattr(potential, name)


module = types.ModuleType("lammps_mace.coupling.plugin_potential")
module.__getattr__ = _load
sys.modules["lammps_mace.coupling.plugin_potential"] = module
