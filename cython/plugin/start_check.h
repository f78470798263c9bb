// Before the first step on several ranks: do rows of atoms reach their ghosts, and rows of ghosts their owners?
#ifndef LAMMPS_MACE_START_CHECK_H
#define LAMMPS_MACE_START_CHECK_H

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lammps_mace {

class GhostExchange;

// Collective on LAMMPS's world. Sends rows whose values follow from the atom IDs through both directions of the exchange.
// The truth is independent of it: the IDs that ghosts got from LAMMPS's own border communication, and a count of the ghosts
// by MPI_Allreduce. Returns when all is right, else every rank leaves through error->all, which names ranks and IDs.
void check_exchange(LAMMPS_NS::LAMMPS *lmp, GhostExchange &exchange);

}    // namespace lammps_mace

#endif
