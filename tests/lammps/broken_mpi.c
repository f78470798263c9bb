/* A broken MPI for one test (LD_PRELOAD): messages of one rank are changed.
 * BROKEN_MPI names the messages, then what happens to them: lost (zeros), shifted (one row on), doubled.
 * ghosts: LAMMPS's, for a pair style; request, forward, reverse: the plugin's, told apart by their tags. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static int width; /* bytes of the rows that LAMMPS is sending for a pair style, or 0 */

#define WATCH(symbol)                                              \
  void symbol(void *self, void *pair, int size)                    \
  {                                                                \
    void (*real)(void *, void *, int) = dlsym(RTLD_NEXT, #symbol); \
    width = size * (int) sizeof(double);                           \
    real(self, pair, size);                                        \
    width = 0;                                                     \
  }
WATCH(_ZN9LAMMPS_NS9CommBrick12forward_commEPNS_4PairEi)
WATCH(_ZN9LAMMPS_NS9CommTiled12forward_commEPNS_4PairEi)

static int wanted(const char *message)
{
  int (*rank_of)(MPI_Comm, int *) = dlsym(RTLD_NEXT, "PMPI_Comm_rank");
  const char *wish = getenv("BROKEN_MPI");
  int rank = 0;
  rank_of(MPI_COMM_WORLD, &rank);
  return wish && rank == 1 && strncmp(wish, message, strlen(message)) == 0;
}

static void spoil(char *data, size_t bytes, size_t row)
{
  const char *how = strchr(getenv("BROKEN_MPI"), ' ') + 1;
  char first[65536];
  if (strcmp(how, "lost") == 0) memset(data, 0, bytes);
  if (strcmp(how, "doubled") == 0)
    for (size_t at = 0; at < bytes; at += row == sizeof(int) ? sizeof(int) : sizeof(double)) {
      if (row == sizeof(int)) *(int *) (data + at) *= 2;
      else *(double *) (data + at) *= 2;
    }
  if (strcmp(how, "shifted") || bytes <= row) return;
  memcpy(first, data, row);
  memmove(data, data + row, bytes - row);
  memcpy(data + bytes - row, first, row);
}

int MPI_Send(const void *buffer, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
  int (*real)(const void *, int, MPI_Datatype, int, int, MPI_Comm) = dlsym(RTLD_NEXT, "PMPI_Send");
  if (width && wanted("ghosts")) spoil((char *) buffer, n * sizeof(double), width);
  return real(buffer, n, type, to, tag, comm);
}

int MPI_Isend(const void *buffer, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
  int (*real)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *) = dlsym(RTLD_NEXT, "PMPI_Isend");
  const char *message = tag == 7101 ? "request" : tag == 7102 ? "forward" : tag == 7103 ? "reverse" : NULL;
  int row = 0;
  MPI_Type_size(type, &row);
  if (message && wanted(message)) spoil((char *) buffer, (size_t) n * row, row);
  return real(buffer, n, type, to, tag, comm, request);
}
