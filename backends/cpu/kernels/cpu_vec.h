/* Vectors of floats, as wide as the instruction set of this copy has them, in compiler vector types. */
#ifndef U3D_CPU_VEC_H
#define U3D_CPU_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { CPU_VL = 16 };
#define CPU_MAX_PS(a, b) _mm512_max_ps(a, b)
#define CPU_MIN_PS(a, b) _mm512_min_ps(a, b)
#elif defined(__AVX__)
#include <immintrin.h>
enum { CPU_VL = 8 };
#define CPU_MAX_PS(a, b) _mm256_max_ps(a, b)
#define CPU_MIN_PS(a, b) _mm256_min_ps(a, b)
#elif defined(__SSE2__)
#include <emmintrin.h>
enum { CPU_VL = 4 };
#define CPU_MAX_PS(a, b) _mm_max_ps(a, b)
#define CPU_MIN_PS(a, b) _mm_min_ps(a, b)
#elif defined(__ARM_NEON)
#include <arm_neon.h>
enum { CPU_VL = 4 };
#define CPU_MAX_PS(a, b) vmaxq_f32(a, b)
#define CPU_MIN_PS(a, b) vminq_f32(a, b)
#else
#error "cpu_vec.h: no vectors for this machine: AVX, SSE2 and NEON are known"
#endif

typedef float cpu_vec __attribute__((vector_size(CPU_VL * 4)));
typedef float cpu_vec_u __attribute__((vector_size(CPU_VL * 4), aligned(4), may_alias)); /* unaligned access */

static inline cpu_vec cpu_load(const float *p) { return *(const cpu_vec_u *)p; }
static inline void cpu_store(float *p, cpu_vec v) { *(cpu_vec_u *)p = v; }
static inline cpu_vec cpu_set1(float x) { return x - (cpu_vec){0}; }

/* x > 0 ? x : slope * x */
static inline cpu_vec cpu_act(cpu_vec x, float slope)
{
    const cpu_vec zero = {0};
    return (cpu_vec)CPU_MAX_PS(x, zero) + slope * (cpu_vec)CPU_MIN_PS(x, zero);
}

/* A whole cache line past the caches, for data that nobody reads soon; p is 64-byte aligned. Plain where a vector is
 * less than a line: lines written in pieces are slower. */
static inline void cpu_stream(float *p, cpu_vec v)
{
#if defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)v);
#else
    cpu_store(p, v);
#endif
}

/* A store whose line waits in first-level cache by the time that `ahead` floats further are stored. Stores complete in
 * order: a miss of each of many streams, one after the other, would cost more than the arithmetic. */
static inline void cpu_store_ahead(float *p, cpu_vec v, int64_t ahead)
{
    __builtin_prefetch(p + ahead, 1, 3);
    cpu_store(p, v);
}

#endif
