/* Vectors of floats as compiler vector types. CPU_VL is their number of lanes: the vector width of the
 * instruction set for which this copy of kernels/ is compiled. */
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
#error "cpu_vec.h: this machine has none of the vector units that u3d supports: AVX, SSE2, NEON"
#endif

/* CPU_REGS is the number of vector registers. CPU_TILE_ROWS is the number of rows in a tile of sums that is
 * two vectors wide. The tile leaves registers for two vectors of one factor and a broadcast of the other. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define CPU_REGS 32
enum { CPU_TILE_ROWS = 14 };
#else
#define CPU_REGS 16
enum { CPU_TILE_ROWS = 6 };
#endif

/* Calls body(rows, ...) with `rows`, 1 to CPU_TILE_ROWS, as a constant. Loops over the rows of a tile then
 * unroll, and its sums stay in registers. `body` must be inlined. */
#define CPU_CASE_ROWS(n, body, ...)                                                                          \
    case n:                                                                                                  \
        body(n, __VA_ARGS__);                                                                                \
        break;
#define CPU_CASES_TO_6(body, ...)                                                                            \
    CPU_CASE_ROWS(1, body, __VA_ARGS__)                                                                      \
    CPU_CASE_ROWS(2, body, __VA_ARGS__)                                                                      \
    CPU_CASE_ROWS(3, body, __VA_ARGS__)                                                                      \
    CPU_CASE_ROWS(4, body, __VA_ARGS__)                                                                      \
    CPU_CASE_ROWS(5, body, __VA_ARGS__)                                                                      \
    CPU_CASE_ROWS(6, body, __VA_ARGS__)
#if CPU_REGS == 32
#define CPU_SWITCH_ROWS(rows, body, ...)                                                                     \
    do {                                                                                                     \
        switch (rows) {                                                                                      \
            CPU_CASES_TO_6(body, __VA_ARGS__)                                                                \
            CPU_CASE_ROWS(7, body, __VA_ARGS__)                                                              \
            CPU_CASE_ROWS(8, body, __VA_ARGS__)                                                              \
            CPU_CASE_ROWS(9, body, __VA_ARGS__)                                                              \
            CPU_CASE_ROWS(10, body, __VA_ARGS__)                                                             \
            CPU_CASE_ROWS(11, body, __VA_ARGS__)                                                             \
            CPU_CASE_ROWS(12, body, __VA_ARGS__)                                                             \
            CPU_CASE_ROWS(13, body, __VA_ARGS__)                                                             \
        default: body(14, __VA_ARGS__); break;                                                               \
        }                                                                                                    \
    } while (0)
#else
#define CPU_SWITCH_ROWS(rows, body, ...)                                                                     \
    do {                                                                                                     \
        switch (rows) {                                                                                      \
            CPU_CASES_TO_6(body, __VA_ARGS__)                                                                \
        }                                                                                                    \
    } while (0)
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

/* Vectors with the same number of integers. Comparing two vectors gives a mask: -1 in lanes where the
 * comparison holds, 0 in the others. */
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

/* Bytes to integers and back. Both go through an array, because compilers turn that loop into the single
 * instruction that converts, which they do not do for __builtin_convertvector. */
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

/* Stores past the caches, to an address that is a multiple of the vector size. This is for outputs that no
 * cache could hold: memory then need not be read before it is overwritten. Call cpu_stream_end before other
 * threads may read the output. */
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

/* True for outputs that are large enough to be stored with cpu_stream: 16 MB are more than one core's share
 * of the last-level cache. */
static inline bool cpu_stream_pays(uint64_t bytes)
{
    return bytes >= (uint64_t)16 << 20;
}

/* Stores v and prefetches the line that is `ahead` floats further, so that it is in the first-level cache
 * when it is stored to. Stores complete in order: when many streams are written, their misses would follow
 * one after the other and cost more than the arithmetic. */
static inline void cpu_store_ahead(float *p, cpu_vec v, int64_t ahead)
{
    __builtin_prefetch(p + ahead, 1, 3);
    cpu_store(p, v);
}

#endif
