/* Tests of keeping the largest components of a segmentation (net/volume/components.h), which works on runs of
 * equal voxels. Random volumes are compared with a flood fill, which works voxel by voxel; the rules for
 * connectivity, equal sizes and other classes are checked by hand. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/volume/components.h"

enum { CLASSES = 4 };

static u3d_volume *volume_new(int64_t d, int64_t h, int64_t w)
{
    u3d_volume *v;
    assert_ok(u3d_volume_new((int64_t[]){d, h, w}, (double[]){3, 1, 0.5}, U3D_U8, 1, &v));
    return v;
}

static uint8_t *voxel(const u3d_volume *v, int64_t z, int64_t y, int64_t x)
{
    return (uint8_t *)v->data + (z * v->size[1] + y) * v->size[2] + x;
}

/* ---- flood fill ---- */

typedef struct flood {
    const uint8_t *from;
    int32_t *mark;  /* number of each voxel's component, 0: none yet */
    int64_t *stack; /* voxels whose neighbours must still be visited */
    const int64_t *size;
} flood;

/* Marks the component of the voxel `seed` and returns its size. */
static int64_t flood_from(flood *f, int64_t seed, int32_t number)
{
    int64_t n_stack = 0, voxels = 0;
    f->mark[seed] = number;
    f->stack[n_stack++] = seed;
    while (n_stack > 0) {
        int64_t at = f->stack[--n_stack], x = at % f->size[2], y = at / f->size[2] % f->size[1],
                z = at / (f->size[2] * f->size[1]);
        voxels++;
        for (int i = 0; i < 27; i++) {
            int64_t oz = z + i / 9 - 1, oy = y + i / 3 % 3 - 1, ox = x + i % 3 - 1;
            if (oz < 0 || oy < 0 || ox < 0 || oz >= f->size[0] || oy >= f->size[1] || ox >= f->size[2])
                continue;
            int64_t to = (oz * f->size[1] + oy) * f->size[2] + ox;
            if (f->from[to] != f->from[at] || f->mark[to]) continue;
            f->mark[to] = number;
            f->stack[n_stack++] = to;
        }
    }
    return voxels;
}

/* Does the same as u3d_components_keep_largest, but returns a new array and leaves v as it is. */
static uint8_t *expected(const u3d_volume *v, const bool *wanted, int n_classes, u3d_kept *kept)
{
    int64_t n = u3d_volume_voxels(v), largest[256] = {0};
    int64_t *sizes = u3d_new((size_t)n + 1, sizeof *sizes);
    uint8_t *out = u3d_new((size_t)n, 1);
    flood f = {.from = v->data, .size = v->size};
    f.mark = u3d_new((size_t)n, sizeof *f.mark);
    f.stack = u3d_new((size_t)n, sizeof *f.stack);
    assert_true(sizes && out && f.mark && f.stack);
    memset(kept, 0, (size_t)n_classes * sizeof *kept);
    int32_t number = 0;
    for (int64_t i = 0; i < n; i++) {
        uint8_t class = f.from[i];
        if (class >= n_classes || !wanted[class] || f.mark[i]) continue;
        number++;
        sizes[number] = flood_from(&f, i, number);
        if (sizes[number] > largest[class]) largest[class] = sizes[number];
        kept[class].components++;
    }
    int32_t last_removed = 0; /* components are numbered in the order of their first voxels */
    for (int64_t i = 0; i < n; i++) {
        uint8_t class = f.from[i];
        out[i] = class;
        if (!f.mark[i] || sizes[f.mark[i]] == largest[class]) continue;
        out[i] = 0;
        kept[class].voxels++;
        if (f.mark[i] > last_removed) {
            last_removed = f.mark[i];
            kept[class].removed++;
        }
    }
    u3d_free(sizes);
    u3d_free(f.mark);
    u3d_free(f.stack);
    return out;
}

static void check(u3d_volume *v, const bool *wanted, int n_classes)
{
    u3d_kept want[256], got[256];
    uint8_t *out = expected(v, wanted, n_classes, want);
    assert_ok(u3d_components_keep_largest(v, wanted, n_classes, got));
    for (int64_t i = 0; i < u3d_volume_voxels(v); i++)
        if (((uint8_t *)v->data)[i] != out[i])
            fail_msg("volume of %lldx%lldx%lld: voxel %lld is %d, expected %d", (long long)v->size[0],
                     (long long)v->size[1], (long long)v->size[2], (long long)i, ((uint8_t *)v->data)[i],
                     out[i]);
    for (int k = 0; k < n_classes; k++) assert_memory_equal(&got[k], &want[k], sizeof want[k]);
    u3d_free(out);
}

static void random_volumes(void **state)
{
    (void)state;
    const bool all[CLASSES] = {false, true, true, true}, some[CLASSES] = {false, false, true, false};
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    for (int trial = 0; trial < 400; trial++) {
        u3d_volume *v =
            volume_new(1 + u3d_rng_below(&r, 12), 1 + u3d_rng_below(&r, 12), 1 + u3d_rng_below(&r, 40));
        int64_t filled = 1 + u3d_rng_below(&r, 99); /* per cent, below and above percolation */
        for (int64_t i = 0; i < u3d_volume_voxels(v); i++)
            if (u3d_rng_below(&r, 100) < filled)
                ((uint8_t *)v->data)[i] =
                    (uint8_t)(trial % 7 ? u3d_rng_below(&r, CLASSES) : 1 + (trial / 7) % 3);
        check(v, trial % 3 ? all : some, CLASSES);
        u3d_volume_free(v);
    }
}

/* Balls, as in the output of a network, where most voxels are in long runs. */
static void blobs(void **state)
{
    (void)state;
    const bool all[CLASSES] = {false, true, true, true};
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2);
    for (int trial = 0; trial < 10; trial++) {
        u3d_volume *v = volume_new(40, 50, 60);
        for (int blob = 0; blob < 30; blob++) {
            int64_t c[3], radius = 1 + u3d_rng_below(&r, 7), class = u3d_rng_below(&r, CLASSES);
            for (int a = 0; a < 3; a++) c[a] = u3d_rng_below(&r, v->size[a]);
            for (int64_t z = 0; z < 40; z++)
                for (int64_t y = 0; y < 50; y++)
                    for (int64_t x = 0; x < 60; x++) {
                        int64_t d[3] = {z - c[0], y - c[1], x - c[2]};
                        if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] <= radius * radius)
                            *voxel(v, z, y, x) = (uint8_t) class;
                    }
        }
        check(v, all, CLASSES);
        u3d_volume_free(v);
    }
}

/* ---- components and annotation ---- */

/* Does the same as u3d_components_keep_annotated, but returns a new array. */
static uint8_t *expected_annotated(const u3d_volume *v, const u3d_volume *annotation, int n_classes,
                                   double one_object, u3d_kept *kept)
{
    const int64_t n = u3d_volume_voxels(v);
    const uint8_t *said = annotation->data;
    int64_t *hits = u3d_new((size_t)n + 1, sizeof *hits);
    uint8_t *out = u3d_new((size_t)n, 1);
    flood f = {.from = v->data, .size = v->size};
    f.mark = u3d_new((size_t)n, sizeof *f.mark);
    f.stack = u3d_new((size_t)n, sizeof *f.stack);
    assert_true(hits && out && f.mark && f.stack);
    memset(kept, 0, (size_t)n_classes * sizeof *kept);
    memcpy(out, v->data, (size_t)n);
    int32_t number = 0;
    for (int64_t i = 0; i < n; i++)
        if (!f.mark[i]) (void)flood_from(&f, i, ++number);
    for (int64_t i = 0; i < n; i++) hits[f.mark[i]] += said[i] == f.from[i];
    for (int k = 1; k < n_classes; k++) {
        int64_t all = 0, most = 0, last = 0, last_removed = 0;
        for (int64_t i = 0; i < n; i++) {
            if (f.from[i] != k) continue;
            all += said[i] == k;
            if (hits[f.mark[i]] > most) most = hits[f.mark[i]];
        }
        if (all == 0 || (double)most < one_object * (double)all) continue;
        for (int64_t i = 0; i < n; i++) {
            if (f.from[i] != k) continue;
            if (f.mark[i] > last) kept[k].components++, last = f.mark[i];
            if (hits[f.mark[i]] > 0) continue;
            out[i] = 0;
            kept[k].voxels++;
            if (f.mark[i] > last_removed) kept[k].removed++, last_removed = f.mark[i];
        }
    }
    u3d_free(hits);
    u3d_free(f.mark);
    u3d_free(f.stack);
    return out;
}

static void annotated_components_of_random_volumes(void **state)
{
    (void)state;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 3);
    int cleared = 0, left = 0;
    for (int trial = 0; trial < 300; trial++) {
        const int64_t d = 1 + u3d_rng_below(&r, 6), h = 1 + u3d_rng_below(&r, 12),
                      w = 1 + u3d_rng_below(&r, 30);
        u3d_volume *v = volume_new(d, h, w), *said = volume_new(d, h, w);
        const int64_t filled = 20 + u3d_rng_below(&r, 60), annotated = u3d_rng_below(&r, 30);
        for (int64_t i = 0; i < u3d_volume_voxels(v); i++) {
            ((uint8_t *)v->data)[i] =
                u3d_rng_below(&r, 100) < filled ? (uint8_t)u3d_rng_below(&r, CLASSES) : (uint8_t)(i % 7 / 6);
            ((uint8_t *)said->data)[i] =
                u3d_rng_below(&r, 100) < annotated ? (uint8_t)u3d_rng_below(&r, CLASSES) : 255;
        }
        const double one_object = 0.1 * (double)u3d_rng_below(&r, 11);
        u3d_kept want[CLASSES], got[CLASSES];
        uint8_t *out = expected_annotated(v, said, CLASSES, one_object, want);
        assert_ok(u3d_components_keep_annotated(v, said, CLASSES, one_object, got));
        assert_memory_equal(v->data, out, (size_t)u3d_volume_voxels(v));
        for (int k = 0; k < CLASSES; k++) {
            assert_memory_equal(&got[k], &want[k], sizeof want[k]);
            cleared += got[k].removed > 0;
            left += k > 0 && got[k].components == 0;
        }
        u3d_free(out);
        u3d_volume_free(v);
        u3d_volume_free(said);
    }
    assert_true(cleared > 20 && left > 20); /* both rules were met often */
}

/* Class 1 is annotated in one of its two components, so the other one is cleared. Class 2 is annotated in two
 * components, as cells are, so a third one stays. */
static void one_object_or_many(void **state)
{
    (void)state;
    u3d_kept kept[3];
    u3d_volume *v = volume_new(1, 1, 16), *said = volume_new(1, 1, 16);
    memcpy(v->data, (uint8_t[16]){1, 1, 0, 1, 1, 1, 0, 2, 2, 0, 2, 2, 0, 2, 0, 1}, 16);
    memset(said->data, 255, 16);
    *voxel(said, 0, 0, 1) = 1;
    *voxel(said, 0, 0, 7) = *voxel(said, 0, 0, 10) = 2;
    *voxel(said, 0, 0, 13) = 1; /* predicted as another class: says nothing about components */
    assert_ok(u3d_components_keep_annotated(v, said, 3, 0.95, kept));
    assert_memory_equal(v->data, ((uint8_t[16]){1, 1, 0, 0, 0, 0, 0, 2, 2, 0, 2, 2, 0, 2, 0, 0}), 16);
    assert_true(kept[1].components == 3 && kept[1].removed == 2 && kept[1].voxels == 4);
    assert_true(kept[2].components == 0 && kept[2].removed == 0);
    u3d_volume_free(v);
    u3d_volume_free(said);
}

/* Classes 1 and 2 side by side are one piece of foreground; class 2 also has a stray voxel. */
static void the_foreground_as_a_whole(void **state)
{
    (void)state;
    u3d_kept kept;
    double share[4];
    u3d_volume *v = volume_new(1, 2, 10), *said = volume_new(1, 2, 10);
    memcpy(v->data, (uint8_t[20]){1, 1, 2, 2, 0, 0, 1, 1, 1, 0, /**/ 0, 0, 2, 0, 0, 0, 0, 0, 0, 2}, 20);
    memset(said->data, 255, 20);
    *voxel(said, 0, 0, 0) = *voxel(said, 0, 0, 6) = *voxel(said, 0, 0, 8) = 1;
    *voxel(said, 0, 0, 3) = *voxel(said, 0, 1, 9) = *voxel(said, 0, 1, 2) = 2;
    *voxel(said, 0, 0, 5) = 3; /* not predicted as 3 */
    assert_ok(u3d_components_largest_share(v, said, 4, share));
    u3d_test_close(share[1], 2.0 / 3, 1e-12); /* the largest component of class 1 is the one on the right */
    u3d_test_close(share[2], 2.0 / 3, 1e-12);
    assert_true(isnan(share[3]));
    u3d_test_close(share[0], 3.0 / 6, 1e-12);
    assert_ok(u3d_components_keep_foreground(v, 4, &kept));
    assert_memory_equal(v->data, ((uint8_t[20]){1, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}),
                        20);
    assert_true(kept.components == 2 && kept.removed == 1 && kept.voxels == 4);
    assert_ok(u3d_components_largest_share(v, v, 4, share)); /* dense labels */
    assert_true(share[0] == 1 && share[1] == 1 && share[2] == 1 && isnan(share[3]));
    u3d_volume_free(v);
    u3d_volume_free(said);
}

/* ---- by hand ---- */

static int64_t count(const u3d_volume *v, uint8_t class)
{
    int64_t n = 0;
    for (int64_t i = 0; i < u3d_volume_voxels(v); i++) n += ((const uint8_t *)v->data)[i] == class;
    return n;
}

static void corners_connect_and_borders_do_not(void **state)
{
    (void)state;
    const bool wanted[2] = {false, true};
    u3d_kept kept[2];
    for (int i = 0; i < 27; i++) { /* two voxels that touch in one of 26 directions, and a single voxel */
        if (i == 13) continue;
        u3d_volume *v = volume_new(5, 5, 9);
        *voxel(v, 2, 2, 2) = *voxel(v, 2 + i / 9 - 1, 2 + i / 3 % 3 - 1, 2 + i % 3 - 1) = *voxel(v, 2, 2, 7) =
            1;
        assert_ok(u3d_components_keep_largest(v, wanted, 2, kept));
        assert_true(kept[1].components == 2 && kept[1].removed == 1 && kept[1].voxels == 1);
        assert_true(*voxel(v, 2, 2, 2) == 1 && *voxel(v, 2, 2, 7) == 0);
        u3d_volume_free(v);
    }
    /* The end of a row does not touch the start of the next row. The same applies to planes. */
    u3d_volume *v = volume_new(4, 4, 5);
    *voxel(v, 3, 0, 4) = *voxel(v, 3, 1, 0) = *voxel(v, 0, 3, 4) = *voxel(v, 1, 0, 0) = 1;
    *voxel(v, 3, 3, 2) = *voxel(v, 3, 3, 3) = 1;
    assert_ok(u3d_components_keep_largest(v, wanted, 2, kept));
    assert_true(kept[1].components == 5 && kept[1].removed == 4 && count(v, 1) == 2);
    u3d_volume_free(v);
}

static void of_equals_all_stay(void **state)
{
    (void)state;
    const bool wanted[2] = {false, true};
    u3d_kept kept[2];
    u3d_volume *v = volume_new(1, 1, 20);
    memcpy(v->data, (uint8_t[20]){1, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1}, 20);
    assert_ok(u3d_components_keep_largest(v, wanted, 2, kept));
    assert_memory_equal(v->data, ((uint8_t[20]){1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1}),
                        20);
    assert_true(kept[1].components == 5 && kept[1].removed == 2 && kept[1].voxels == 3);
    u3d_volume_free(v);
}

/* Classes that are not wanted and values that are not classes must not change, nor must empty volumes. */
static void the_rest_is_left_alone(void **state)
{
    (void)state;
    const bool wanted[3] = {false, false, true}, none[3] = {false};
    u3d_volume *v = volume_new(1, 1, 12);
    memcpy(v->data, (uint8_t[12]){1, 0, 1, 2, 2, 0, 2, 9, 0, 9, 9, 255}, 12);
    assert_ok(u3d_components_keep_largest(v, none, 3, NULL));
    assert_memory_equal(v->data, ((uint8_t[12]){1, 0, 1, 2, 2, 0, 2, 9, 0, 9, 9, 255}), 12);
    assert_ok(u3d_components_keep_largest(v, wanted, 3, NULL));
    assert_memory_equal(v->data, ((uint8_t[12]){1, 0, 1, 2, 2, 0, 0, 9, 0, 9, 9, 255}), 12);
    memset(v->data, 0, 12);
    assert_ok(u3d_components_keep_largest(v, wanted, 3, NULL));
    assert_int_equal(count(v, 0), 12);
    u3d_volume_free(v);
}

/* A block of class 2, and columns of class 1 along z. The columns of one row are the teeth of a comb, which
 * are connected only by a spine in the last plane, so that components are united as late as possible. */
static void a_huge_component(void **state)
{
    (void)state;
    const bool wanted[3] = {false, true, true};
    u3d_kept kept[3];
    u3d_volume *v = volume_new(160, 200, 220);
    for (int64_t z = 0; z < 160; z++)
        for (int64_t y = 0; y < 200; y++)
            for (int64_t x = 0; x < 220; x++) {
                bool spine = z == 159 && y == 199, tooth = x % 2 == 0 && y % 2 == 1;
                *voxel(v, z, y, x) = z < 100 && y < 150 ? 2 : spine || (tooth && y > 150) ? 1 : 0;
            }
    int64_t teeth = count(v, 1);
    *voxel(v, 130, 20, 20) = 2;
    *voxel(v, 130, 40, 20) = 1;
    assert_ok(u3d_components_keep_largest(v, wanted, 3, kept));
    assert_true(kept[2].components == 2 && kept[2].voxels == 1 && count(v, 2) == 100LL * 150 * 220);
    /* The spine joins the 110 teeth of its own row, y = 199; all others are components of 160 voxels. */
    assert_true(kept[1].components > 1000 && count(v, 1) < teeth && *voxel(v, 159, 199, 1) == 1);
    assert_true(*voxel(v, 0, 199, 0) == 1 && *voxel(v, 0, 197, 0) == 0 && *voxel(v, 130, 40, 20) == 0);
    assert_int_equal(count(v, 1), 110 * 160 + 110);
    u3d_volume_free(v);
}

static void running_out_of_memory(void **state)
{
    (void)state;
    const bool wanted[2] = {false, true};
    u3d_volume *v = volume_new(2, 2, 6);
    *voxel(v, 0, 0, 0) = *voxel(v, 1, 1, 4) = *voxel(v, 1, 1, 5) = 1;
    int64_t live = u3d_mem_live();
    int failures = 0;
    for (int n = 1; n < 10; n++) {
        u3d_mem_fail_at(n);
        u3d_status status = u3d_components_keep_largest(v, wanted, 2, NULL);
        u3d_mem_fail_at(0);
        assert_int_equal(u3d_mem_live(), live);
        if (status == U3D_OK) break;
        assert_int_equal(status, U3D_E_NOMEM);
        assert_int_equal(count(v, 1), 3);
        failures++;
    }
    assert_true(failures > 0 && count(v, 1) == 2);
    u3d_volume_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_volumes),
        cmocka_unit_test(blobs),
        cmocka_unit_test(annotated_components_of_random_volumes),
        cmocka_unit_test(one_object_or_many),
        cmocka_unit_test(the_foreground_as_a_whole),
        cmocka_unit_test(corners_connect_and_borders_do_not),
        cmocka_unit_test(of_equals_all_stay),
        cmocka_unit_test(the_rest_is_left_alone),
        cmocka_unit_test(a_huge_component),
        cmocka_unit_test(running_out_of_memory),
    };
    u3d_test_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
