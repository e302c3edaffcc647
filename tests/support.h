/* What the test programs share: a printed seed, random numbers, temporary folders, opening backends,
 * comparing arrays. Functions that cannot do their work stop the program: a test that cannot run is a failed
 * test. */
#ifndef U3D_TESTS_SUPPORT_H
#define U3D_TESTS_SUPPORT_H

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "backends/backends.h"
#include "engine/rng.h"
#include "engine/tensor.h"

/* U3D_SEED, or a fixed number; printed on first use, so that every failure can be replayed. */
uint64_t u3d_test_seed(void);

/* Fails the running test with u3d's own message where `status` is not `expected`. */
void u3d_test_status(u3d_status status, u3d_status expected, const char *what, const char *file, int line);
#define assert_ok(expr)             u3d_test_status((expr), U3D_OK, #expr, __FILE__, __LINE__)
#define assert_status(expr, expect) u3d_test_status((expr), (expect), #expr, __FILE__, __LINE__)

/* n numbers with mean 0 and standard deviation 1. */
void u3d_test_normal(u3d_rng *r, float *p, int64_t n);

/* New folder below $TMPDIR or /tmp; owned by the caller, who gives it to u3d_test_dir_done, which deletes it
 * with everything inside (and keeps it where U3D_KEEP is set). */
char *u3d_test_dir(void);
void u3d_test_dir_done(char *dir);
char *u3d_test_path(const char *dir, const char *name); /* "dir/name"; caller: u3d_free */

/* A backend by name; isa (U3D_CPU_ISA) may be NULL: the best. */
u3d_backend *u3d_test_backend(const char *name, const char *isa, int threads);
/* The CPU, two threads. Where U3D_CPU_ISA names code that the machine cannot run, the program ends as skipped. */
u3d_backend *u3d_test_cpu(void);

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
u3d_test_diff u3d_test_compare_f32(const float *got, const float *want, int64_t n);

/* "rms 3.1e-03, worst at [0, 1, 2, 3, 4]: got 1.5, want 1.25"; returns buf. */
const char *u3d_test_diff_text(const u3d_test_diff *d, const u3d_type *t, char *buf, size_t cap);

/* Fails the running test where the normalised rms error exceeds `tol`. */
void u3d_test_near(const char *what, const float *got, const float *want, int64_t n, double tol);

#endif
