/* Functions shared by the test programs: the printed seed, checks of a status, temporary folders, opening
 * backends, comparing arrays (with support_numbers.h). A function that cannot do its work ends the program
 * with an error, because a test that cannot run counts as failed. */
#ifndef U3D_TESTS_SUPPORT_H
#define U3D_TESTS_SUPPORT_H

/* cmocka.h requires that these headers are included before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "backends/backends.h"
#include "engine/base/tensor.h"
#include "tests/support/support_numbers.h"

/* U3D_SEED, or a fixed number if it is not set. The seed is printed on first use, so that every failure can
 * be reproduced. */
uint64_t u3d_test_seed(void);

/* True in programs built with AddressSanitizer or for an emulator, which are slow. They may leave out
 * repetitions that execute the same lines of code on the same addresses: further random inputs, a second run
 * that must give the same bits, plain loops compiled for a second instruction set, iterations that only make
 * a network better. */
bool u3d_test_brief(void);

/* Fails the running test with u3d's own message if `status` is not `expected`. */
void u3d_test_status(u3d_status status, u3d_status expected, const char *what, const char *file, int line);
#define assert_ok(expr)             u3d_test_status((expr), U3D_OK, #expr, __FILE__, __LINE__)
#define assert_status(expr, expect) u3d_test_status((expr), (expect), #expr, __FILE__, __LINE__)

/* Makes a new folder below $TMPDIR or /tmp and returns its path. The caller must give the path to
 * u3d_test_dir_done, which frees it and, unless U3D_KEEP is set, deletes the folder and all its contents. */
char *u3d_test_dir(void);
void u3d_test_dir_done(char *dir);
char *u3d_test_path(const char *dir, const char *name); /* "dir/name"; caller: u3d_free */

/* Opens a backend by name. `isa` is an instruction set as in U3D_CPU_ISA; if it is NULL, the environment
 * decides, and without U3D_CPU_ISA the best instruction set is used. */
u3d_backend *u3d_test_backend(const char *name, const char *isa, int threads);
/* The CPU backend with two threads. If U3D_CPU_ISA names an instruction set that this machine lacks, the
 * program ends and ctest reports it as skipped. */
u3d_backend *u3d_test_cpu(void);

/* If the backend has no device, prints why and ends the program in such a way that ctest reports it as
 * skipped. */
void u3d_test_need_device(const char *name);

/* Compares two arrays of floats like u3d_test_compare. */
u3d_test_diff u3d_test_compare_f32(const float *got, const float *want, int64_t n);

/* Fails the running test if the relative rms error exceeds `tol`. */
void u3d_test_near(const char *what, const float *got, const float *want, int64_t n, double tol);

#endif
