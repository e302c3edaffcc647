/* Tests of learning from what nobody labelled (net/train/train_pseudo.c). In the phantom, a "heart" (a bright
 * disc in a grey ring) lies somewhere near the middle of each volume, and everything that is painted lies
 * near it: strokes in the disc and in the ring, and a background stroke around both. The corners hold bright
 * discs without a ring, about which no stroke says anything. */
#include "tests/support/support_run.h"

#include <math.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/model.h"
#include "net/predict/predict.h"

enum { DEPTH = 6, EDGE = 56, VOLUMES = 6, N = DEPTH * EDGE * EDGE };

typedef struct heart {
    double y, x;
    uint64_t seed;
} heart;

static double distance(double y, double x, double cy, double cx)
{
    return hypot(y - cy, x - cx);
}

static heart heart_of(int i)
{
    return (heart){27.0 + 4 * (i % 3 - 1), 28.0 + 5 * (i % 2), 11 + (uint64_t)i};
}

static double image_of(int64_t z, int64_t y, int64_t x, const void *user)
{
    const heart *h = user;
    const double r = distance((double)y, (double)x, h->y, h->x);
    double value = r < 5 ? 1 : r < 8 ? 0.5 : 0;
    for (int corner = 0; corner < 4; corner++) {
        const double cy = corner / 2 ? 47 : 8, cx = corner % 2 ? 46 : 9;
        if (distance((double)y, (double)x, cy, cx) < 5) value = 1;
    }
    u3d_rng rng = u3d_rng_at(h->seed, U3D_RNG_TEST, (uint64_t)((z * EDGE + y) * EDGE + x));
    return value + 0.1 * u3d_rng_normal(&rng);
}

static double strokes_of(int64_t z, int64_t y, int64_t x, const void *user)
{
    const heart *h = user;
    const double r = distance((double)y, (double)x, h->y, h->x);
    if (z % 2) return 255;
    if (r < 2) return 1;
    if (fabs(r - 6.5) < 0.6 && (double)y > h->y) return 2;
    return fabs(r - 11) < 0.7 ? 0 : 255;
}

/* Of the voxels of the heart, those that get their class; of all others, those that get one. What training
 * says of foreground that no annotation touches. */
typedef struct shares {
    double heart, elsewhere, untouched;
} shares;

/* Predicts a volume that was not trained on. */
static shares predicted(const u3d_test_run *f, u3d_backend *b)
{
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    const heart h = heart_of(VOLUMES - 1);
    u3d_model *m;
    u3d_predictor *p;
    u3d_volume *image, *classes;
    shares s = {0, 0, 0};
    double n_heart = 0, n_elsewhere = 0;
    assert_ok(u3d_model_load(f->out, &m));
    assert_ok(u3d_predictor_open(b, (const u3d_model *const[]){m}, 1, &o, &p));
    assert_ok(u3d_case_read_image(&f->set.d.cases[VOLUMES - 1], &image));
    assert_ok(u3d_intensity_normalise(image, &m->intensity));
    assert_ok(u3d_predict_volume(p, image, &classes, NULL));
    for (int64_t i = 0; i < N; i++) {
        const double r = distance((double)(i / EDGE % EDGE), (double)(i % EDGE), h.y, h.x);
        const int class = ((const uint8_t *)classes->data)[i], is = r < 5 ? 1 : r < 8 ? 2 : 0;
        if (is) s.heart += class == is, n_heart++;
        if (r > 12) s.elsewhere += class > 0, n_elsewhere++;
    }
    u3d_volume_free(image);
    u3d_volume_free(classes);
    u3d_predictor_free(p);
    u3d_model_free(m);
    return (shares){s.heart / n_heart, s.elsewhere / n_elsewhere, 0};
}

static shares trained(const char *pseudo)
{
    static const char *const small[] = {"levels=3",   "base=8",       "patch=32x32x6", "kernel=3x3x1",
                                        "pool=2x2x1", "batch=2",      "lr=0.01",       "average=0.9",
                                        "turn=off",   "augment=flips"};
    const int64_t size[3] = {DEPTH, EDGE, EDGE};
    u3d_test_run f;
    u3d_train_result r;
    u3d_backend *b;
    u3d_test_run_new(&f, 0, u3d_test_ball_sparse);
    u3d_test_set_done(&f.set);
    u3d_test_set_new(&f.set);
    for (int i = 0; i < VOLUMES; i++) {
        const heart h = heart_of(i);
        char id[24];
        (void)snprintf(id, sizeof id, "heart_%d", i);
        u3d_test_set_add(&f.set, id, size, 1, image_of, strokes_of, &h);
        f.train[i] = i;
    }
    u3d_free(f.out);
    f.out = u3d_test_path(f.set.dir, "run");
    f.o.out = f.out;
    f.o.n_train = VOLUMES - 1;
    f.o.unlabeled = 255;
    f.o.iterations = u3d_test_brief() ? 40 : 240;
    memcpy(f.options, small, sizeof small);
    f.o.n_set = (int)(sizeof small / sizeof *small);
    f.options[f.o.n_set++] = pseudo;
    assert_ok(u3d_test_run_train(&f, 2, &r));
    b = u3d_test_backend("cpu", NULL, 2);
    shares s = predicted(&f, b);
    s.untouched = r.untouched;
    u3d_backend_close(b);
    u3d_test_run_done(&f);
    return s;
}

static void nothing_far_from_the_strokes(void **state)
{
    (void)state;
    const shares off = trained("pseudo_labels=off"), on = trained("pseudo_labels=auto");
    print_message("heart %.3f and %.3f, elsewhere %.4f and %.4f, untouched %.3f and %.3f without and with "
                  "pseudo-labels\n",
                  off.heart, on.heart, off.elsewhere, on.elsewhere, off.untouched, on.untouched);
    if (u3d_test_brief()) return;     /* sanitizers see every line; release runs check what was learned */
    assert_true(off.elsewhere > 0.1); /* the failure that pseudo-labels are for */
    assert_true(on.elsewhere < 0.02 && on.heart > 0.85);
    assert_true(off.untouched > 0.3 && on.untouched < 0.1); /* scores on strokes are high in both */
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_ERROR);
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_far_from_the_strokes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
