/* Small data sets for tests of code that reads training data: volumes written as NIfTI files to a temporary
 * folder. */
#ifndef U3D_TESTS_SUPPORT_CASES_H
#define U3D_TESTS_SUPPORT_CASES_H

#include "tests/support/support.h"

#include "net/sample/augment.h"
#include "net/cases/cases.h"

typedef struct u3d_test_set {
    char *dir;
    u3d_dataset d;
    double spacing[3]; /* spacing of the volumes that are added next, z, y, x; initially 2, 1, 1 */
} u3d_test_set;

/* Voxel value at z, y, x. */
typedef double (*u3d_test_voxel)(int64_t z, int64_t y, int64_t x, const void *user);

void u3d_test_set_new(u3d_test_set *s);
void u3d_test_set_done(u3d_test_set *s);
/* Adds case `id` with volumes of `size` (z, y, x). The image consists of n_files single-channel files, and
 * channel c is image(...) + 1000 c. If `label` is not NULL, the case also gets a label file. */
void u3d_test_set_add(u3d_test_set *s, const char *id, const int64_t size[3], int n_files,
                      u3d_test_voxel image, u3d_test_voxel label, const void *user);
/* Names a label value. Values must be given in increasing order. */
void u3d_test_set_name_label(u3d_test_set *s, int32_t value, const char *name);
void u3d_test_set_name_channel(u3d_test_set *s, const char *name);
/* Opens all cases (at most 64). */
u3d_status u3d_test_set_open(const u3d_test_set *s, u3d_intensity intensity, const u3d_cases_opts *o,
                             u3d_cases **out);

double u3d_test_voxel_mix(int64_t z, int64_t y, int64_t x,
                          const void *unused); /* pseudo-random, 0 to 65535 */
/* In a volume of 10 x 10 x 10 voxels: 0 to 999 in storage order; 1 in its second half, where z >= 5. */
double u3d_test_voxel_ramp(int64_t z, int64_t y, int64_t x, const void *unused);
double u3d_test_voxel_half(int64_t z, int64_t y, int64_t x, const void *unused);

/* Voxels with the values of a list, picked pseudo-randomly by position. */
typedef struct u3d_test_list {
    int n;
    int value[8];
} u3d_test_list;
double u3d_test_voxel_of_list(int64_t z, int64_t y, int64_t x, const void *list);

/* Every step-th slice across the chosen axes (z, y, x) holds values 1 and 2; other voxels hold `blank`. */
typedef struct u3d_test_slices {
    bool across[3];
    int64_t step;
    int blank;
} u3d_test_slices;
double u3d_test_voxel_slices(int64_t z, int64_t y, int64_t x, const void *slices);

/* The 48 orders in which a file can have its axes. */
enum { U3D_TEST_STORAGES = 48 };
/* The axes of storage s, as for u3d_volume_turn. Storage 0 leaves them as they are. */
void u3d_test_storage(int s, int axis[3]);
/* Stores a file again with other axes. The volume stays where it is. */
void u3d_test_store(const char *from, u3d_volume_kind kind, int s, const char *to);

/* Fails the running test if the last error message does not contain `part`. */
void u3d_test_says(const char *part);
/* Fails the running test if `got` and `expected` differ by more than `tolerance`. */
void u3d_test_close(double got, double expected, double tolerance);

/* Calls `run` with stderr redirected to a file, and returns the text that was written (caller: u3d_free). */
char *u3d_test_stderr_of(void (*run)(void *), void *user);
int u3d_test_count_text(const char *text, const char *part);

/* nnU-Net's augmentation, with every sample deformed elastically; the spacing is 1x1x1. */
u3d_augment u3d_test_augment_everything(void);

#endif
