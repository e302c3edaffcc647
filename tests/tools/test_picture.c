/* Tests of tools/draw/picture.h: slices are drawn by their place in space, whatever the storage of the file,
 * and labels by what they are. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <png.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tools/draw/picture.h"

/* The volume is 12 voxels from left to right (x), 20 from back to front (y), 16 from bottom to top (z). A
 * bright box lies to the left, in front and at the top, and so does label 255; label 3 is to the right,
 * behind, at the bottom. */
static const int64_t N[3] = {12, 20, 16};

static float grey_at(const int64_t at[3])
{
    return at[0] < 3 && at[1] > 15 && at[2] > 12 ? 100 : (float)(at[0] + at[1] + at[2]);
}

static int32_t label_at(const int64_t at[3])
{
    if (at[0] < 6 && at[1] >= 10 && at[2] >= 8) return 255;
    return at[0] >= 6 && at[1] < 10 && at[2] < 8 ? 3 : 0;
}

/* Reads the image (f32) or the labels (i32) from a file with the axes of storage s, turned by `angle` about
 * z. */
static u3d_volume *volume_make(const char *path, u3d_dtype dtype, int s, double angle, bool placed)
{
    int64_t v = 0;
    int axis[3];
    u3d_volume *out = NULL;
    assert_ok(u3d_volume_new((int64_t[]){N[2], N[1], N[0]}, (double[]){1, 1, 1}, dtype, 1, &out));
    out->voxel_to_world[0][0] = out->voxel_to_world[1][1] = cos(angle);
    out->voxel_to_world[0][1] = -sin(angle);
    out->voxel_to_world[1][0] = sin(angle);
    for (int64_t z = 0; z < N[2]; z++)
        for (int64_t y = 0; y < N[1]; y++)
            for (int64_t x = 0; x < N[0]; x++, v++) {
                const int64_t at[3] = {x, y, z};
                if (dtype == U3D_F32)
                    ((float *)out->data)[v] = grey_at(at);
                else
                    ((int32_t *)out->data)[v] = label_at(at);
            }
    u3d_test_storage(s, axis);
    assert_ok(u3d_volume_turn(out, axis));
    u3d_volume_new_grid(out);
    if (!placed) out->grid.sform_code = 0;
    assert_ok(u3d_volume_write(path, out));
    u3d_volume_free(out);
    assert_ok(u3d_volume_read(path, dtype == U3D_F32 ? U3D_VOLUME_IMAGE : U3D_VOLUME_LABEL, &out));
    return out;
}

typedef struct drawing {
    uint8_t *rgb;
    png_uint_32 width, height;
    picture_result result;
} drawing;

static drawing draw(int s, double angle, bool placed, const picture_opts *o)
{
    drawing d;
    char *dir = u3d_test_dir(), *path = u3d_test_path(dir, "p.png"), *file = u3d_test_path(dir, "v.nii");
    u3d_volume *image = volume_make(file, U3D_F32, s, angle, placed),
               *label = volume_make(file, U3D_I32, s, angle, placed);
    const picture_part part = {.image = image, .labels = {label}, .n_labels = 1, .slices = {1, 2, 3}};
    assert_ok(picture_write(path, &part, 1, o, &d.result));
    assert_int_equal(d.result.n_slices, 6);
    png_image png = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&png, path));
    png.format = PNG_FORMAT_RGB;
    d.width = png.width;
    d.height = png.height;
    d.rgb = u3d_new(PNG_IMAGE_SIZE(png), 1);
    assert_true(png_image_finish_read(&png, NULL, d.rgb, 0, NULL));
    u3d_volume_free(image);
    u3d_volume_free(label);
    u3d_free(path);
    u3d_free(file);
    u3d_test_dir_done(dir);
    return d;
}

static const uint8_t *pixel(const drawing *d, int x, int y)
{
    return d->rgb + ((size_t)y * d->width + (size_t)x) * 3;
}

/* All 48 storages of a volume give the same picture, and some of an oblique one. */
static void test_storages(void **state)
{
    (void)state;
    const picture_opts o = {0};
    for (int oblique = 0; oblique < 2; oblique++) {
        drawing first = draw(0, oblique * 0.4, true, &o);
        assert_non_null(strstr(first.result.convention, "radiological"));
        for (int s = 1; s < 48; s += u3d_test_brief() || oblique ? 5 : 1) {
            drawing d = draw(s, oblique * 0.4, true, &o);
            assert_int_equal(d.width, first.width);
            assert_int_equal(d.height, first.height);
            assert_memory_equal(d.rgb, first.rgb, (size_t)d.width * d.height * 3);
            u3d_free(d.rgb);
        }
        u3d_free(first.rgb);
    }
}

enum { GAP = 6, TALL = 256, WIDE = 320, NARROW = 192 }; /* 16, 20 and 12 voxels at 320 pixels per 20 voxels */

/* The patient's left is on the right of coronal and axial slices, and anterior on the left of sagittal ones.
 * 255 is a label like any other. */
static void test_convention(void **state)
{
    (void)state;
    drawing d = draw(0, 0, true, &(picture_opts){0});
    const int columns = 2, coronal = GAP + (WIDE - NARROW) / 2;
    assert_int_equal(d.width, columns * (WIDE + GAP) + GAP);
    assert_int_equal(d.height, 3 * (TALL + GAP) + 3 * (WIDE + GAP) + GAP);
    /* sagittal: label 255 is in front, that is on the left, and at the top */
    const int second = WIDE + GAP;
    const uint8_t *on = pixel(&d, GAP + second + 20, GAP + 20),
                  *off = pixel(&d, GAP + second + WIDE - 20, GAP + 20);
    assert_int_not_equal(on[0], on[2]);
    assert_int_equal(off[0], off[2]);
    /* the second coronal slice: the front; label 255 is on the patient's left, that is on the right */
    const int top = GAP + 2 * (TALL + GAP);
    on = pixel(&d, coronal + second + NARROW - 20, top + 20);
    off = pixel(&d, coronal + second + 20, top + 20);
    assert_int_not_equal(on[0], on[2]);
    assert_int_equal(off[0], off[2]);
    /* the last axial slice: the top; label 255 is in front, that is at the top, on the right */
    const int axial = GAP + 3 * (TALL + GAP) + 2 * (WIDE + GAP);
    on = pixel(&d, coronal + second + NARROW - 20, axial + 20);
    off = pixel(&d, coronal + second + NARROW - 20, axial + WIDE - 20);
    assert_int_not_equal(on[0], on[2]);
    assert_int_equal(off[0], off[2]);
    u3d_free(d.rgb);
}

/* Without a place in space, x runs to the right, and the picture says so. */
static void test_as_stored(void **state)
{
    (void)state;
    const picture_opts none = {0}, forced = {.as_stored = true};
    drawing d = draw(0, 0, false, &none), placed = draw(0, 0, true, &forced);
    const int coronal = GAP + (WIDE - NARROW) / 2 + WIDE + GAP, top = GAP + 2 * (TALL + GAP);
    assert_non_null(strstr(d.result.convention, "as stored"));
    const uint8_t *on = pixel(&d, coronal + 20, top + 20), *off = pixel(&d, coronal + NARROW - 20, top + 20);
    assert_int_not_equal(on[0], on[2]);
    assert_int_equal(off[0], off[2]);
    assert_memory_equal(d.rgb, placed.rgb, (size_t)d.width * d.height * 3);
    u3d_free(d.rgb);
    u3d_free(placed.rgb);
}

/* A value that means "unlabelled" is dimmed and gets no colour. */
static void test_unlabeled(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        drawing d = draw(0, 0, true, &(picture_opts){.has_unlabeled = known, .unlabeled = 255});
        int64_t dim = 0, coloured = 0;
        for (int y = 0; y < (int)d.height; y++)
            for (int x = GAP; x < GAP + WIDE; x++) {
                const uint8_t *image = pixel(&d, x, y), *label = pixel(&d, x + WIDE + GAP, y);
                dim += label[0] == label[2] && label[0] < image[0] && image[0] < 255;
                coloured += label[0] != label[2];
            }
        assert_true(coloured > 1000);
        assert_true(known ? dim > 1000 : dim == 0);
        u3d_free(d.rgb);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_storages), cmocka_unit_test(test_convention),
                                       cmocka_unit_test(test_as_stored), cmocka_unit_test(test_unlabeled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
