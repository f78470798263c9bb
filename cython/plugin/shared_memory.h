// Memory of one process that others on the same machine read: faster than messages, which an MPI library copies in pieces.
#ifndef LAMMPS_MACE_SHARED_MEMORY_H
#define LAMMPS_MACE_SHARED_MEMORY_H

#include <cstdint>

namespace lammps_mace {

class SharedMemory {
 public:
  // Tells other processes where it is. `key` is random: no other memory has it, on any machine.
  struct Address {
    int32_t process = 0, descriptor = -1;
    uint64_t key[2] = {0, 0};
    int64_t bytes = 0;    // 0: there is none

    bool operator==(const Address &other) const { return key[0] == other.key[0] && key[1] == other.key[1]; }
  };

  SharedMemory() = default;
  SharedMemory(SharedMemory &&other) noexcept { swap(other); }
  SharedMemory &operator=(SharedMemory &&other) noexcept { return swap(other), *this; }
  ~SharedMemory();

  // Both are empty where that is not to be had. The system gives the memory at once, not at its first use, when it could only
  // kill the process. It goes with the last process that has it, however that ends.
  static SharedMemory made(int64_t bytes);
  static SharedMemory found(const Address &address);

  char *data() const { return first; }
  const Address &address() const { return place; }

 private:
  void swap(SharedMemory &other) noexcept;
  void map(int file, bool writable);

  Address place;
  char *first = nullptr;
};

}    // namespace lammps_mace

#endif
