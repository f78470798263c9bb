// What LAMMPS keeps out of a model's neighbour list: atoms that it hides, and single pairs of atoms.
#ifndef LAMMPS_MACE_EXCLUSIONS_H
#define LAMMPS_MACE_EXCLUSIONS_H

#include "atom.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace LAMMPS_NS {
class LAMMPS;
class NeighList;
}    // namespace LAMMPS_NS

namespace lammps_mace {

// Which species of the model an atom is; -1: it is not part of the model.
struct ModelSpecies {
  std::vector<int> of_type;    // [ntypes], that of atom type t at t - 1
  std::vector<char> hidden;    // [own atoms and ghosts], excluded from every other atom; empty: nobody is

  int operator()(const LAMMPS_NS::Atom &atom, int64_t i) const
  {
    return !hidden.empty() && hidden[i] ? -1 : of_type[atom.type[i] - 1];
  }
};

// An atom is hidden when one rule excludes it from all atoms: `neigh_modify exclude group G all` (so do fix gcmc and its
// like try a deletion), exclusions of its type with all types of the model, `neigh_modify include` without it. It is then
// no part of the model, as an atom of a NULL type. A model of many-body terms has no meaning for other pairs left out.
class Exclusions {
 public:
  bool allowed = false;    // the user wants pairs left out all the same

  void forget() { known = false; }    // at LAMMPS's init, when lists take over what was set
  // Collective, whenever lists were made: finds hidden atoms; returns why the run must end, or nothing.
  std::string apply(LAMMPS_NS::LAMMPS *lmp, const LAMMPS_NS::NeighList &list, ModelSpecies &species);

 private:
  enum class Kind { types, groups, within_molecules, between_molecules, ghosts, everything };
  struct Rule {
    Kind kind;
    int first, second;    // atom types, or bits of groups
    std::string reason, remedy;
  };

  void read(LAMMPS_NS::LAMMPS *lmp, const LAMMPS_NS::NeighList &list, const std::vector<int> &species_of_type);
  void read_types(LAMMPS_NS::LAMMPS *lmp, const LAMMPS_NS::NeighList &list, const std::vector<int> &species_of_type);
  void read_groups(LAMMPS_NS::LAMMPS *lmp);
  void read_molecules(LAMMPS_NS::LAMMPS *lmp);
  void hide(const LAMMPS_NS::Atom &atom, ModelSpecies &species) const;
  void look(const LAMMPS_NS::Atom &atom, const ModelSpecies &species, std::vector<int64_t> &seen) const;

  bool known = false;
  std::vector<Rule> rules;          // that leave out pairs
  std::vector<char> hidden_type;    // [ntypes + 1]
  int hiding = 0, included = 0;     // bits of groups: whose atoms are hidden; if not 0, whose atoms are not
  bool hides = false;
  std::set<std::string> warned;
};

}    // namespace lammps_mace

#endif
