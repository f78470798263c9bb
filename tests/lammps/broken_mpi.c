/* A broken MPI for one test (LD_PRELOAD): while LAMMPS exchanges rows of a pair style, one rank's messages are changed.
 * BROKEN_MPI is "forward" or "reverse", then what happens: lost (zeros), shifted (one row on), doubled. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static const char *now = "";    /* the direction LAMMPS is exchanging in */
static int width;

#define WATCH(symbol, direction)                          \
  void symbol(void *self, void *pair, int size)           \
  {                                                       \
    void (*real)(void *, void *, int) = dlsym(RTLD_NEXT, #symbol); \
    now = direction;                                      \
    width = size;                                         \
    real(self, pair, size);                               \
    now = "";                                             \
  }
WATCH(_ZN9LAMMPS_NS9CommBrick12forward_commEPNS_4PairEi, "forward")
WATCH(_ZN9LAMMPS_NS9CommBrick12reverse_commEPNS_4PairEi, "reverse")
WATCH(_ZN9LAMMPS_NS9CommTiled12forward_commEPNS_4PairEi, "forward")
WATCH(_ZN9LAMMPS_NS9CommTiled12reverse_commEPNS_4PairEi, "reverse")

static void spoil(double *data, int n, const char *how)
{
  double first[4096];
  if (strcmp(how, "lost") == 0) memset(data, 0, n * sizeof *data);
  for (int i = 0; strcmp(how, "doubled") == 0 && i < n; i++) data[i] *= 2;
  if (strcmp(how, "shifted") || n <= width) return;
  memcpy(first, data, width * sizeof *data);
  memmove(data, data + width, (n - width) * sizeof *data);
  memcpy(data + n - width, first, width * sizeof *data);
}

int MPI_Send(const void *buffer, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
  int (*real)(const void *, int, MPI_Datatype, int, int, MPI_Comm) = dlsym(RTLD_NEXT, "PMPI_Send");
  int (*rank_of)(MPI_Comm, int *) = dlsym(RTLD_NEXT, "PMPI_Comm_rank");
  const char *wish = getenv("BROKEN_MPI");
  int rank = 0;
  rank_of(comm, &rank);
  if (wish && *now && rank == 1 && strncmp(wish, now, strlen(now)) == 0) spoil((double *) buffer, n, wish + strlen(now) + 1);
  return real(buffer, n, type, to, tag, comm);
}
