/* Vectors of floats, as wide as the instruction set of this copy has them, in compiler vector types. */
#ifndef U3D_CPU_VEC_H
#define U3D_CPU_VEC_H

#include <stdbool.h>
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
#include <immintrin.h>
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

/* Vector registers, and rows of a tile of sums that is two vectors wide: what the registers leave beside two
 * vectors of one factor and a broadcast of the other. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define CPU_REGS 32
enum { CPU_TILE_ROWS = 14 };
#else
#define CPU_REGS 16
enum { CPU_TILE_ROWS = 6 };
#endif

typedef float cpu_vec __attribute__((vector_size(CPU_VL * 4)));
typedef float cpu_vec_u
    __attribute__((vector_size(CPU_VL * 4), aligned(4), may_alias)); /* unaligned access */

static inline cpu_vec cpu_load(const float *p)
{
    return *(const cpu_vec_u *)p;
}
static inline void cpu_store(float *p, cpu_vec v)
{
    *(cpu_vec_u *)p = v;
}
static inline cpu_vec cpu_set1(float x)
{
    return x - (cpu_vec){0};
}

/* x > 0 ? x : slope * x */
static inline cpu_vec cpu_act(cpu_vec x, float slope)
{
    const cpu_vec zero = {0};
    return (cpu_vec)CPU_MAX_PS(x, zero) + slope * (cpu_vec)CPU_MIN_PS(x, zero);
}

/* As many integers. Comparisons of vectors give masks: -1 where true, else 0. */
typedef int32_t cpu_ivec __attribute__((vector_size(CPU_VL * 4)));

static inline cpu_ivec cpu_iset1(int32_t x)
{
    return x - (cpu_ivec){0};
}
static inline cpu_ivec cpu_iselect(cpu_ivec mask, cpu_ivec yes, cpu_ivec no)
{
    return (mask & yes) | (~mask & no);
}
static inline cpu_vec cpu_select(cpu_ivec mask, cpu_vec yes, cpu_vec no)
{
    return (cpu_vec)cpu_iselect(mask, (cpu_ivec)yes, (cpu_ivec)no);
}

/* By way of an array: compilers find the one instruction for that loop, but not for __builtin_convertvector.
 */
static inline cpu_ivec cpu_iload_bytes(const uint8_t *p)
{
    int32_t wide[CPU_VL];
    cpu_ivec v;
    for (int l = 0; l < CPU_VL; l++) wide[l] = p[l];
    memcpy(&v, wide, sizeof v);
    return v;
}
static inline void cpu_istore_bytes(uint8_t *p, cpu_ivec v)
{
    int32_t wide[CPU_VL];
    memcpy(wide, &v, sizeof wide);
    for (int l = 0; l < CPU_VL; l++) p[l] = (uint8_t)wide[l];
}

/* Past the caches, to an address that is a multiple of the vector's size: for outputs that no cache could
 * hold, memory is spared reading what is overwritten. cpu_stream_end before other threads may read them. */
static inline void cpu_stream(float *p, cpu_vec v)
{
#if defined(__AVX512F__)
    _mm512_stream_ps(p, (__m512)v);
#elif defined(__AVX__)
    _mm256_stream_ps(p, (__m256)v);
#elif defined(__SSE2__)
    _mm_stream_ps(p, (__m128)v);
#else
    cpu_store(p, v);
#endif
}
static inline void cpu_stream_end(void)
{
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* Outputs from this size on are worth it: more than a core's share of the last cache. */
static inline bool cpu_stream_pays(uint64_t bytes)
{
    return bytes >= (uint64_t)16 << 20;
}

/* A store whose line waits in first-level cache by the time that `ahead` floats further are stored. Stores
 * complete in order: a miss of each of many streams, one after the other, would cost more than the
 * arithmetic. */
static inline void cpu_store_ahead(float *p, cpu_vec v, int64_t ahead)
{
    __builtin_prefetch(p + ahead, 1, 3);
    cpu_store(p, v);
}

#endif
