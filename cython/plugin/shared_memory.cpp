// Memory of one process that others on the same machine read: faster than messages, which an MPI library copies in pieces.
#include "shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <string>
#include <utility>

namespace lammps_mace {
namespace {

  std::string name(const SharedMemory::Address &address)
  {
    char text[64];
    std::snprintf(text, sizeof text, "lammps-mace-%016" PRIx64 "%016" PRIx64, address.key[0], address.key[1]);
    return text;
  }

  // Linux counts this memory as a file, and kills a process whose file grows beyond `ulimit -f`.
  bool is_allowed(int64_t bytes)
  {
    struct rlimit file_size;
    return getrlimit(RLIMIT_FSIZE, &file_size) == 0 && rlim_t(bytes) <= file_size.rlim_cur;
  }

}    // namespace

SharedMemory SharedMemory::made(int64_t bytes)
{
  if (!is_allowed(bytes)) return {};
  SharedMemory memory;
  Address &place = memory.place;
  if (getrandom(place.key, sizeof place.key, 0) != sizeof place.key) return {};
  place.process = getpid();
  place.descriptor = memfd_create(name(place).c_str(), MFD_CLOEXEC);
  if (place.descriptor < 0) return {};
  if (posix_fallocate(place.descriptor, 0, bytes) != 0) return {};
  place.bytes = bytes;
  memory.map(place.descriptor, true);
  return memory.first ? std::move(memory) : SharedMemory();
}

// The link is read before it is opened: another machine, or a container, may have something else there.
SharedMemory SharedMemory::found(const Address &address)
{
  SharedMemory memory;
  if (address.bytes == 0) return memory;
  const std::string link = "/proc/" + std::to_string(address.process) + "/fd/" + std::to_string(address.descriptor);
  const std::string wanted = "/memfd:" + name(address);
  char target[128];
  const ssize_t length = readlink(link.c_str(), target, sizeof target);
  if (length < ssize_t(wanted.size()) || wanted.compare(0, wanted.size(), target, wanted.size()) != 0) return memory;
  const int file = open(link.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return memory;
  memory.place = address;
  memory.place.descriptor = -1;
  memory.map(file, false);
  close(file);
  return memory;
}

void SharedMemory::map(int file, bool writable)
{
  const int access = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void *const mapped = mmap(nullptr, size_t(place.bytes), access, MAP_SHARED | MAP_POPULATE, file, 0);
  if (mapped != MAP_FAILED) first = static_cast<char *>(mapped);
}

SharedMemory::~SharedMemory()
{
  if (first) munmap(first, size_t(place.bytes));
  if (place.descriptor >= 0) close(place.descriptor);
}

void SharedMemory::swap(SharedMemory &other) noexcept
{
  std::swap(place, other.place);
  std::swap(first, other.first);
}

}    // namespace lammps_mace
