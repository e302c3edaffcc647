/* What the test programs share: a printed seed, random numbers, temporary folders, opening backends,
 * comparing arrays (support_numbers.h). Functions that cannot do their work stop the program: a test that cannot
 * run is a failed test. */
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
#include "engine/base/tensor.h"
#include "tests/support/support_numbers.h"

/* U3D_SEED, or a fixed number; printed on first use, so that every failure can be replayed. */
uint64_t u3d_test_seed(void);

/* Fails the running test with u3d's own message where `status` is not `expected`. */
void u3d_test_status(u3d_status status, u3d_status expected, const char *what, const char *file, int line);
#define assert_ok(expr)             u3d_test_status((expr), U3D_OK, #expr, __FILE__, __LINE__)
#define assert_status(expr, expect) u3d_test_status((expr), (expect), #expr, __FILE__, __LINE__)

/* New folder below $TMPDIR or /tmp; owned by the caller, who gives it to u3d_test_dir_done, which deletes it
 * with everything inside (and keeps it where U3D_KEEP is set). */
char *u3d_test_dir(void);
void u3d_test_dir_done(char *dir);
char *u3d_test_path(const char *dir, const char *name); /* "dir/name"; caller: u3d_free */

/* A backend by name; isa (U3D_CPU_ISA) may be NULL: the best. */
u3d_backend *u3d_test_backend(const char *name, const char *isa, int threads);
/* The CPU, two threads. Where U3D_CPU_ISA names code that the machine cannot run, the program ends as skipped. */
u3d_backend *u3d_test_cpu(void);

/* Ends the program, as ctest counts skipped, where the backend has no device, and says why. */
void u3d_test_need_device(const char *name);

/* Two arrays of floats, as u3d_test_compare. */
u3d_test_diff u3d_test_compare_f32(const float *got, const float *want, int64_t n);

/* Fails the running test where the normalised rms error exceeds `tol`. */
void u3d_test_near(const char *what, const float *got, const float *want, int64_t n, double tol);

#endif
