/* The C interface between the LAMMPS plugin and the Python extension lammps_mace._bridge.
 *
 * The plugin knows no Python symbol: it opens libpython (unless Python already runs in the process), then the extension
 * module, and asks for its one exported symbol, lammps_mace_bridge_open. No exception of either language crosses.
 * Every function may be called without the GIL; the bridge takes it, and gives it back while ranks exchange rows. */
#ifndef LAMMPS_MACE_BRIDGE_H
#define LAMMPS_MACE_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised by one whenever a struct below changes, so that a plugin never reads another build's table. */
#define LAMMPS_MACE_BRIDGE_ABI 13

/* Why a call failed: one reason for the log, and the Python traceback (may be empty) for stderr. */
typedef struct lammps_mace_failure {
  char reason[8192];
  char traceback[32768];
} lammps_mace_failure;

/* What a model does with the charges it predicts. All zero: it has none, or nobody needs them. */
typedef struct lammps_mace_charges {
  int predicted;   /* steps call sum, then charge; then sum once more if the energy has a Coulomb sum */
  int write;       /* into atom->q of own and ghost atoms */
  int total;       /* sum of the charges of all atoms of the model, e */
  double cutoff;   /* of the Coulomb sum, Angstrom; 0 = the energy has none */
  double constant; /* eV Angstrom / e^2 */
  double damping;  /* beyond it the Coulomb law is exact, Angstrom */
} lammps_mace_charges;

/* Rows of float32 or float64, one for each row of the step. */
typedef struct lammps_mace_rows {
  void *first;
  int64_t width;            /* numbers of a row */
  int item_bytes;           /* of a number, 4 or 8 */
  const int32_t *row_index; /* [n_total] where each row of the step is, from n_local on one after the other; NULL: i */
} lammps_mace_rows;

/* A neighbour list that stays on the model's device while it holds, and what one step needs of it and gives. Atoms are LAMMPS's
 * own atoms and ghosts, each image one of its own. */
typedef struct lammps_mace_list {
  int64_t number; /* another one for each list of the process */
  int64_t n_atoms, n_listed, n_sent;
  const int32_t *rows;       /* [n_atoms] row of each atom, -1: none, it is out of reach */
  const int64_t *offsets;    /* [n_local + 1] neighbours of row i are offsets[i]..offsets[i+1] */
  const int32_t *neighbours; /* [n_listed] atoms, those in the list's skin too */
  const int32_t *sent;       /* [n_sent] own rows that other ranks need, some for several */
  const double *positions;   /* [n_atoms][3] Angstrom, of this step */
  int wants_virials;         /* per atom */
  double *forces;            /* [n_total][3] result, on each row, eV/Angstrom */
  double *virials;    /* [n_total][6] result, if wanted, half of each pair's to both rows; xx, yy, zz, xy, xz, yz, eV */
  double virial[6];   /* result, of all pairs of this rank */
  int64_t n_close;    /* result: pairs closer than what the model was trained on */
  int64_t coincident; /* result: an own row with a neighbour in the same place, or -1 */
  int64_t rowless;    /* result: an atom that has come into the cutoff but has no row, or -1 */
} lammps_mace_list;

/* One call of Pair::compute on one rank. Rows 0..n_local-1 are own atoms, the rest those of other ranks, each once: images of
 * an atom share its row. */
typedef struct lammps_mace_step {
  int64_t n_local, n_total, n_pairs;
  int64_t number;          /* of the pairs: models of one step that are given the same number are given the same pairs */
  int one_domain;          /* one rank: there is nobody to exchange with */
  const int32_t *species;  /* [n_total] index into the model's elements, -1 = not part of this model */
  const int64_t *tags;     /* [n_total] atom IDs */
  const int64_t *offsets;  /* [n_local + 1] pairs of row i are offsets[i]..offsets[i+1] */
  const int32_t *senders;  /* [n_pairs] row of the neighbour */
  const double *vectors;   /* [n_pairs][3] x_j - x_i, Angstrom */
  double *node_energies;   /* [n_local] result, eV */
  double *pair_gradient;   /* [n_pairs][3] result, +dE/d vectors, eV/Angstrom */
  int wants_centroid;      /* this step needs the centroid virial, and each reverse exchange is made four times */
  const double *positions; /* [n_local][3] Angstrom, if it does */
  double *centroid_virial; /* [n_total][3][3] result, if it does, eV: parts of W_j = sum_i (r_i - r_j) (x) dU_i/dr_j */
  double energy;           /* result, eV, of this rank's atoms */
  void *exchanger;
  /* Collective. Forward fills the rows from n_local on, reverse adds them into their owners'. NULL on success, else a
   * message (nothing was sent). */
  const char *(*exchange)(void *exchanger, int reverse, const lammps_mace_rows *rows);
  /* Collective: sums over all ranks, in place. After the last forward exchange, as all calls for charges. */
  const char *(*sum)(void *exchanger, double *values, int count);
  /* Collective: takes the charges of own atoms [n_local], e; adds the Coulomb sum's forces, energies and virials to the
   * results; gives its dE/dq [n_local], V (zeros if the energy has no Coulomb sum). */
  const char *(*charge)(void *exchanger, const double *charges, double *potentials);
  /* Rank 0 writes a line to LAMMPS's screen and log, now; other ranks nothing. Any thread, while compute has not returned. */
  void (*log)(void *exchanger, const char *line);
  lammps_mace_list *list; /* if not NULL, it is there instead of the pairs: n_pairs is 0, and there is no pair_gradient */
} lammps_mace_step;

/* What the bridge offers. Functions that return int return 0 on success, else they fill the failure. */
typedef struct lammps_mace_bridge {
  int abi;
  /* New lammps_mace.coupling.plugin_potential.PluginPotential(path, comm, units, member); NULL on failure. comm: Fortran handle;
   * member: which of the models in a file of several, from 0. */
  void *(*create)(const char *path, int member, int comm, const char *units, lammps_mace_failure *failure);
  /* The model file that a restart file means: where pair_style named it, or where it was; the one whose sidecar has this
   * SHA-256. Its path is malloc'ed: the caller frees it. */
  int (*find)(const char *named, const char *was, const char *sha256, char **path, lammps_mace_failure *failure);
  /* What a restart file needs to find the model again: "SHA256 ABSOLUTE_PATH" (malloc'ed: the caller frees it). */
  int (*identify)(void *potential, char **identity, lammps_mace_failure *failure);
  /* How many models its file has, the cutoff, the distance below which it has no training data (0: unknown), whether its device
   * keeps the neighbour list, LAMMPS's energy unit per eV, the bytes per row of each forward exchange (malloc'ed: the caller
   * frees it), and the use of charges. */
  int (*describe)(void *potential, int *n_members, double *cutoff_angstrom, double *closest_angstrom, int *keeps_list,
                  double *energy_per_ev, int *n_exchanges, int **row_bytes, lammps_mace_charges *charges,
                  lammps_mace_failure *failure);
  /* Elements of the atom types (NULL pointer = the word NULL) to model species. */
  int (*set_elements)(void *potential, int n_types, const char *const *elements, int *species, lammps_mace_failure *failure);
  int (*compute)(void *potential, lammps_mace_step *step, lammps_mace_failure *failure);
  /* Text for the log at the end of a run (malloc'ed: the caller frees it). stuck: it was a minimisation whose line search found
   * no way down. */
  int (*report)(void *potential, int stuck, char **text, lammps_mace_failure *failure);
  /* Collective. Which rank runs on which device, text for the log at pair_style (as report). */
  int (*device_map)(void *potential, char **text, lammps_mace_failure *failure);
  void (*destroy)(void *potential);
} lammps_mace_bridge;

/* Starts Python as `python` would be (unless it runs already) and imports lammps_mace._bridge; NULL on failure.
 * hosted: LAMMPS is linked with Python, so it will finalize the interpreter. */
typedef const lammps_mace_bridge *(*lammps_mace_bridge_opener)(const char *python, int hosted, lammps_mace_failure *failure);
#define LAMMPS_MACE_BRIDGE_SYMBOL "lammps_mace_bridge_open"

#ifdef __cplusplus
}
#endif

#endif
