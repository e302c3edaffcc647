/* Arrays of numbers: random ones, to and from double, and how far one is from another. Needs no test
 * framework: `u3d verify` judges with the same functions as the tests. */
#ifndef U3D_TESTS_SUPPORT_NUMBERS_H
#define U3D_TESTS_SUPPORT_NUMBERS_H

#include "engine/base/rng.h"
#include "engine/base/type.h"

/* What inputs are drawn from unless somebody asks for another. */
enum { U3D_TEST_SEED = 20160621 };

/* n numbers with mean 0 and standard deviation 1. */
void u3d_test_normal(u3d_rng *r, float *p, int64_t n);

/* An array of type t (f32 or u8) as doubles; the caller frees it with u3d_free. NULL: out of memory. */
double *u3d_test_widen(const u3d_type *t, const void *p);
/* And back into p. */
void u3d_test_narrow(const u3d_type *t, const double *wide, void *p);

/* How far `got` is from `want`. */
typedef struct u3d_test_diff {
    double rms;       /* sqrt(sum (got - want)^2 / sum want^2); of got alone where want is all zero      */
    double worst;     /* largest |got - want| / max(|want|, rms of want)                                  */
    int64_t worst_at; /* its element                                                                      */
    int64_t n_bad;    /* elements of got that are NaN or infinite; the first of them is worst_at then     */
    double got, want; /* at worst_at                                                                      */
} u3d_test_diff;

u3d_test_diff u3d_test_compare(const float *got, const double *want, int64_t n);
/* The same, measured against at least the size `least`: for a few sums of numbers of that size, which may
 * cancel. */
u3d_test_diff u3d_test_compare_sized(const float *got, const double *want, int64_t n, double least);
/* Whole numbers: rms is the share of elements that differ, worst 0 or 1. */
u3d_test_diff u3d_test_compare_u8(const uint8_t *got, const double *want, int64_t n);

double u3d_test_rms(const double *p, int64_t n);

/* "rms 3.1e-03, worst 2.2e-01 at n,z,y,x,c [0, 1, 2, 3, 4]: got 1.5, want 1.25"; `axes` may be "". Returns
 * buf. */
const char *u3d_test_diff_text(const u3d_test_diff *d, const u3d_type *t, const char *axes, char *buf,
                               size_t cap);

#endif
