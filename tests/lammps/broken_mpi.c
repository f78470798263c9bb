/* A broken MPI for tests (LD_PRELOAD): what one rank sends is changed.
 * BROKEN_MPI names what, then what happens to it: lost (zeros), shifted (one row on), doubled.
 * ghosts: messages of LAMMPS for a pair style; request, forward, reverse: the plugin's, told apart by their tags;
 * room_forward, room_reverse: memory that it shares with other ranks, once it says that it has written it.
 * room none, full, unseen: this rank gets no such memory, a full one, or cannot see that of others.
 * Whatever is named, it says so when rows are sent from another thread than LAMMPS's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

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

static char *room;
static size_t room_bytes;

/* Its halves are written in turn, from the first one on: forwards, then in reverse. */
static void spoil_room(int to)
{
  static int first_to = -1, exchanges;
  if (first_to < 0) first_to = to;
  if (to != first_to || !room) return;
  if (wanted(exchanges % 2 ? "room_reverse" : "room_forward"))
    spoil(room + exchanges % 2 * (room_bytes / 2), room_bytes / 2, 2 * sizeof(double));
  exchanges++;
}

int MPI_Isend(const void *buffer, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request)
{
  int (*real)(const void *, int, MPI_Datatype, int, int, MPI_Comm, MPI_Request *) = dlsym(RTLD_NEXT, "PMPI_Isend");
  const char *message = tag == 7101 ? "request" : tag == 7102 ? "forward" : tag == 7103 ? "reverse" : NULL;
  int row = 0;
  MPI_Type_size(type, &row);
  if (syscall(SYS_gettid) != getpid()) fprintf(stderr, "MPI in another thread\n");
  if (message && wanted(message)) spoil((char *) buffer, (size_t) n * row, row);
  if (tag == 7106) spoil_room(to);
  return real(buffer, n, type, to, tag, comm, request);
}

int memfd_create(const char *name, unsigned int flags)
{
  int (*real)(const char *, unsigned int) = dlsym(RTLD_NEXT, "memfd_create");
  if (strncmp(name, "lammps-mace-", 12) == 0 && wanted("room none")) return errno = ENOSYS, -1;
  return real(name, flags);
}

/* Where a link leads, and whether that is memory of the plugin. */
static ssize_t follow(const char *path, char *target, size_t size, int *ours)
{
  ssize_t (*real)(const char *, char *, size_t) = dlsym(RTLD_NEXT, "readlink");
  const char *const start = "/memfd:lammps-mace-";
  const ssize_t length = real(path, target, size), wanted_length = strlen(start);
  *ours = length > wanted_length && strncmp(target, start, wanted_length) == 0;
  return length;
}

int posix_fallocate(int file, off_t first, off_t bytes)
{
  int (*real)(int, off_t, off_t) = dlsym(RTLD_NEXT, "posix_fallocate");
  char link[64], target[64];
  int ours;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  follow(link, target, sizeof target, &ours);
  return ours && wanted("room full") ? ENOSPC : real(file, first, bytes);
}

ssize_t readlink(const char *path, char *target, size_t size)
{
  int ours;
  const ssize_t length = follow(path, target, size, &ours);
  return ours && wanted("room unseen") ? (errno = EACCES, -1) : length;
}

void *mmap(void *at, size_t bytes, int access, int flags, int file, off_t first)
{
  void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
  char *const mapped = real(at, bytes, access, flags, file, first);
  if (file < 0 || !(access & PROT_WRITE) || flags != (MAP_SHARED | MAP_POPULATE) || mapped == MAP_FAILED) return mapped;
  room = mapped;
  room_bytes = bytes;
  return mapped;
}
