/* Synthetic volumes of balls, and training runs that learn them; see support_run.h. */
#include "tests/support/support_run.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/mem.h"

typedef struct ball {
    double z, y, x, r;
    uint64_t seed;
} ball;

double u3d_test_ball(int64_t z, int64_t y, int64_t x, const void *user)
{
    const ball *b = user;
    double dz = (double)z - b->z, dy = (double)y - b->y, dx = (double)x - b->x;
    return dz * dz + dy * dy + dx * dx < b->r * b->r ? 1.0 : 0.0;
}

/* Brightness is 1 inside the ball and 0 outside, plus noise with standard deviation 0.2. */
static double bright(int64_t z, int64_t y, int64_t x, const void *user)
{
    u3d_rng r = u3d_rng_at(((const ball *)user)->seed, U3D_RNG_TEST,
                           (uint64_t)((z * U3D_TEST_BALL_SIZE + y) * U3D_TEST_BALL_SIZE + x));
    return u3d_test_ball(z, y, x, user) + 0.2 * u3d_rng_normal(&r);
}

double u3d_test_ball_sparse(int64_t z, int64_t y, int64_t x, const void *user)
{
    bool painted = z % 6 == 4 || y % 6 == 4 || x % 6 == 4;
    return painted ? u3d_test_ball(z, y, x, user) : 255.0;
}

double u3d_test_ball_satellite(int64_t z, int64_t y, int64_t x, const void *user)
{
    bool satellite = z >= 16 && z < 19 && y >= 1 && y < 6 && x >= 1 && x < 6;
    return satellite ? 1.0 : u3d_test_ball(z, y, x, user);
}

static double bright_with_satellite(int64_t z, int64_t y, int64_t x, const void *user)
{
    return bright(z, y, x, user) + u3d_test_ball_satellite(z, y, x, user) - u3d_test_ball(z, y, x, user);
}

static void data_new(u3d_test_run *f, int n, u3d_test_voxel label)
{
    const int64_t size[3] = {U3D_TEST_BALL_SIZE, U3D_TEST_BALL_SIZE, U3D_TEST_BALL_SIZE};
    u3d_test_set_new(&f->set);
    for (int i = 0; i < n; i++) {
        ball b = {8.0 + i % 3, 10.0, 12.0 - i % 2, 5.0 + 0.3 * (i % 6), 7 + (uint64_t)i};
        char id[24];
        (void)snprintf(id, sizeof id, "ball_%d", i);
        u3d_test_set_add(&f->set, id, size, 1,
                         label == u3d_test_ball_satellite ? bright_with_satellite : bright, label, &b);
        f->train[i] = i;
    }
    u3d_test_set_name_label(&f->set, 0, "background");
    u3d_test_set_name_label(&f->set, 1, "ball");
}

void u3d_test_run_new(u3d_test_run *f, int n, u3d_test_voxel label)
{
    static const char *const small[] = {"levels=2",     "base=4",         "patch=16x16x16",
                                        "batch=2",      "optimizer=adam", "lr=0.01",
                                        "momentum=0.9", "average=0.9",    "turn=off"};
    memset(f, 0, sizeof *f);
    data_new(f, n, label);
    f->out = u3d_test_path(f->set.dir, "run");
    f->o = (u3d_train_opts){.out = f->out,
                            .data = &f->set.d,
                            .train = f->train,
                            .n_train = n,
                            .net = "auto",
                            .iterations = 30,
                            .started = u3d_clock(),
                            .seed = 3,
                            .memory_cap = 2000000000,
                            .command_json = "{\"data\": \"balls\"}"};
    f->o.unlabeled_given = label == u3d_test_ball_sparse;
    f->o.unlabeled = 255;
    f->o.dense = label != u3d_test_ball_sparse;
    for (f->o.n_set = 0; f->o.n_set < (int)(sizeof small / sizeof small[0]); f->o.n_set++)
        f->options[f->o.n_set] = small[f->o.n_set];
    f->o.set = f->options;
}

void u3d_test_run_done(u3d_test_run *f)
{
    u3d_free(f->out);
    u3d_test_set_done(&f->set);
}

u3d_status u3d_test_run_train(const u3d_test_run *f, int threads, u3d_train_result *r)
{
    u3d_backend *b = u3d_test_backend("cpu", NULL, threads);
    u3d_status status = u3d_train(b, &f->o, r);
    u3d_backend_close(b);
    return status;
}
