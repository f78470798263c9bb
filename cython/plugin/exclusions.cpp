// What LAMMPS keeps out of a model's neighbour list: atoms that it hides, and single pairs of atoms.
#include "exclusions.h"

#include "comm.h"
#include "error.h"
#include "group.h"
#include "lammps.h"
#include "neigh_list.h"
#include "neighbor.h"

#include <mpi.h>

#include <algorithm>
#include <limits>

using namespace LAMMPS_NS;

namespace lammps_mace {
namespace {

  constexpr int all_atoms = 1;    // bit of the group `all`
  constexpr int64_t nothing = std::numeric_limits<int64_t>::min() / 2;

  const std::string remedy_of_exclude =
      "remove it with `neigh_modify exclude none`. Atoms that shall not move need no exclusion: do not integrate them, or "
      "write "
      "`fix ID group setforce 0.0 0.0 0.0`. To hide atoms from the model wholly write `neigh_modify exclude group ID all`.";

  // Comm tells only its heirs which group `comm_modify group` named; 0 is all atoms.
  struct CommSettings : Comm {
    static int group(const Comm &comm) { return comm.*(&CommSettings::bordergroup); }
  };

  std::string command(const std::string &words) { return "`neigh_modify exclude " + words + "`"; }

  // Of a list that is a copy of another, the skipped pairs stand in one of the two.
  const NeighList *skipping(const NeighList *list)
  {
    while (list && !list->ijskip) list = list->listcopy;
    return list;
  }

}    // namespace

std::string Exclusions::apply(LAMMPS *lmp, const NeighList &list, ModelSpecies &species)
{
  const Atom &atom = *lmp->atom;
  if (!known) read(lmp, list, species.of_type);
  hide(atom, species);
  if (rules.empty()) return "";
  std::vector<int64_t> seen;
  look(atom, species, seen);
  MPI_Allreduce(MPI_IN_PLACE, seen.data(), int(seen.size()), MPI_INT64_T, MPI_MAX, lmp->world);
  for (size_t k = 0; k < rules.size(); k++) {
    const Rule &rule = rules[k];
    const bool present = seen[2 * k] > nothing && seen[2 * k + 1] > nothing;
    if (!present || (rule.kind == Kind::between_molecules && seen[2 * k] == -seen[2 * k + 1])) continue;
    const std::string text = "pair_style mliap unified: " + rule.reason;
    const bool choice = rule.kind != Kind::ghosts;
    if (!allowed || !choice)
      return text + ", but the energy of a many-body model needs all its pairs: " + rule.remedy +
          (choice ? " If you want what remains, add `exclusions allow` to the pair_style command" : "");
    if (warned.insert(text).second && lmp->comm->me == 0)
      lmp->error->warning(FLERR, text + ": energies and forces are not those of the model (exclusions allow)");
  }
  return "";
}

// Lists use what was set at LAMMPS's init; a command after it takes effect at the next.
void Exclusions::read(LAMMPS *lmp, const NeighList &list, const std::vector<int> &species_of_type)
{
  rules.clear();
  hiding = 0;
  read_types(lmp, list, species_of_type);
  read_groups(lmp);
  read_molecules(lmp);
  const auto shown = std::find(hidden_type.begin() + 1, hidden_type.end(), 0);
  hides = hiding || included || shown != hidden_type.end();
  known = true;
}

void Exclusions::read_types(LAMMPS *lmp, const NeighList &list, const std::vector<int> &species_of_type)
{
  const int n = int(species_of_type.size());
  const auto in_model = [&](int type) { return species_of_type[type - 1] >= 0; };
  std::vector<Rule> found;
  const Neighbor &neighbor = *lmp->neighbor;
  for (int m = 0; m < neighbor.nex_type; m++) {
    const int i = neighbor.ex1_type[m], j = neighbor.ex2_type[m];
    found.push_back(
        {Kind::types, i, j,
         command("type " + std::to_string(i) + " " + std::to_string(j)) + " takes pairs of the model's atoms away",
         remedy_of_exclude});
  }
  std::vector<int> left_out((n + 1) * (n + 1), 0);
  for (const Rule &rule : found)
    left_out[rule.first * (n + 1) + rule.second] = left_out[rule.second * (n + 1) + rule.first] = 1;
  hidden_type.assign(n + 1, 0);
  bool all_hidden = true;
  for (int i = 1; i <= n; i++) {
    if (!in_model(i)) continue;
    bool hidden = true;
    for (int j = 1; j <= n; j++) hidden &= !in_model(j) || left_out[i * (n + 1) + j];
    hidden_type[i] = hidden;
    all_hidden &= hidden;
  }

  // What hybrid gives away hides nobody: for that it has NULL types.
  const NeighList *const skips = skipping(&list);
  for (int i = 1; skips && i <= n; i++)
    for (int j = i; j <= n; j++) {
      if (!skips->ijskip[i][j]) continue;
      const std::string types = std::to_string(i) + " " + std::to_string(j);
      found.push_back({Kind::types, i, j,
                       "`pair_coeff " + types +
                           " ...` of pair_style hybrid gives pairs of the model's atoms to "
                           "another style",
                       "remove that line, write NULL for a type that the other style treats alone, or use pair_style "
                       "hybrid/overlay."});
    }
  for (Rule &rule : found) {
    if (!in_model(rule.first) || !in_model(rule.second)) continue;
    if (all_hidden) rule.kind = Kind::everything;
    if (all_hidden || !(hidden_type[rule.first] || hidden_type[rule.second])) rules.push_back(rule);
  }
}

void Exclusions::read_groups(LAMMPS *lmp)
{
  const Neighbor &neighbor = *lmp->neighbor;
  const Group &group = *lmp->group;
  for (int m = 0; m < neighbor.nex_group; m++) {
    const int i = neighbor.ex1_group[m], j = neighbor.ex2_group[m];
    const int first = group.bitmask[i], second = group.bitmask[j];
    const std::string reason = command("group " + std::string(group.names[i]) + " " + group.names[j]);
    if (first != all_atoms && second != all_atoms)
      rules.push_back({Kind::groups, first, second, reason + " takes pairs of the model's atoms away", remedy_of_exclude});
    else
      hiding |= first == all_atoms ? second : first;
    if (first == all_atoms && second == all_atoms)
      rules.push_back({Kind::everything, 0, 0, reason + " hides all atoms from the model", remedy_of_exclude});
  }
  included = neighbor.includegroup ? group.bitmask[neighbor.includegroup] : 0;
  if (const int border = CommSettings::group(*lmp->comm))
    rules.push_back({Kind::ghosts, group.bitmask[border], 0,
                     "`comm_modify group " + std::string(group.names[border]) + "` leaves out ghosts of the model's atoms",
                     "write `comm_modify group all`"});
}

void Exclusions::read_molecules(LAMMPS *lmp)
{
  const Neighbor &neighbor = *lmp->neighbor;
  const Group &group = *lmp->group;
  for (int m = 0; m < neighbor.nex_mol; m++) {
    const bool within = neighbor.ex_mol_intra[m];
    rules.push_back(
        {within ? Kind::within_molecules : Kind::between_molecules, group.bitmask[neighbor.ex_mol_group[m]], 0,
         command((within ? "molecule/intra " : "molecule/inter ") + std::string(group.names[neighbor.ex_mol_group[m]])) +
             " takes pairs of the model's atoms away",
         remedy_of_exclude});
  }
}

void Exclusions::hide(const Atom &atom, ModelSpecies &species) const
{
  species.hidden.clear();
  if (!hides) return;
  const int64_t n_total = int64_t(atom.nlocal) + atom.nghost;
  species.hidden.resize(n_total);
  for (int64_t i = 0; i < n_total; i++)
    species.hidden[i] = hidden_type[atom.type[i]] || (atom.mask[i] & hiding) || (included && !(atom.mask[i] & included));
}

// For each rule two numbers, whose maxima over the ranks tell whether there is a pair: 1 where an atom of the first and of
// the second kind was seen; the largest molecule, and minus the smallest.
void Exclusions::look(const Atom &atom, const ModelSpecies &species, std::vector<int64_t> &seen) const
{
  seen.assign(2 * rules.size(), nothing);
  for (int i = 0; i < atom.nlocal; i++) {
    const int type = atom.type[i], mask = atom.mask[i];
    const bool visible = species(atom, i) >= 0;
    for (size_t k = 0; k < rules.size(); k++) {
      const Rule &rule = rules[k];
      int64_t &first = seen[2 * k], &second = seen[2 * k + 1];
      if (rule.kind == Kind::everything && species.of_type[type - 1] >= 0) first = second = 1;
      if (!visible) continue;
      if (rule.kind == Kind::types && type == rule.first) first = 1;
      if (rule.kind == Kind::types && type == rule.second) second = 1;
      if (rule.kind == Kind::groups && mask & rule.first) first = 1;
      if (rule.kind == Kind::groups && mask & rule.second) second = 1;
      if (rule.kind == Kind::ghosts && !(mask & rule.first)) first = second = 1;
      if (rule.kind == Kind::within_molecules && mask & rule.first) first = second = 1;
      if (rule.kind != Kind::between_molecules || !(mask & rule.first)) continue;
      first = std::max<int64_t>(first, atom.molecule[i]);
      second = std::max<int64_t>(second, -atom.molecule[i]);
    }
  }
}

}    // namespace lammps_mace
