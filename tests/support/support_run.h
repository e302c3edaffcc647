/* Training runs on synthetic data: bright balls in noise, and a network small enough to learn them in seconds. */
#ifndef U3D_TESTS_SUPPORT_RUN_H
#define U3D_TESTS_SUPPORT_RUN_H

#include "net/train/train.h"
#include "tests/support/support_cases.h"

enum { U3D_TEST_BALL_SIZE = 20, U3D_TEST_BALLS_MAX = 25 };

/* Labels: 1 inside of the ball; */
double u3d_test_ball(int64_t z, int64_t y, int64_t x, const void *ball);
/* painted on three slices of each orientation, 255 elsewhere; */
double u3d_test_ball_sparse(int64_t z, int64_t y, int64_t x, const void *ball);
/* with a satellite, bright as the ball and apart from it. */
double u3d_test_ball_satellite(int64_t z, int64_t y, int64_t x, const void *ball);

typedef struct u3d_test_run {
    u3d_test_set set;
    int train[U3D_TEST_BALLS_MAX];
    char *out; /* RUN folder, beside the data */
    const char *options[20];
    u3d_train_opts o; /* for the test to change; o.set is `options` */
} u3d_test_run;

/* n volumes with one of the labels above; a network of two levels for 30 iterations. */
void u3d_test_run_new(u3d_test_run *f, int n, u3d_test_voxel label);
void u3d_test_run_done(u3d_test_run *f);
u3d_status u3d_test_run_train(const u3d_test_run *f, int threads, u3d_train_result *r); /* on the CPU */

#endif
