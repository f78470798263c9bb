// Asks for dlopen and its like by the version they had before glibc 2.34 moved them from libdl to libc.
#pragma once

#if defined(__x86_64__)
#define LM_OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define LM_OLDEST "GLIBC_2.17"
#endif

__asm__(".symver dladdr, dladdr@" LM_OLDEST);
__asm__(".symver dlerror, dlerror@" LM_OLDEST);
__asm__(".symver dlopen, dlopen@" LM_OLDEST);
__asm__(".symver dlsym, dlsym@" LM_OLDEST);
__asm__(".symver dlvsym, dlvsym@" LM_OLDEST);
