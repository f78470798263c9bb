// Before the first step on several ranks: do rows of atoms reach their copies, and rows of copies their owners?
#ifndef LAMMPS_MACE_EXCHANGE_SELF_TEST_H
#define LAMMPS_MACE_EXCHANGE_SELF_TEST_H

#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lammps_mace {

class ExchangeSchedule;

// Collective on LAMMPS's world. Sends rows whose values follow from the atom IDs through both directions of the exchange.
// The truth is independent of it: the IDs that ghosts got from LAMMPS's own border communication, and a count of the copies
// by MPI_Allreduce. Returns when all is right, else every rank leaves through error->all, which names ranks and IDs.
void check_exchange(LAMMPS_NS::LAMMPS *lmp, ExchangeSchedule &exchange);

// The error for data that arrived wrongly, and who found it.
std::string moved_wrongly(const std::string &finder, const std::string &what);

}    // namespace lammps_mace

#endif
