/* Vectors of floats, as wide as the instruction set of this copy has them, in compiler vector types. */
#ifndef U3D_CPU_VEC_H
#define U3D_CPU_VEC_H

#include <string.h>

#if defined(__AVX512F__)
enum { CPU_VL = 16 };
#elif defined(__AVX__)
enum { CPU_VL = 8 };
#else
enum { CPU_VL = 4 }; /* SSE2 and NEON registers */
#endif

typedef float cpu_vec __attribute__((vector_size(CPU_VL * 4)));
typedef float cpu_vec_u __attribute__((vector_size(CPU_VL * 4), aligned(4), may_alias)); /* unaligned access */

static inline cpu_vec cpu_load(const float *p) { return *(const cpu_vec_u *)p; }
static inline void cpu_store(float *p, cpu_vec v) { *(cpu_vec_u *)p = v; }
static inline cpu_vec cpu_set1(float x) { return x - (cpu_vec){0}; }

#endif
