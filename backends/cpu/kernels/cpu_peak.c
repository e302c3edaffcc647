/* Measures what the machine can do at most: fused multiply-adds on registers, and the memory bandwidth of a
 * triad. Twelve independent chains of multiply-adds are enough for every core we know of, because they cover
 * a latency of 4 to 5 cycles on two units. */
#include <omp.h>

#include "backends/cpu/cpu_impl.h"
#include "backends/cpu/kernels/cpu_vec.h"

enum { CHAINS = 12, ROUNDS = 1 << 21, REPEAT = 5 };

double CPU_NAME(cpu_peak_flops)(int threads);
double CPU_NAME(cpu_peak_bytes)(int threads, float *a, const float *b, const float *c, int64_t n);

static float fma_chains(int64_t rounds, float factor, float term)
{
    cpu_vec s[CHAINS];
    const cpu_vec f = cpu_set1(factor), t = cpu_set1(term);
    for (int i = 0; i < CHAINS; i++) s[i] = cpu_set1((float)i);
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) s[i] = s[i] * f + t;
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += s[i][0];
    return sum;
}

/* FLOP per second of all threads together, the best of REPEAT runs. */
double CPU_NAME(cpu_peak_flops)(int threads)
{
    double best = 0;
    volatile float sink = 0, factor = 0.999f;
    for (int k = 0; k < REPEAT; k++) {
        const double start = omp_get_wtime();
#pragma omp parallel num_threads(threads)
        {
            const float sum = fma_chains(ROUNDS, factor, 0.001f);
#pragma omp critical
            sink = sum;
        }
        const double rate = 2.0 * CHAINS * CPU_VL * ROUNDS * threads / (omp_get_wtime() - start);
        if (rate > best) best = rate;
    }
    (void)sink;
    return best;
}

/* Bytes per second of a = b + s * c over arrays of n floats, two of which are read and one is written; the
 * best of REPEAT runs. */
double CPU_NAME(cpu_peak_bytes)(int threads, float *a, const float *b, const float *c, int64_t n)
{
    double best = 0;
    for (int k = 0; k < REPEAT; k++) {
        const double start = omp_get_wtime();
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t i = 0; i < n; i++) a[i] = b[i] + 0.5f * c[i];
        const double rate = 12.0 * (double)n / (omp_get_wtime() - start);
        if (rate > best) best = rate;
    }
    return best;
}
