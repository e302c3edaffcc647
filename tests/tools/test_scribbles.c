/* Tests of tools/commands/scribbles.h and cubes.h: what is kept of dense labels, and that it is right. */
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tools/commands/cubes.h"
#include "tools/commands/scribbles.h"

enum { UNLABELED = 255 };

/* A slice of a heart: a disc (3) in a ring (2), with a crescent (1) beside it, smaller towards the last
 * plane. */
static int32_t heart_at(int64_t z, int64_t y, int64_t x)
{
    const double r = hypot((double)y - 40, (double)x - 48), scale = 1 - 0.08 * (double)z;
    if (r < 10 * scale) return 3;
    if (r < 17 * scale) return 2;
    return hypot((double)y - 40, (double)x - 30) < 16 * scale ? 1 : 0;
}

static int32_t grains_at(int64_t z, int64_t y, int64_t x)
{
    return z % 5 < 3 && y % 5 < 3 && x % 5 < 3 ? 1 + (int32_t)((x / 5 + y / 5) % 2) : 0;
}

/* Two halves, with a rare label of three voxels at the last corner. */
static int32_t halves_at(int64_t z, int64_t y, int64_t x)
{
    return z == 19 && y == 19 && x > 16 ? 77 : x < 10 ? 4 : 5;
}

static int32_t empty_at(int64_t z, int64_t y, int64_t x)
{
    (void)z, (void)y, (void)x;
    return 0;
}

typedef struct shape {
    int32_t (*at)(int64_t z, int64_t y, int64_t x);
    int64_t size[3];
    double spacing[3];
    int axis; /* planes are drawn on across it */
} shape;

static const shape HEART = {heart_at, {8, 80, 96}, {8, 1.5, 1.5}, 0};
static const shape SHAPES[] = {
    {heart_at, {8, 80, 96}, {8, 1.5, 1.5}, 0}, {grains_at, {30, 30, 30}, {1, 1, 1}, 0},
    {halves_at, {20, 20, 20}, {1, 1, 3}, 2},   {heart_at, {1, 80, 96}, {1, 1, 2}, 0},
    {empty_at, {20, 24, 28}, {1, 4, 1}, 1},    {grains_at, {24, 1, 24}, {1, 1, 1}, 1}};
enum { N_SHAPES = sizeof SHAPES / sizeof *SHAPES };

static u3d_volume *dense_make(const shape *s)
{
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_new(s->size, s->spacing, U3D_I32, 1, &v));
    int32_t *label = v->data;
    for (int64_t z = 0; z < s->size[0]; z++)
        for (int64_t y = 0; y < s->size[1]; y++)
            for (int64_t x = 0; x < s->size[2]; x++) *label++ = s->at(z, y, x);
    return v;
}

static u3d_volume *scribble(const shape *s, double share, uint64_t seed)
{
    u3d_volume *v = dense_make(s);
    u3d_rng r = u3d_rng_at(seed, U3D_RNG_TEST, 0);
    int64_t kept, found = 0;
    assert_ok(scribbles_keep(v, share, 0, UNLABELED, &r, &kept));
    for (int64_t i = u3d_volume_voxels(v); i-- > 0;) found += ((int32_t *)v->data)[i] != UNLABELED;
    assert_int_equal(found, kept);
    return v;
}

static int64_t count(const u3d_volume *v, int32_t label)
{
    int64_t n = 0;
    for (int64_t i = u3d_volume_voxels(v); i-- > 0;) n += ((int32_t *)v->data)[i] == label;
    return n;
}

static double share_of(const u3d_volume *v)
{
    return 1 - (double)count(v, UNLABELED) / (double)u3d_volume_voxels(v);
}

static void test_share(void **state)
{
    (void)state;
    for (int k = 0; k < N_SHAPES; k++)
        for (double share = 0.01; share <= 0.2; share *= 4) {
            u3d_volume *v = scribble(&SHAPES[k], share, 1);
            assert_in_range(1000 * share_of(v), 1000 * share / 1.5, 1000 * share * 1.5 + 1);
            u3d_volume_free(v);
        }
}

/* Every voxel that is kept has its own label, and every label of a volume is kept somewhere. */
static void test_labels(void **state)
{
    (void)state;
    for (int k = 0; k < N_SHAPES; k++)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            u3d_volume *dense = dense_make(&SHAPES[k]),
                       *v = scribble(&SHAPES[k], seed == 5 ? 0.001 : 0.01, seed);
            const int32_t *truth = dense->data, *label = v->data;
            for (int64_t i = u3d_volume_voxels(v); i-- > 0;)
                assert_true(label[i] == UNLABELED || label[i] == truth[i]);
            for (int32_t l = 0; l < UNLABELED; l++) assert_int_equal(count(v, l) > 0, count(dense, l) > 0);
            u3d_volume_free(dense);
            u3d_volume_free(v);
        }
}

/* Whether the four neighbours of a voxel in its plane have its label. */
static bool is_inside(int64_t z, int64_t y, int64_t x)
{
    const int32_t label = heart_at(z, y, x);
    return heart_at(z, y - 1, x) == label && heart_at(z, y + 1, x) == label &&
           heart_at(z, y, x - 1) == label && heart_at(z, y, x + 1) == label;
}

/* Strokes lie off the borders, on every plane, two fifths of them in structures; most of the background is
 * close to the structures, and some of it is far away. */
static void test_place(void **state)
{
    (void)state;
    int64_t n[4] = {0}, far = 0, near = 0, border = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        u3d_volume *v = scribble(&HEART, 0.03, seed);
        const int32_t *label = v->data;
        for (int64_t z = 0; z < 8; z++) {
            int64_t here = 0;
            for (int64_t y = 0; y < 80; y++)
                for (int64_t x = 0; x < 96; x++, label++) {
                    if (*label == UNLABELED) continue;
                    here++;
                    n[*label]++;
                    border += !is_inside(z, y, x);
                    const double r = hypot((double)y - 40, (double)x - 40);
                    if (*label == 0) *(r < 32 ? &near : &far) += 1;
                }
            assert_true(here > 0);
        }
        u3d_volume_free(v);
    }
    const int64_t structures = n[1] + n[2] + n[3], all = structures + n[0];
    assert_in_range(structures, all / 3, all / 2);
    for (int k = 1; k <= 3; k++) assert_true(n[k] > structures / 6);
    assert_true(border < all / 50);
    assert_true(near > n[0] / 2);
    assert_true(far > n[0] / 20);
}

/* They are lines: along the row or the column, few voxels have ink on both sides and the next ones. */
static void test_thin(void **state)
{
    (void)state;
    int64_t thick = 0, all = 0;
    u3d_volume *v = scribble(&HEART, 0.01, 1);
    const int32_t *label = v->data;
    for (int64_t i = 96 * 2; i < u3d_volume_voxels(v) - 96 * 2; i++) {
        bool square = true;
        for (int64_t dy = -1; dy <= 1; dy++)
            for (int64_t dx = -1; dx <= 1; dx++) square &= label[i + 96 * dy + dx] != UNLABELED;
        thick += square;
        all += label[i] != UNLABELED;
    }
    assert_true(thick < all / 50);
    u3d_volume_free(v);
}

/* With little ink, whole planes across the coarsest axis stay empty. */
static void test_planes(void **state)
{
    (void)state;
    for (int k = 0; k < N_SHAPES; k++) {
        const shape *s = &SHAPES[k];
        u3d_volume *v = scribble(s, 0.01, 1);
        int64_t used[3] = {0};
        for (int a = 0; a < 3; a++)
            for (int64_t at = 0; at < s->size[a]; at++) {
                bool any = false;
                for (int64_t i = u3d_volume_voxels(v); i-- > 0;) {
                    const int64_t p[3] = {i / (s->size[1] * s->size[2]), i / s->size[2] % s->size[1],
                                          i % s->size[2]};
                    any |= p[a] == at && ((int32_t *)v->data)[i] != UNLABELED;
                }
                used[a] += any;
            }
        for (int a = 0; a < 3; a++)
            if (a != s->axis && s->size[s->axis] > 8) assert_true(used[a] > 2 * used[s->axis]);
        u3d_volume_free(v);
    }
}

static void test_seed(void **state)
{
    (void)state;
    u3d_volume *a = scribble(&HEART, 0.01, 1), *b = scribble(&HEART, 0.01, 1), *c = scribble(&HEART, 0.01, 2);
    const size_t bytes = (size_t)u3d_volume_voxels(a) * sizeof(int32_t);
    assert_memory_equal(a->data, b->data, bytes);
    assert_memory_not_equal(a->data, c->data, bytes);
    u3d_volume_free(a);
    u3d_volume_free(b);
    u3d_volume_free(c);
}

/* The planes of a missing part have the unlabeled value already, and it is no structure. With --background,
 * another label is none. */
static void test_missing_and_background(void **state)
{
    (void)state;
    int64_t kept;
    u3d_volume *v = dense_make(&HEART);
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, 0);
    int32_t *label = v->data;
    for (int64_t i = 0; i < 2 * 80 * 96; i++) label[i] = UNLABELED;
    assert_ok(scribbles_keep(v, 0.01, 0, UNLABELED, &r, &kept));
    assert_in_range(kept, 6 * 80 * 96 / 150, 6 * 80 * 96 / 67);
    for (int64_t i = 0; i < 2 * 80 * 96; i++) assert_int_equal(label[i], UNLABELED);
    u3d_volume_free(v);

    int64_t n[2];
    for (int32_t background = 0; background < 2; background++) {
        v = dense_make(&HEART);
        for (int64_t i = u3d_volume_voxels(v); i-- > 0;) ((int32_t *)v->data)[i]++; /* 1 is the background */
        assert_ok(scribbles_keep(v, 0.02, background, UNLABELED, &r, &kept));
        n[background] = count(v, 2) + count(v, 3) + count(v, 4);
        u3d_volume_free(v);
    }
    assert_true(n[1] > n[0]);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    u3d_status status = U3D_E_NOMEM;
    for (int64_t n = 1; status == U3D_E_NOMEM; n++) {
        int64_t kept;
        u3d_volume *v = dense_make(&HEART);
        u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, 0);
        const int64_t live = u3d_mem_live();
        u3d_mem_fail_at(n);
        status = scribbles_keep(v, 0.01, 0, UNLABELED, &r, &kept);
        u3d_mem_fail_at(0);
        assert_int_equal(u3d_mem_live(), live);
        u3d_volume_free(v);
    }
    assert_ok(status);
}

/* ---- cubes ---- */

static u3d_volume *cubes_in(const shape *s, cubes *c, uint64_t index, int64_t *kept)
{
    u3d_volume *v = dense_make(s);
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, index);
    assert_ok(cubes_keep(v, c, UNLABELED, &r, kept));
    return v;
}

/* One cube of a volume: its voxels are all there is, and fill a box of its size. */
static void test_cube_box(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        int64_t kept, low[3] = {99, 99, 99}, high[3] = {-1, -1, -1};
        cubes c = {.size = {6, 7, 9}, .wanted = 1, .volumes_left = 1};
        u3d_volume *v = cubes_in(&HEART, &c, seed, &kept);
        const int32_t *label = v->data;
        for (int64_t z = 0; z < 8; z++)
            for (int64_t y = 0; y < 80; y++)
                for (int64_t x = 0; x < 96; x++, label++) {
                    const int64_t p[3] = {z, y, x};
                    if (*label == UNLABELED) continue;
                    assert_int_equal(*label, heart_at(z, y, x));
                    for (int a = 0; a < 3; a++) {
                        low[a] = p[a] < low[a] ? p[a] : low[a];
                        high[a] = p[a] > high[a] ? p[a] : high[a];
                    }
                }
        for (int a = 0; a < 3; a++) assert_int_equal(high[a] - low[a] + 1, c.size[a]);
        assert_int_equal(kept, 6 * 7 * 9);
        assert_int_equal(c.on_structures, 1);
        /* the middle is a structure, unless the cube was moved along z, the only axis with little room */
        if (low[0] > 0 && low[0] < 2) assert_true(heart_at(low[0] + 3, low[1] + 3, low[2] + 4) > 0);
        u3d_volume_free(v);
    }
}

/* Cubes share no voxel while there is room, and are as large as the volume if that is smaller. */
static void test_cube_overlap(void **state)
{
    (void)state;
    int64_t kept;
    cubes c = {.size = {20, 10, 10}, .wanted = 12, .volumes_left = 1};
    u3d_volume_free(cubes_in(&HEART, &c, 1, &kept));
    assert_int_equal(c.overlapping, 0);
    assert_int_equal(c.placed, 12);
    assert_int_equal(c.on_structures, 6);
    assert_int_equal(kept, 12 * 8 * 10 * 10);

    cubes full = {.size = {99, 99, 99}, .wanted = 2, .volumes_left = 1};
    u3d_volume_free(cubes_in(&HEART, &full, 1, &kept));
    assert_int_equal(full.overlapping, 1);
    assert_int_equal(kept, 8 * 80 * 96);
}

/* Volumes get one cube each until there are no more. Those without structures get cubes anywhere, and the
 * others make up for it. A volume that could not be read is not counted in volumes_left, so its cubes go to
 * the others. */
static void test_cube_volumes(void **state)
{
    (void)state;
    int64_t kept;
    cubes c = {.size = {4, 4, 4}, .wanted = 3};
    for (int64_t k = 0; k < 5; k++) {
        c.volumes_left = 5 - k;
        u3d_volume *v = cubes_in(k == 0 ? &SHAPES[4] : &HEART, &c, (uint64_t)k, &kept);
        assert_int_equal(kept, k < 3 ? 64 : 0);
        u3d_volume_free(v);
    }
    assert_int_equal(c.placed, 3);
    assert_int_equal(c.volumes, 3);
    assert_int_equal(c.on_structures, 2);

    cubes more = {.size = {4, 4, 4}, .wanted = 7};
    for (int64_t left = 4; left > 0; left--) {
        if (left == 2) continue; /* damaged */
        more.volumes_left = left;
        u3d_volume_free(cubes_in(&HEART, &more, (uint64_t)left, &kept));
    }
    assert_int_equal(more.placed, 7);
    assert_int_equal(more.volumes, 3);
}

/* Half of the cubes are on structures, all of which have the same chance, whatever their size. */
static void test_cube_labels(void **state)
{
    (void)state;
    int rare = 0;
    for (uint64_t k = 1; k <= 60; k++) {
        int64_t kept;
        cubes c = {.background = 4, .size = {3, 3, 3}, .wanted = 1, .volumes_left = 1};
        u3d_volume *v =
            cubes_in(&SHAPES[2], &c, k, &kept); /* structures: half of the volume, and three voxels */
        rare += count(v, 77) > 0;
        u3d_volume_free(v);
    }
    assert_in_range(rare, 18, 42);
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"", "1%", "0.01", "1 %", "1.0%", ".01"}, *const BAD[] = {
                                                                                    "1",   "x",   "0",
                                                                                    "-1%", "0%",  "21%",
                                                                                    "0.3", "1%%", "1%x",
                                                                                    "nan", "%"};
    double share;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        assert_ok(scribbles_parse(GOOD[i], &share));
        assert_true(fabs(share - 0.01) < 1e-12);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(scribbles_parse(BAD[i], &share), U3D_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share),
                                       cmocka_unit_test(test_labels),
                                       cmocka_unit_test(test_place),
                                       cmocka_unit_test(test_thin),
                                       cmocka_unit_test(test_planes),
                                       cmocka_unit_test(test_seed),
                                       cmocka_unit_test(test_missing_and_background),
                                       cmocka_unit_test(test_out_of_memory),
                                       cmocka_unit_test(test_cube_box),
                                       cmocka_unit_test(test_cube_overlap),
                                       cmocka_unit_test(test_cube_volumes),
                                       cmocka_unit_test(test_cube_labels),
                                       cmocka_unit_test(test_parse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
