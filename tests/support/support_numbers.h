/* Arrays of numbers: random contents, conversion to and from double, and the difference between two arrays.
 * These functions need no test framework, because `u3d verify` uses them as well as the tests. */
#ifndef U3D_TESTS_SUPPORT_NUMBERS_H
#define U3D_TESTS_SUPPORT_NUMBERS_H

#include "engine/base/rng.h"
#include "engine/base/type.h"

/* Default seed of the random inputs. */
enum { U3D_TEST_SEED = 20160621 };

/* n numbers with mean 0 and standard deviation 1. */
void u3d_test_normal(u3d_rng *r, float *p, int64_t n);

/* Converts an array of type t (f32 or u8) to doubles. The caller frees the result with u3d_free; NULL means
 * out of memory. */
double *u3d_test_widen(const u3d_type *t, const void *p);
/* Converts doubles back to type t and stores them in p. */
void u3d_test_narrow(const u3d_type *t, const double *wide, void *p);

/* Difference between `got` and `want`. */
typedef struct u3d_test_diff {
    double rms;       /* sqrt(sum (got - want)^2 / sum want^2); the rms of got if want is all zero        */
    double worst;     /* largest |got - want| / max(|want|, rms of want)                                  */
    int64_t worst_at; /* index of the worst element, or of the first bad one if n_bad > 0                 */
    int64_t n_bad;    /* number of elements of got that are NaN or infinite                               */
    double got, want; /* the two values at worst_at                                                       */
} u3d_test_diff;

u3d_test_diff u3d_test_compare(const float *got, const double *want, int64_t n);
/* As u3d_test_compare, but errors are divided by at least `least`. This is for arrays of a few sums of terms
 * of that size, because such sums may cancel. */
u3d_test_diff u3d_test_compare_sized(const float *got, const double *want, int64_t n, double least);
/* Compares whole numbers: rms is the fraction of elements that differ, and worst is 0 or 1. */
u3d_test_diff u3d_test_compare_u8(const uint8_t *got, const double *want, int64_t n);

double u3d_test_rms(const double *p, int64_t n); /* sqrt(mean of p^2) */

/* Writes a text such as "rms 3.1e-03, worst 2.2e-01 at n,z,y,x,c [0, 1, 2, 3, 4]: got 1.5, want 1.25" to buf
 * and returns buf. `axes` names the indices and may be "". */
const char *u3d_test_diff_text(const u3d_test_diff *d, const u3d_type *t, const char *axes, char *buf,
                               size_t cap);

#endif
