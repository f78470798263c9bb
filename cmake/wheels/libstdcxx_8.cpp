// What newer compilers call and the libstdc++ of GCC 8 does not have, made of what it has; known in this library only.
#include <dlfcn.h>

#include <new>
#include <sstream>

#define LM_OWN(symbol) __asm__(symbol) __attribute__((visibility("hidden")))

namespace {

// A function of std::exception_ptr that the library has although the header of GCC 11 has it as well. By its version:
// else the header's is found, which calls ours.
template <typename Function> Function exception_pointer(const char *symbol)
{
  return reinterpret_cast<Function>(dlvsym(RTLD_NEXT, symbol, "CXXABI_1.3.3"));
}

}    // namespace

extern "C" {
// std::exception_ptr counts who holds an exception: one more and one less, GCC 11.
void lm_hold_exception(void **self) LM_OWN("_ZNSt15__exception_ptr13exception_ptr9_M_addrefEv");
void lm_release_exception(void **self) LM_OWN("_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv");
// Constructor of std::stringstream without arguments, GCC 9; std::vector of too many items, GCC 11.
void lm_stringstream(void *self) LM_OWN("_ZNSt7__cxx1118basic_stringstreamIcSt11char_traitsIcESaIcEEC1Ev");
[[noreturn]] void lm_bad_length() LM_OWN("_ZSt28__throw_bad_array_new_lengthv");
// Of glibc 2.32: std::shared_ptr counts faster in a process of one thread. This one has several.
extern char lm_single_threaded LM_OWN("__libc_single_threaded");
char lm_single_threaded = 0;

void lm_hold_exception(void **self)
{
  static const auto copy =
      exception_pointer<void (*)(void *, void *const *)>("_ZNSt15__exception_ptr13exception_ptrC1ERKS0_");
  void *never_dropped;
  copy(&never_dropped, self);
}

void lm_release_exception(void **self)
{
  static const auto drop = exception_pointer<void (*)(void **)>("_ZNSt15__exception_ptr13exception_ptrD1Ev");
  void *held = *self;
  drop(&held);
}

void lm_stringstream(void *self) { new (self) std::stringstream(std::ios_base::in | std::ios_base::out); }

void lm_bad_length() { throw std::bad_array_new_length(); }
}
