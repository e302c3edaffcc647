/* Small data sets for tests of the training data: volumes written as NIfTI files below a temporary folder. */
#ifndef U3D_TESTS_SUPPORT_CASES_H
#define U3D_TESTS_SUPPORT_CASES_H

#include "tests/support/support.h"

#include "net/sample/augment.h"
#include "net/cases/cases.h"

typedef struct u3d_test_set {
    char *dir;
    u3d_dataset d;
    double spacing[3]; /* of the volumes that are added next, z, y, x; 2, 1, 1 at first */
} u3d_test_set;

/* Voxel value at z, y, x. */
typedef double (*u3d_test_voxel)(int64_t z, int64_t y, int64_t x, const void *user);

void u3d_test_set_new(u3d_test_set *s);
void u3d_test_set_done(u3d_test_set *s);
/* Adds case `id`: image of n_files single-channel files (channel c gets image(...) + 1000 c), and labels
 * where `label` is not NULL. size z, y, x. */
void u3d_test_set_add(u3d_test_set *s, const char *id, const int64_t size[3], int n_files,
                      u3d_test_voxel image, u3d_test_voxel label, const void *user);
void u3d_test_set_name_label(u3d_test_set *s, int32_t value,
                             const char *name); /* call with increasing values */
void u3d_test_set_name_channel(u3d_test_set *s, const char *name);
/* All cases, opened. */
u3d_status u3d_test_set_open(const u3d_test_set *s, u3d_intensity intensity, const u3d_cases_opts *o,
                             u3d_cases **out);

double u3d_test_voxel_mix(int64_t z, int64_t y, int64_t x, const void *unused); /* 0 .. 65535, well mixed */

/* Values of a list, in a pattern that uses all of them. */
typedef struct u3d_test_list {
    int n;
    int value[8];
} u3d_test_list;
double u3d_test_voxel_of_list(int64_t z, int64_t y, int64_t x, const void *list);

/* Every step-th slice across the chosen axes (z, y, x) holds values 1 and 2, the rest `blank`. */
typedef struct u3d_test_slices {
    bool across[3];
    int64_t step;
    int blank;
} u3d_test_slices;
double u3d_test_voxel_slices(int64_t z, int64_t y, int64_t x, const void *slices);

/* Fails the running test where the last message lacks `part`, or got and expected differ by more than
 * tolerance. */
void u3d_test_says(const char *part);
void u3d_test_close(double got, double expected, double tolerance);

/* Runs with stderr in a file; what was written there comes back (caller: u3d_free). */
char *u3d_test_stderr_of(void (*run)(void *), void *user);
int u3d_test_count_text(const char *text, const char *part);

/* nnU-Net's changes, and every sample deformed; voxels of 1x1x1. */
u3d_augment u3d_test_augment_everything(void);

#endif
