/* Philox4x32-10: ten rounds of multiplication, xor and key increment turn a 128-bit counter and a 64-bit key
 * into 128 random bits.
 *
 *   counter  block, stream, index (low, high)        key  seed (low, high)
 *
 * Source: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3,
 * with the constants given there. tests/engine/test_engine.c checks the output against Random123's
 * kat_vectors. */
#include "engine/base/rng.h"

#include <math.h>

#include "engine/base/status.h"

static void rng_philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t a = UINT64_C(0xD2511F53) * c[0];
        uint64_t b = UINT64_C(0xCD9E8D57) * c[2];
        uint32_t c1 = c[1], c3 = c[3];
        c[0] = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c[1] = (uint32_t)b;
        c[2] = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c[3] = (uint32_t)a;
        k0 += 0x9E3779B9; /* golden ratio */
        k1 += 0xBB67AE85; /* sqrt(3) - 1  */
    }
}

u3d_rng u3d_rng_at(uint64_t seed, uint32_t stream, uint64_t index)
{
    return (u3d_rng){.seed = seed, .index = index, .stream = stream};
}

uint32_t u3d_rng_u32(u3d_rng *r)
{
    if (r->n_left == 0) {
        r->word[0] = r->block++;
        r->word[1] = r->stream;
        r->word[2] = (uint32_t)r->index;
        r->word[3] = (uint32_t)(r->index >> 32);
        rng_philox(r->word, (uint32_t)r->seed, (uint32_t)(r->seed >> 32));
        r->n_left = 4;
    }
    return r->word[4 - r->n_left--];
}

static uint64_t rng_u64(u3d_rng *r)
{
    uint64_t high = u3d_rng_u32(r);
    return high << 32 | u3d_rng_u32(r);
}

/* 53 random bits: all multiples of 2^-53 in [0, 1) are equally likely. */
double u3d_rng_uniform(u3d_rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

int64_t u3d_rng_below(u3d_rng *r, int64_t n)
{
    U3D_ASSERT(n >= 1, "n = %lld", (long long)n);
    uint64_t m = (uint64_t)n;
    /* skip = 2^64 mod n: if the lowest `skip` numbers are left out, all remainders are equally likely. */
    uint64_t skip = (0 - m) % m;
    uint64_t x;
    do {
        x = rng_u64(r);
    } while (x < skip);
    return (int64_t)(x % m);
}

/* Box & Muller 1958. The second number of each pair is dropped, so that no number is kept from one draw to
 * the next. */
double u3d_rng_normal(u3d_rng *r)
{
    double u = 1.0 - u3d_rng_uniform(r); /* in (0, 1], so that its logarithm is finite */
    double angle = 2.0 * M_PI * u3d_rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(angle);
}
