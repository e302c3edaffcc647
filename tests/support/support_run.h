/* Training runs on synthetic data: bright balls in noise, and a network small enough to learn them in
 * seconds. */
#ifndef U3D_TESTS_SUPPORT_RUN_H
#define U3D_TESTS_SUPPORT_RUN_H

#include "net/train/train.h"
#include "tests/support/support_cases.h"

enum { U3D_TEST_BALL_SIZE = 20, U3D_TEST_BALLS_MAX = 25 };

/* Labels: 1 inside the ball, 0 outside. */
double u3d_test_ball(int64_t z, int64_t y, int64_t x, const void *ball);
/* As u3d_test_ball on three slices of each orientation; 255 (unlabelled) in all other voxels. */
double u3d_test_ball_sparse(int64_t z, int64_t y, int64_t x, const void *ball);
/* As u3d_test_ball, and 1 in a separate box (the satellite), which is as bright as the ball in the image. */
double u3d_test_ball_satellite(int64_t z, int64_t y, int64_t x, const void *ball);

typedef struct u3d_test_run {
    u3d_test_set set;
    int train[U3D_TEST_BALLS_MAX];
    char *out; /* RUN folder, in the same folder as the data */
    const char *options[20];
    u3d_train_opts o; /* the test may change these; o.set points to `options` */
} u3d_test_run;

/* Prepares n volumes with one of the labels above, and options that train a network of two levels for 30
 * iterations. */
void u3d_test_run_new(u3d_test_run *f, int n, u3d_test_voxel label);
void u3d_test_run_done(u3d_test_run *f);
/* Trains on the CPU with f->o. */
u3d_status u3d_test_run_train(const u3d_test_run *f, int threads, u3d_train_result *r);

#endif
