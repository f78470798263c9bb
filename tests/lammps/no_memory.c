/* No memory for one caller (LD_PRELOAD). NO_MEMORY names it: kernels, the pages that a kernel asks for; bridge, all that
 * lammps_mace._bridge itself asks for. Each is told apart by how, or from where, it asks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int wanted(const char *caller)
{
  const char *wish = getenv("NO_MEMORY");
  return wish && strcmp(wish, caller) == 0;
}

extern void *__libc_malloc(size_t);

void *malloc(size_t bytes)
{
  Dl_info from;
  if (bytes < 4096 && wanted("bridge") && dladdr(__builtin_return_address(0), &from) && from.dli_fname &&
      strstr(from.dli_fname, "lammps_mace/_bridge"))
    return errno = ENOMEM, NULL;
  return __libc_malloc(bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
  void *(*real)(size_t, size_t) = dlsym(RTLD_NEXT, "aligned_alloc");
  if (alignment == 4096 && wanted("kernels")) return errno = ENOMEM, NULL;
  return real(alignment, bytes);
}
