/* Tests of the plan that `--net auto` makes from the data (net/model/autoplan.h): what nnU-Net plans for one
 * data set, anisotropic data, single slices, and the limits set by time, memory and the user's settings.
 *
 * Sizes and spacings of the data are given in the order x, y, z, as in NIfTI files. */
#include "tests/support/support.h"

#include <string.h>

#include "engine/base/mem.h"
#include "net/model/autoplan.h"
#include "net/model/unet3d.h"

static const uint64_t PLENTY = 8000000000;

static u3d_data_facts facts_of(double x, double y, double z, double sx, double sy, double sz)
{
    return (u3d_data_facts){.channels = 1, .size = {z, y, x}, .spacing = {sz, sy, sx}};
}

static u3d_config plan(const u3d_data_facts *facts, const char *const *set, int n_set, uint64_t memory,
                       double time_s)
{
    u3d_config c;
    char *why;
    u3d_backend *b = u3d_test_cpu();
    assert_ok(u3d_config_preset(&c, "auto"));
    for (int i = 0; i < n_set; i++) assert_ok(u3d_config_set(&c, set[i]));
    assert_ok(u3d_autoplan(&c, facts, 3, set, n_set, memory, time_s, 0, b, &why));
    assert_non_null(strstr(why, "patch: "));
    assert_non_null(strstr(why, "levels: "));
    assert_ok(u3d_config_check(&c));
    u3d_free(why);
    u3d_backend_close(b);
    return c;
}

static void assert_axes(const int32_t got[3], int32_t x, int32_t y, int32_t z)
{
    assert_int_equal(got[2], x);
    assert_int_equal(got[1], y);
    assert_int_equal(got[0], z);
}

/* For the hippocampus data of the Medical Segmentation Decathlon, nnU-Net plans a patch of 40x56x40 (in its
 * own axis order) and four stages, of which the coarsest has 5x7x5 voxels. */
static void test_hippocampus(void **state)
{
    (void)state;
    u3d_data_facts facts = facts_of(35, 50, 36, 1, 1, 1);
    u3d_config c = plan(&facts, NULL, 0, PLENTY, 1200);
    assert_memory_equal(c.patch, ((int64_t[]){40, 56, 40}), sizeof c.patch);
    assert_int_equal(c.levels, 4);
    for (int l = 0; l < 4; l++) assert_axes(c.kernel[l], 3, 3, 3);
    for (int l = 0; l < 3; l++) assert_axes(c.pool[l], 2, 2, 2);
    assert_int_equal(c.labels, 3);
    assert_int_equal(c.channels, 1);
    assert_true(c.base >= 16 && c.base <= 32);
}

/* If slices are nearly three times as thick as pixels are wide, the network neither pools nor convolves along
 * z until pooling has made the voxels as large along x and y. */
static void test_anisotropic(void **state)
{
    (void)state;
    u3d_data_facts facts = facts_of(120, 120, 16, 0.7, 0.7, 2.09);
    u3d_config c = plan(&facts, NULL, 0, PLENTY, 0);
    assert_axes(c.kernel[0], 3, 3, 1);
    assert_axes(c.pool[0], 2, 2, 1);
    assert_axes(c.kernel[1], 3, 3, 3);
    assert_axes(c.pool[1], 2, 2, 2);
}

/* Thicker slices are segmented one by one: nothing reaches from slice to slice, and a patch is one whole
 * slice, also with sparse labels. An axis is not coarse because another one is fine. */
static void test_thick_slices(void **state)
{
    (void)state;
    u3d_data_facts facts = facts_of(208, 256, 10, 1.5, 1.5, 8);
    for (int sparse = 0; sparse < 2; sparse++) {
        facts.sparse = sparse;
        u3d_config c = plan(&facts, NULL, 0, PLENTY, 600);
        for (int l = 0; l < c.levels; l++) assert_axes(c.kernel[l], 3, 3, 1);
        for (int l = 0; l + 1 < c.levels; l++) assert_axes(c.pool[l], 2, 2, 1);
        assert_memory_equal(c.patch, ((int64_t[]){1, 256, 224}), sizeof c.patch);
        assert_int_equal(c.levels, 6);
    }
    static const char *const set[] = {"patch=64x64x8", "kernel=3x3x3"};
    u3d_config c = plan(&facts, set, 2, PLENTY, 600);
    assert_memory_equal(c.patch, ((int64_t[]){8, 64, 64}), sizeof c.patch);
    assert_axes(c.kernel[0], 3, 3, 3);
    static const char *const sagittal[] = {"plane=yz"}, *const wide[] = {"base=160"};
    c = plan(&facts, sagittal, 1, PLENTY, 600); /* a 2D network keeps its own plane */
    assert_true(c.patch[0] > 1 && c.patch[1] > 1 && c.patch[2] == 1);
    c = plan(&facts, wide, 1, PLENTY, 600);
    assert_int_equal(c.max_width, 160);
    facts = facts_of(100, 100, 100, 0.2, 1, 1);
    c = plan(&facts, NULL, 0, PLENTY, 600);
    assert_axes(c.kernel[c.levels - 1], 3, 3, 3);
}

/* A speed that was measured replaces the backend's estimate. */
static void test_measured_speed(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    u3d_data_facts facts = facts_of(35, 50, 36, 1, 1, 1);
    int64_t base[2];
    for (int i = 0; i < 2; i++) {
        u3d_config c;
        char *why;
        assert_ok(u3d_config_preset(&c, "auto"));
        assert_ok(u3d_autoplan(&c, &facts, 3, NULL, 0, PLENTY, 1200, i ? 1e13 : 1e10, b, &why));
        base[i] = c.base;
        u3d_free(why);
    }
    assert_true(base[0] < base[1]);
    u3d_backend_close(b);
}

static void test_one_slice(void **state)
{
    (void)state;
    u3d_data_facts facts = facts_of(64, 64, 1, 1, 1, 1);
    u3d_config c = plan(&facts, NULL, 0, PLENTY, 0);
    assert_int_equal(c.patch[0], 1);
    for (int l = 0; l < c.levels; l++) assert_axes(c.kernel[l], 3, 3, 1);
}

/* With more time the network is wider, with less memory the patch is smaller, and settings that the user made
 * are kept. */
static void test_limits(void **state)
{
    (void)state;
    u3d_data_facts facts = facts_of(400, 400, 400, 1, 1, 1);
    u3d_config shorter = plan(&facts, NULL, 0, PLENTY, 60), longer = plan(&facts, NULL, 0, PLENTY, 1e6);
    assert_true(shorter.base < longer.base);
    u3d_config small = plan(&facts, NULL, 0, 100000000, 60);
    int64_t most = longer.patch[0] * longer.patch[1] * longer.patch[2];
    assert_true(most <= 80 * 80 * 80);
    assert_true(small.patch[0] * small.patch[1] * small.patch[2] < most);

    static const char *const set[] = {"patch=48x48x48", "base=12", "levels=3", "lr=0.123", "batch=1"};
    u3d_config c = plan(&facts, set, 5, PLENTY, 60);
    assert_memory_equal(c.patch, ((int64_t[]){48, 48, 48}), sizeof c.patch);
    assert_int_equal(c.base, 12);
    assert_int_equal(c.levels, 3);
    assert_int_equal(c.batch, 1);
    assert_true(c.lr == 0.123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hippocampus),  cmocka_unit_test(test_anisotropic),
        cmocka_unit_test(test_thick_slices), cmocka_unit_test(test_measured_speed),
        cmocka_unit_test(test_one_slice),    cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
