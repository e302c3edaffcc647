/* Tests of predicting whole volumes (net/predict/, net/volume/tiling.h): tiles cover every voxel, stitching
 * gives the same weighted means as a naive sum, tiles of a valid network join without seams, mirrored copies
 * are averaged, and stops and failing allocations leak no memory. */
#include "tests/support/support.h"
#include "tests/support/support_machine.h"

#include "engine/base/mem.h"
#include "net/predict/predict.h"

#include <math.h>
#include <string.h>

/* Checks the tiles of one volume: their sizes and order, and how often each voxel is covered. */
static void cover(const int64_t volume[3], const int64_t in[3], const int64_t out[3], bool valid, double step)
{
    u3d_tile *tiles;
    int n;
    assert_ok(u3d_tiling_make(volume, in, out, valid, step, &tiles, &n));
    uint8_t *hits = u3d_new((size_t)(volume[0] * volume[1] * volume[2]), 1);
    assert_non_null(hits);
    for (int i = 0; i < n; i++) {
        const u3d_tile *t = &tiles[i];
        assert_true(i == 0 || tiles[i - 1].out.start[0] <= t->out.start[0]);
        for (int a = 0; a < 3; a++) {
            assert_true(t->in.size[a] == in[a] && t->out.size[a] == out[a]);
            assert_true(t->out.start[a] - t->in.start[a] == (in[a] - out[a]) / 2);
            if (!valid && volume[a] >= out[a])
                assert_true(t->out.start[a] >= 0 && t->out.start[a] + out[a] <= volume[a]);
        }
        for (int64_t z = 0; z < out[0]; z++)
            for (int64_t y = 0; y < out[1]; y++)
                for (int64_t x = 0; x < out[2]; x++) {
                    const int64_t at[3] = {t->out.start[0] + z, t->out.start[1] + y, t->out.start[2] + x};
                    if (at[0] < 0 || at[1] < 0 || at[2] < 0 || at[0] >= volume[0] || at[1] >= volume[1] ||
                        at[2] >= volume[2])
                        continue;
                    uint8_t *hit = &hits[(at[0] * volume[1] + at[1]) * volume[2] + at[2]];
                    if (*hit < 255) ++*hit;
                }
    }
    for (int64_t v = 0; v < volume[0] * volume[1] * volume[2]; v++) {
        assert_true(hits[v] >= 1);
        if (valid) assert_int_equal(hits[v], 1);
    }
    u3d_free(hits);
    u3d_free(tiles);
}

static void tiles_cover_every_voxel(void **state)
{
    (void)state;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    for (int i = 0; i < 200; i++) {
        int64_t volume[3], out[3], in[3];
        for (int a = 0; a < 3; a++) {
            volume[a] = 1 + u3d_rng_below(&r, 40);
            out[a] = 1 + u3d_rng_below(&r, 20);
            in[a] = out[a] + 2 * u3d_rng_below(&r, 10);
        }
        cover(volume, in, out, true, 1);
        cover(volume, out, out, false, 0.25 + 0.75 * u3d_rng_uniform(&r));
    }
    u3d_tile *tiles;
    int n;
    assert_status(u3d_tiling_make((int64_t[]){8, 8, 8}, (int64_t[]){4, 4, 4}, (int64_t[]){4, 4, 4}, false, 0,
                                  &tiles, &n),
                  U3D_E_ARG);
}

/* The example in nnU-Net v2's source: for 110 voxels, a patch of 64 and a step of 0.5, tiles start at 0, 23
 * and 46. */
static void steps_are_spread_evenly(void **state)
{
    (void)state;
    u3d_tile *tiles;
    int n;
    const int64_t volume[3] = {64, 64, 110}, patch[3] = {64, 64, 64};
    assert_ok(u3d_tiling_make(volume, patch, patch, false, 0.5, &tiles, &n));
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(tiles[i].out.start[2], 23 * i);
    u3d_free(tiles);
}

enum { LABELS = 3 };

/* Computes the same mean as u3d_stitch, but adds all tiles to sums for the whole volume. */
static void stitch_naive(const u3d_stitch_opts *o, const float *p, double *mean)
{
    const int64_t *v = o->volume, *t = o->net_out, n = v[0] * v[1] * v[2], each = t[0] * t[1] * t[2] * LABELS;
    double *weight = u3d_new((size_t)n, sizeof *weight);
    assert_non_null(weight);
    memset(mean, 0, (size_t)(n * LABELS) * sizeof *mean);
    for (int i = 0; i < o->n_tiles; i++)
        for (int64_t q = 0; q < each / LABELS; q++) {
            const int64_t at[3] = {q / (t[1] * t[2]), q / t[2] % t[1], q % t[2]};
            int64_t to = 0;
            double w = 1;
            bool inside = true;
            for (int a = 0; a < 3; a++) {
                const int64_t c = o->tiles[i].out.start[a] + at[a];
                const double d = ((double)at[a] - (double)(t[a] / 2)) / ((double)t[a] / 8);
                inside &= c >= 0 && c < v[a];
                to = to * v[a] + c;
                if (o->gaussian) w *= fmax(exp(-0.5 * d * d), 1e-4);
            }
            if (!inside) continue;
            weight[to] += w;
            for (int k = 0; k < LABELS; k++)
                mean[to * LABELS + k] += w * (double)p[i * each + q * LABELS + k];
        }
    for (int64_t i = 0; i < n * LABELS; i++) mean[i] /= weight[i / LABELS];
    u3d_free(weight);
}

static void stitch_case(const int64_t volume[3], const int64_t patch[3], bool gaussian)
{
    u3d_tile *tiles;
    u3d_volume *classes, *kept;
    u3d_stitch *s;
    int n;
    assert_ok(u3d_tiling_make(volume, patch, patch, !gaussian, 0.5, &tiles, &n));
    const int64_t each = patch[0] * patch[1] * patch[2] * LABELS, voxels = volume[0] * volume[1] * volume[2];
    float *p = u3d_new((size_t)(n * each), sizeof *p);
    double *mean = u3d_new((size_t)(voxels * LABELS), sizeof *mean);
    assert_true(p && mean);
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2);
    for (int64_t i = 0; i < n * each; i++) p[i] = (float)u3d_rng_uniform(&r);
    assert_ok(u3d_volume_new(volume, (double[]){1, 1, 1}, U3D_U8, 1, &classes));
    assert_ok(u3d_volume_new(volume, (double[]){1, 1, 1}, U3D_F32, LABELS, &kept));
    u3d_stitch_opts o = {
        .labels = LABELS, .gaussian = gaussian, .tiles = tiles, .n_tiles = n, .probabilities = kept};
    memcpy(o.volume, volume, sizeof o.volume);
    memcpy(o.net_out, patch, sizeof o.net_out);
    assert_ok(u3d_stitch_new(&o, classes, &s));
    for (int i = 0; i < n; i++) assert_ok(u3d_stitch_add(s, i, p + i * each));
    assert_ok(u3d_stitch_finish(s));
    stitch_naive(&o, p, mean);
    for (int64_t v = 0; v < voxels; v++) {
        int best = 0;
        for (int k = 0; k < LABELS; k++) {
            const float got = ((float *)kept->data)[v * LABELS + k];
            assert_true(fabs((double)got - mean[v * LABELS + k]) < 1e-5);
            if (mean[v * LABELS + k] > mean[v * LABELS + best] + 1e-6) best = k;
        }
        const int chosen = ((uint8_t *)classes->data)[v];
        assert_true(mean[v * LABELS + chosen] >= mean[v * LABELS + best] - 1e-5);
    }
    u3d_stitch_free(s);
    u3d_volume_free(classes);
    u3d_volume_free(kept);
    u3d_free(p);
    u3d_free(mean);
    u3d_free(tiles);
}

static void slabs_give_the_naive_mean(void **state)
{
    (void)state;
    stitch_case((int64_t[]){23, 17, 19}, (int64_t[]){8, 8, 8}, true);
    stitch_case((int64_t[]){23, 17, 19}, (int64_t[]){8, 6, 4}, false);
    stitch_case((int64_t[]){5, 6, 7}, (int64_t[]){8, 8, 8}, true); /* smaller than a patch */
    stitch_case((int64_t[]){40, 6, 7}, (int64_t[]){9, 8, 3}, true);
}

static void damaged_probabilities_are_noticed(void **state)
{
    (void)state;
    const int64_t size[3] = {4, 4, 4};
    u3d_tile *tiles;
    u3d_volume *classes;
    u3d_stitch *s;
    float p[4 * 4 * 4 * LABELS] = {0};
    int n;
    p[17] = NAN;
    assert_ok(u3d_tiling_make(size, size, size, true, 1, &tiles, &n));
    assert_ok(u3d_volume_new(size, (double[]){1, 1, 1}, U3D_U8, 1, &classes));
    u3d_stitch_opts o = {
        .volume = {4, 4, 4}, .net_out = {4, 4, 4}, .labels = LABELS, .tiles = tiles, .n_tiles = n};
    assert_ok(u3d_stitch_new(&o, classes, &s));
    assert_ok(u3d_stitch_add(s, 0, p));
    assert_status(u3d_stitch_finish(s), U3D_E_NUMERIC);
    u3d_stitch_free(s);
    u3d_volume_free(classes);
    u3d_free(tiles);
}

/* ---- whole volumes through a network with random weights ---- */

typedef struct fixture {
    u3d_backend *backend;
    u3d_model model;
    u3d_test_machine machine;
    u3d_predictor *predictor;
} fixture;

static void fixture_open(fixture *f, const char *const *set, int n_set, bool tta)
{
    const u3d_plan_opts po = {0};
    const u3d_predict_opts o = {.step = 0.5, .tta = tta};
    memset(f, 0, sizeof *f);
    f->backend = u3d_test_cpu();
    u3d_config_default(&f->model.config);
    for (int i = 0; i < n_set; i++) assert_ok(u3d_config_set(&f->model.config, set[i]));
    const u3d_config *c = &f->model.config;
    assert_ok(u3d_unet3d_build(c, NULL, U3D_MODE_INFER, 1, c->patch, true, &f->machine.net));
    u3d_test_machine_open(f->backend, &po, 1u << U3D_BLOCK_VALUE, 7, &f->machine);
    assert_ok(u3d_predictor_borrow(f->machine.exec, &f->machine.net, &f->model, &o, &f->predictor));
}

static void fixture_close(fixture *f)
{
    u3d_predictor_free(f->predictor);
    u3d_test_machine_close(&f->machine);
    u3d_backend_close(f->backend);
}

static u3d_volume *random_volume(const int64_t size[3])
{
    u3d_volume *v;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 3);
    assert_ok(u3d_volume_new(size, (double[]){1, 1, 1}, U3D_F32, 1, &v));
    u3d_test_normal(&r, v->data, u3d_volume_voxels(v));
    return v;
}

static void volumes_near(const u3d_volume *a, const u3d_volume *b)
{
    u3d_test_near("probabilities", a->data, b->data, u3d_volume_voxels(a) * a->channels, 1e-5);
}

/* If the tiles of a valid network start at multiples of the pooling, they must give the same probabilities as
 * a single large tile. */
static void valid_networks_are_seamless(void **state)
{
    (void)state;
    static const char *const SMALL[] = {"padding=valid", "norm=none",  "levels=2",      "base=4",
                                        "labels=3",      "channels=1", "patch=24x28x32"};
    static const char *const LARGE[] = {"padding=valid", "norm=none",  "levels=2",      "base=4",
                                        "labels=3",      "channels=1", "patch=48x48x48"};
    fixture small, large;
    u3d_volume *image = random_volume((int64_t[]){20, 23, 26}), *c1, *c2, *p1, *p2;
    fixture_open(&small, SMALL, 7, false);
    fixture_open(&large, LARGE, 7, false);
    assert_true(small.machine.net.out[2] < 26 && large.machine.net.out[0] >= 26);
    assert_ok(u3d_predict_volume(small.predictor, image, &c1, &p1));
    assert_ok(u3d_predict_volume(large.predictor, image, &c2, &p2));
    volumes_near(p1, p2);
    u3d_volume_free(c1);
    u3d_volume_free(c2);
    u3d_volume_free(p1);
    u3d_volume_free(p2);
    u3d_volume_free(image);
    fixture_close(&small);
    fixture_close(&large);
}

/* If the predictions of all mirrored copies are averaged, a mirrored volume must give the mirrored result. */
static void mirrored_copies_make_the_answer_symmetric(void **state)
{
    (void)state;
    static const char *const SET[] = {"levels=2",   "base=4",         "labels=3",
                                      "channels=1", "patch=16x16x16", "mirror=xyz"};
    fixture f;
    const int64_t size[3] = {16, 16, 16};
    u3d_volume *image = random_volume(size), *mirrored = random_volume(size), *c1, *c2, *p1, *p2;
    const float *v = image->data;
    float *m = mirrored->data;
    for (int64_t i = 0; i < 4096; i++) m[i] = v[i - i % 16 + 15 - i % 16];
    fixture_open(&f, SET, 6, true);
    assert_ok(u3d_predict_volume(f.predictor, image, &c1, &p1));
    assert_ok(u3d_predict_volume(f.predictor, mirrored, &c2, &p2));
    float *back = u3d_new(4096 * 3, sizeof *back);
    assert_non_null(back);
    for (int64_t i = 0; i < 4096; i++)
        memcpy(back + i * 3, (float *)p2->data + (i - i % 16 + 15 - i % 16) * 3, 3 * sizeof *back);
    u3d_test_near("mirrored", back, p1->data, 4096 * 3, 1e-5);
    u3d_free(back);
    u3d_volume_free(c1);
    u3d_volume_free(c2);
    u3d_volume_free(p1);
    u3d_volume_free(p2);
    u3d_volume_free(image);
    u3d_volume_free(mirrored);
    fixture_close(&f);
}

static void a_stop_is_obeyed_and_leaks_nothing(void **state)
{
    (void)state;
    static const char *const SET[] = {"levels=2", "base=4", "labels=2", "channels=1", "patch=8x8x8"};
    volatile int stop = 1;
    fixture f;
    u3d_volume *image = random_volume((int64_t[]){20, 20, 20}), *classes;
    fixture_open(&f, SET, 5, false);
    u3d_predictor_free(f.predictor);
    const u3d_predict_opts o = {.step = 0.5, .stop = &stop};
    assert_ok(u3d_predictor_borrow(f.machine.exec, &f.machine.net, &f.model, &o, &f.predictor));
    const int64_t live = u3d_mem_live();
    assert_status(u3d_predict_volume(f.predictor, image, &classes, NULL), U3D_E_CANCELLED);
    assert_null(classes);
    assert_int_equal(u3d_mem_live(), live);
    for (int64_t n = 1;; n++) { /* a failing allocation must be an error and must leak nothing */
        stop = 0;
        u3d_mem_fail_at(n);
        const u3d_status status = u3d_predict_volume(f.predictor, image, &classes, NULL);
        u3d_mem_fail_at(0);
        if (status == U3D_OK) break;
        assert_int_equal(status, U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_volume_free(classes);
    u3d_volume_free(image);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_cover_every_voxel),
        cmocka_unit_test(steps_are_spread_evenly),
        cmocka_unit_test(slabs_give_the_naive_mean),
        cmocka_unit_test(damaged_probabilities_are_noticed),
        cmocka_unit_test(valid_networks_are_seamless),
        cmocka_unit_test(mirrored_copies_make_the_answer_symmetric),
        cmocka_unit_test(a_stop_is_obeyed_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
