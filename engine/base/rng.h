/* Counter-based random numbers. A number depends only on (seed, stream, index, draw), so that patch 1,000 is
 * the same with one worker and with eight, and after training was interrupted and resumed.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox4x32-10). */
#ifndef U3D_ENGINE_RNG_H
#define U3D_ENGINE_RNG_H

#include <stdint.h>

typedef struct u3d_rng {
    uint64_t seed, index;
    uint32_t stream, block; /* block: number of 128-bit outputs so far      */
    uint32_t word[4];       /* the last output                              */
    int32_t n_left;         /* numbers in `word` that are not used yet      */
} u3d_rng;

/* One stream per purpose, so that an additional draw for one purpose never changes the numbers of another. */
enum {
    U3D_RNG_INIT = 1,
    U3D_RNG_PATCH = 2,
    U3D_RNG_AUGMENT = 3,
    U3D_RNG_SPLIT = 4,
    U3D_RNG_TEST = 5,
    U3D_RNG_PHANTOM = 6,
    U3D_RNG_WARP = 7,
    U3D_RNG_GREY = 8,
    U3D_RNG_SPARSIFY = 9
};

/* A generator at draw 0 of (seed, stream, index), for example sample number `index`. */
u3d_rng u3d_rng_at(uint64_t seed, uint32_t stream, uint64_t index);
uint32_t u3d_rng_u32(u3d_rng *r);
double u3d_rng_uniform(u3d_rng *r);            /* [0, 1)                       */
int64_t u3d_rng_below(u3d_rng *r, int64_t n);  /* 0 to n-1, unbiased; n >= 1   */
double u3d_rng_normal(u3d_rng *r);             /* mean 0, standard deviation 1 */

#endif
