/* Tests of matching: whether a volume fits on the grid of another one, and how it is brought there. */
#include "tests/support/support_cases.h"

#include "engine/base/mem.h"
#include "io/volume.h"

#include <string.h>

enum { VOXELS = 3 * 4 * 5 };

static char *dir;

/* Writes a sheared volume of 3x4x5 voxels whose values are their numbers, in the order of storage s, with or
 * without a place in space, and reads it again. */
static u3d_volume *volume_read(int s, bool placed)
{
    char *path = u3d_test_path(dir, "volume.nii");
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_new((int64_t[]){5, 4, 3}, (double[]){3, 1.25, 0.5}, U3D_I32, 1, &v));
    v->voxel_to_world[0][1] = 0.2;
    v->voxel_to_world[2][3] = -31;
    u3d_volume_new_grid(v);
    for (int i = 0; i < VOXELS; i++) ((int32_t *)v->data)[i] = i;
    assert_ok(u3d_volume_write(path, v));
    u3d_volume_free(v);
    u3d_test_store(path, U3D_VOLUME_LABEL, s, path);
    assert_ok(u3d_volume_read(path, U3D_VOLUME_LABEL, &v));
    if (!placed) {
        v->grid.sform_code = 0;
        assert_ok(u3d_volume_write(path, v));
        u3d_volume_free(v);
        assert_ok(u3d_volume_read(path, U3D_VOLUME_LABEL, &v));
    }
    u3d_free(path);
    return v;
}

static void test_part(void **state)
{
    (void)state;
    u3d_volume *image = volume_read(13, true), *crop = NULL;
    const int64_t start[3] = {1, 2, 0}, size[3] = {3, 2, 2};
    assert_ok(u3d_volume_new_box(image, start, size, U3D_I32, 1, &crop));
    for (int i = 0; i < 12; i++) ((int32_t *)crop->data)[i] = i + 1;
    const int turned[3] = {-2, 3, -1};
    assert_ok(u3d_volume_turn(crop, turned)); /* as if the axes had been paired differently */
    u3d_match m;
    assert_ok(u3d_volume_match(image, "image", crop, "crop", false, &m));
    assert_int_equal(m.how, U3D_MATCH_PART);
    assert_false(m.whole);
    assert_ok(u3d_volume_onto(&crop, image, &m, 99));
    assert_memory_equal(crop->size, image->size, sizeof crop->size);
    for (int64_t z = 0, i = 0; z < image->size[0]; z++)
        for (int64_t y = 0; y < image->size[1]; y++)
            for (int64_t x = 0; x < image->size[2]; x++, i++) {
                const int64_t at[3] = {z - 1, y - 2, x};
                const bool in = at[0] >= 0 && at[0] < 3 && at[1] >= 0 && at[1] < 2 && at[2] < 2;
                assert_int_equal(((int32_t *)crop->data)[i], in ? (at[0] * 2 + at[1]) * 2 + at[2] + 1 : 99);
            }
    u3d_volume_free(crop);

    const int64_t outside[3] = {-1, 0, 0}; /* a voxel that the image does not have */
    assert_ok(u3d_volume_new_box(image, outside, size, U3D_I32, 1, &crop));
    assert_status(u3d_volume_match(image, "image", crop, "crop", false, &m), U3D_E_FORMAT);
    assert_ok(u3d_volume_match(image, "image", crop, "crop", true, &m));
    assert_int_equal(m.how, U3D_MATCH_NEAREST);
    crop->voxel_to_world[0][3] += 1e4;
    assert_status(u3d_volume_match(image, "image", crop, "crop", true, &m), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "no voxel in common"));
    u3d_volume_free(crop);
    u3d_volume_free(image);
}

/* Labels without a place in space are matched by the files' voxels, in whatever way the image is stored. */
static void test_no_place(void **state)
{
    (void)state;
    for (int s = 0; s < U3D_TEST_STORAGES; s++) {
        u3d_volume *placed = volume_read(s, true), *unplaced = volume_read(s, false);
        u3d_volume *a = volume_read(s, true), *b = volume_read(s, false);
        u3d_match m;
        assert_ok(u3d_volume_match(placed, "placed", b, "unplaced", false, &m));
        assert_int_equal(m.how, U3D_MATCH_INDEX);
        assert_ok(u3d_volume_onto(&b, placed, &m, 99));
        assert_memory_equal(b->data, placed->data, VOXELS * sizeof(int32_t));
        assert_ok(u3d_volume_match(unplaced, "unplaced", a, "placed", false, &m));
        assert_int_equal(m.how, U3D_MATCH_INDEX);
        assert_ok(u3d_volume_onto(&a, unplaced, &m, 99));
        assert_memory_equal(a->data, unplaced->data, VOXELS * sizeof(int32_t));
        assert_ok(u3d_volume_match(unplaced, "a", unplaced, "b", false, &m));
        assert_int_equal(m.how, U3D_MATCH_SAME);
        u3d_volume_free(a);
        u3d_volume_free(b);
        u3d_volume_free(placed);
        u3d_volume_free(unplaced);
    }
    u3d_volume *image = volume_read(13, true), *other = NULL;
    u3d_match m;
    assert_ok(u3d_volume_new((int64_t[]){5, 4, 4}, (double[]){1, 1, 1}, U3D_I32, 1, &other));
    memset(other->stored, 0, sizeof other->stored);
    assert_status(u3d_volume_match(image, "image", other, "other", true, &m), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "do not both say where they lie"));
    u3d_volume_free(image);
    u3d_volume_free(other);
}

/* All channels of an image are brought along. */
static void test_channels(void **state)
{
    (void)state;
    u3d_volume *grid = NULL, *image = NULL;
    u3d_match m;
    assert_ok(u3d_volume_new((int64_t[]){1, 2, 3}, (double[]){1, 1, 1}, U3D_I32, 1, &grid));
    u3d_volume_turn_header(grid, (int[]){-1, 2, 3});
    assert_ok(u3d_volume_new((int64_t[]){1, 2, 3}, (double[]){1, 1, 1}, U3D_F32, 2, &image));
    memset(image->stored, 0, sizeof image->stored);
    for (int i = 0; i < 12; i++) ((float *)image->data)[i] = (float)i;
    assert_ok(u3d_volume_match(grid, "grid", image, "image", false, &m));
    assert_int_equal(m.how, U3D_MATCH_INDEX);
    assert_ok(u3d_volume_onto(&image, grid, &m, 0));
    static const float wanted[12] = {4, 5, 2, 3, 0, 1, 10, 11, 8, 9, 6, 7};
    assert_int_equal(image->channels, 2);
    assert_true(u3d_volume_has_place(image));
    assert_memory_equal(image->data, wanted, sizeof wanted);
    u3d_volume_free(image);
    u3d_volume_free(grid);
}

static void test_nearest(void **state)
{
    (void)state;
    u3d_volume *image = NULL, *label = NULL;
    u3d_match m;
    assert_ok(u3d_volume_new((int64_t[]){1, 2, 6}, (double[]){1, 1, 1}, U3D_F32, 1, &image));
    assert_ok(u3d_volume_new((int64_t[]){1, 2, 2}, (double[]){1, 1, 2.5}, U3D_I32, 1, &label));
    for (int i = 0; i < 4; i++) ((int32_t *)label->data)[i] = i + 1;
    assert_status(u3d_volume_match(image, "image", label, "label", false, &m), U3D_E_FORMAT);
    assert_ok(u3d_volume_match(image, "image", label, "label", true, &m));
    assert_int_equal(m.how, U3D_MATCH_NEAREST);
    assert_ok(u3d_volume_onto(&label, image, &m, 9));
    static const int32_t wanted[12] = {1, 1, 2, 2, 9, 9, 3, 3, 4, 4, 9, 9};
    assert_memory_equal(label->data, wanted, sizeof wanted);
    u3d_volume_free(image);
    u3d_volume_free(label);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_nearest),
    };
    dir = u3d_test_dir();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
