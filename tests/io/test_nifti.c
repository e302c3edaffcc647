/* Tests of reading sound NIfTI files (io/volume.h): every data type, version, byte order, and packing (one
 * file or a pair, plain or compressed); channels and scaling; the position of the voxels in space, from the
 * sform, the qform or pixdim; and the comparison of two grids.
 *
 * support_nifti.c writes the files byte by byte. test_nifti_hostile.c tests wrong and damaged files. */
#include "io/nifti.h"
#include "tests/support/support_nifti.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/path.h"
#include "io/volume.h"

#include <math.h>
#include <nifti2_io.h>
#include <string.h>
#include <unistd.h>

static char *dir;

static const int datatypes[] = {DT_UINT8,  DT_INT8,  DT_INT16,  DT_UINT16,  DT_INT32,
                                DT_UINT32, DT_INT64, DT_UINT64, DT_FLOAT32, DT_FLOAT64};
enum { N_DATATYPES = sizeof datatypes / sizeof *datatypes, MAX_VALUES = 4096 };

/* 0, 1, 2, ..., 127, 0, 1, ... in file order; every data type can represent these numbers. */
static const double *ramp(void)
{
    static double values[MAX_VALUES];
    for (int i = 0; i < MAX_VALUES; i++) values[i] = i % 128;
    return values;
}

static void test_every_kind_of_file(void **state)
{
    (void)state;
    static const char *const names[] = {"a.nii", "a.nii.gz", "a.img", "a.img.gz"};
    for (int which = 0; which < N_DATATYPES * 2 * 2 * 4; which++) {
        u3d_test_nifti s = u3d_test_nifti_default();
        s.datatype = datatypes[which / 16];
        s.version = 1 + (which / 8) % 2;
        s.swapped = (which / 4) % 2;
        char *path = u3d_test_nifti_file(dir, names[which % 4], &s, ramp());
        u3d_volume *image = NULL, *label = NULL;
        assert_ok(u3d_nifti_read(path, U3D_VOLUME_IMAGE, &image));
        assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &label));
        assert_int_equal(image->dtype, U3D_F32);
        assert_int_equal(label->dtype, U3D_I32);
        assert_int_equal(image->channels, 1);
        assert_int_equal(image->size[0], 2);
        assert_int_equal(image->size[1], 4);
        assert_int_equal(image->size[2], 3);
        assert_int_equal(image->grid.nifti_version, s.version);
        for (int i = 0; i < 24; i++) {
            assert_float_equal(((float *)image->data)[i], (float)i, 0);
            assert_int_equal(((int32_t *)label->data)[i], i);
        }
        u3d_volume_free(image);
        u3d_volume_free(label);
        unlink(path);
        u3d_free(path);
    }
    char *header = u3d_test_path(dir, "a.hdr");
    unlink(header);
    u3d_free(header);
}

static void test_pair_by_either_name(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    char *image_path = u3d_test_nifti_file(dir, "pair.img.gz", &s, ramp());
    char *header_path = u3d_test_path(dir, "pair.hdr");
    u3d_volume *v = NULL;
    assert_ok(u3d_nifti_read(header_path, U3D_VOLUME_LABEL, &v));
    assert_int_equal(((int32_t *)v->data)[23], 23);
    u3d_volume_free(v);
    unlink(image_path);
    u3d_test_refused(header_path, U3D_VOLUME_IMAGE, "pair.img");
    u3d_free(image_path);
    u3d_free(header_path);
}

static void test_extremes_are_kept(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    const double values[24] = {-2147483648.0, 2147483647.0, -1, 1};
    s.datatype = DT_INT64;
    char *path = u3d_test_nifti_file(dir, "extreme.nii", &s, values);
    u3d_volume *v = NULL;
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &v));
    assert_int_equal(((int32_t *)v->data)[0], INT32_MIN);
    assert_int_equal(((int32_t *)v->data)[1], INT32_MAX);
    assert_int_equal(((int32_t *)v->data)[2], -1);
    u3d_volume_free(v);
    u3d_free(path);
}

/* In the file x varies fastest and the channel slowest; in memory the channel varies fastest. */
static void test_channels(void **state)
{
    (void)state;
    for (int axis = 4; axis <= 5; axis++) {
        u3d_test_nifti s = u3d_test_nifti_default();
        s.dim[0] = axis;
        s.dim[axis] = 3;
        char *path = u3d_test_nifti_file(dir, "channels.nii", &s, ramp());
        u3d_volume *v = NULL;
        assert_ok(u3d_nifti_read(path, U3D_VOLUME_IMAGE, &v));
        assert_int_equal(v->channels, 3);
        for (int voxel = 0; voxel < 24; voxel++)
            for (int channel = 0; channel < 3; channel++)
                assert_float_equal(((float *)v->data)[3 * voxel + channel], (float)(24 * channel + voxel), 0);
        u3d_volume_free(v);
        u3d_test_refused(path, U3D_VOLUME_LABEL, "3 channels");
        u3d_free(path);
    }
    u3d_test_nifti s = u3d_test_nifti_default();
    s.dim[0] = 4; /* a fourth dimension of size 1 means one channel, so labels may have it */
    char *path = u3d_test_nifti_file(dir, "one.nii", &s, ramp());
    u3d_volume *v = NULL;
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &v));
    assert_int_equal(v->channels, 1);
    u3d_volume_free(v);
    u3d_free(path);
}

/* As test_channels, with more voxels than the reader reads at once. */
static void test_many_blocks(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    s.dim[0] = 4;
    s.dim[1] = 41, s.dim[2] = 37, s.dim[3] = 29, s.dim[4] = 2;
    const int voxels = 41 * 37 * 29;
    double *values = u3d_new((size_t)voxels, 2 * sizeof *values);
    for (int i = 0; i < 2 * voxels; i++) values[i] = i % 30011;
    char *path = u3d_test_nifti_file(dir, "blocks.nii.gz", &s, values);
    u3d_volume *v = NULL;
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_IMAGE, &v));
    for (int voxel = 0; voxel < voxels; voxel++)
        for (int channel = 0; channel < 2; channel++)
            if (((float *)v->data)[2 * voxel + channel] != (float)values[channel * voxels + voxel])
                fail_msg("voxel %d of channel %d has a wrong value", voxel, channel);
    u3d_volume_free(v);
    u3d_free(values);
    u3d_free(path);
}

static void test_scaling(void **state)
{
    (void)state;
    static const struct {
        double slope, inter, third; /* third: value of the voxel that is stored as 3 */
    } cases[] = {{2, 10, 16},      {-0.5, 0, -1.5}, {0, 5, 3}, {NAN, 5, 3},
                 {INFINITY, 5, 3}, {0, NAN, 3},     {1, 0, 3}, {1, -3, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        u3d_test_nifti s = u3d_test_nifti_default();
        s.slope = cases[i].slope;
        s.inter = cases[i].inter;
        char *path = u3d_test_nifti_file(dir, "scaled.nii", &s, ramp());
        u3d_volume *v = NULL;
        assert_ok(u3d_nifti_read(path, U3D_VOLUME_IMAGE, &v));
        assert_float_equal(((float *)v->data)[3], cases[i].third, 1e-6);
        u3d_volume_free(v);
        if (floor(cases[i].third) != cases[i].third) u3d_test_refused(path, U3D_VOLUME_LABEL, "scl_slope");
        u3d_free(path);
    }
}

static u3d_volume *read_placed(const u3d_test_nifti *s)
{
    char *path = u3d_test_nifti_file(dir, "placed.nii", s, ramp());
    u3d_volume *v = NULL;
    assert_ok(u3d_nifti_probe(path, &v));
    assert_null(v->data);
    assert_ok(u3d_volume_turn_to_file(v)); /* test_orient.c tests how volumes are turned */
    u3d_free(path);
    return v;
}

static void test_place(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    const double sheared[3][4] = {{2, 0.25, 0, -7}, {0.125, 3, 0.5, 11}, {0, 0, -4, 13}};
    s.pixdim[0] = 0; /* qfac 0 means 1 */
    s.pixdim[1] = 1.5, s.pixdim[2] = 2.5, s.pixdim[3] = 3.5;
    u3d_volume *v = read_placed(&s); /* both codes are 0, so pixdim is used */
    assert_float_equal(v->voxel_to_world[2][2], 3.5, 0);
    assert_float_equal(v->spacing[0], 3.5, 0);
    assert_float_equal(v->spacing[2], 1.5, 0);
    assert_false(u3d_volume_has_place(v));
    u3d_volume_free(v);

    s.qform_code = 1; /* the quaternion is half a turn about z, which negates x and y */
    s.quatern[2] = 1;
    s.qoffset[0] = 5;
    v = read_placed(&s);
    assert_float_equal(v->voxel_to_world[0][0], -1.5, 1e-6);
    assert_float_equal(v->voxel_to_world[1][1], -2.5, 1e-6);
    assert_float_equal(v->voxel_to_world[2][2], 3.5, 1e-6);
    assert_float_equal(v->voxel_to_world[0][3], 5, 1e-6);
    int axis[3];
    u3d_orientation_of((const double(*)[4])v->voxel_to_world, axis);
    assert_int_equal(axis[0], -1);
    assert_int_equal(axis[1], -2);
    assert_int_equal(axis[2], 3);
    u3d_volume_free(v);

    s.pixdim[0] = -1; /* qfac flips the third axis */
    v = read_placed(&s);
    assert_float_equal(v->voxel_to_world[2][2], -3.5, 1e-6);
    u3d_volume_free(v);

    s.sform_code = 2; /* the sform has precedence over the qform, and it may shear */
    memcpy(s.sform, sheared, sizeof sheared);
    v = read_placed(&s);
    assert_memory_equal(v->voxel_to_world, sheared, sizeof sheared);
    assert_float_equal(v->spacing[1], sqrt(0.25 * 0.25 + 9), 1e-12);
    assert_float_equal(v->grid.pixdim[0], 1.5, 0);
    u3d_volume_free(v);

    s.sform[1][1] = NAN; /* the sform is not a transform, so the qform is used */
    v = read_placed(&s);
    assert_float_equal(v->voxel_to_world[0][0], -1.5, 1e-6);
    u3d_volume_free(v);
    memset(s.sform, 0, sizeof s.sform);
    v = read_placed(&s);
    assert_float_equal(v->voxel_to_world[0][0], -1.5, 1e-6);
    assert_int_equal(v->grid.sform_code, 2); /* the header's own value, which will be written back */
    u3d_volume_free(v);

    /* Unusable values of pixdim are repaired in the spacing, but the grid keeps the header's values. */
    s.sform_code = s.qform_code = 0;
    s.pixdim[1] = -2, s.pixdim[2] = 0, s.pixdim[3] = NAN;
    v = read_placed(&s);
    assert_float_equal(v->spacing[2], 2, 0);
    assert_float_equal(v->spacing[1], 1, 0);
    assert_float_equal(v->spacing[0], 1, 0);
    assert_float_equal(v->grid.pixdim[0], -2, 0);
    assert_true(isnan(v->grid.pixdim[2]));
    u3d_volume_free(v);
}

static void test_same_grid(void **state)
{
    (void)state;
    const int64_t size[3] = {4, 5, 6}, other_size[3] = {4, 6, 5};
    const double spacing[3] = {3, 2, 1};
    u3d_volume *a = NULL, *b = NULL, *c = NULL;
    double off_by = -1;
    assert_ok(u3d_volume_new(size, spacing, U3D_U8, 1, &a));
    assert_ok(u3d_volume_new_like(a, U3D_I32, 2, &b));
    assert_ok(u3d_volume_new(other_size, spacing, U3D_U8, 1, &c));
    assert_ok(u3d_volume_same_grid(a, "a", b, "b", &off_by));
    assert_float_equal(off_by, 0, 0);
    b->voxel_to_world[2][3] += 1.5; /* half a voxel along z */
    assert_ok(u3d_volume_same_grid(a, "a", b, "b", &off_by));
    assert_float_equal(off_by, 0.5, 1e-12);
    b->voxel_to_world[2][3] += 3;
    assert_status(u3d_volume_same_grid(a, "a", b, "b", &off_by), U3D_E_FORMAT);
    b->voxel_to_world[2][3] = NAN;
    assert_status(u3d_volume_same_grid(a, "a", b, "b", &off_by), U3D_E_FORMAT);
    assert_status(u3d_volume_same_grid(a, "a", c, "c", &off_by), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "6x5x4"));
    assert_non_null(strstr(u3d_error_text(), "5x6x4"));
    u3d_volume_free(a);
    u3d_volume_free(b);
    u3d_volume_free(c);
}

/* The two files of a pair may be spelled differently; two candidates for the other file are refused. */
static void test_pair_in_any_case(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"A.HDR", "A.IMG"}, {"b.Hdr", "b.img"}, {"c.hdr", "c.Img.GZ"}, {".d.HDR", ".d.img"}};
    u3d_test_nifti s = u3d_test_nifti_default();
    char *folder = u3d_test_path(dir, "spelled");
    assert_ok(u3d_path_make_dir(folder));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const bool zip = strstr(names[i][1], ".GZ") != NULL;
        char *data = u3d_test_nifti_file(folder, zip ? "t.img.gz" : "t.img", &s, ramp());
        char *header = u3d_test_path(folder, "t.hdr"), *paths[2];
        for (int k = 0; k < 2; k++) paths[k] = u3d_test_path(folder, names[i][k]);
        assert_int_equal(rename(header, paths[0]), 0);
        assert_int_equal(rename(data, paths[1]), 0);
        for (int k = 0; k < 2; k++) {
            u3d_volume *v = NULL;
            assert_ok(u3d_nifti_read(paths[k], U3D_VOLUME_LABEL, &v));
            assert_int_equal(((int32_t *)v->data)[23], 23);
            u3d_volume_free(v);
        }
        if (i == 0) {
            char *second = u3d_test_path(folder, "A.img");
            u3d_test_write_file(second, "stale", 5);
            u3d_test_refused(paths[0], U3D_VOLUME_LABEL, "could be its partner");
            u3d_free(second);
        }
        u3d_free(header);
        u3d_free(data);
        for (int k = 0; k < 2; k++) u3d_free(paths[k]);
    }
    u3d_free(folder);
}

/* Reads 24 stored uint8 values, all 0 except `stored`, as labels; returns the label of that voxel, or -1 if
 * the file is refused. */
static int label_of(double slope, double inter, double stored, int datatype)
{
    u3d_test_nifti s = u3d_test_nifti_default();
    double values[24];
    u3d_volume *v = NULL;
    for (int i = 0; i < 24; i++) values[i] = i == 5 ? stored : inter == 0 ? 0 : round(-inter / slope);
    s.datatype = datatype;
    s.slope = slope;
    s.inter = inter;
    char *path = u3d_test_nifti_file(dir, "quantised.nii", &s, values);
    const u3d_status status = u3d_nifti_read(path, U3D_VOLUME_LABEL, &v);
    const int label = v ? ((const int32_t *)v->data)[5] : -1;
    if (status != U3D_OK) assert_int_equal(status, U3D_E_FORMAT);
    u3d_volume_free(v);
    u3d_free(path);
    return label;
}

/* Labels that were stored in steps of scl_slope are off by at most half a step. Fractions are not labels. */
static void test_quantised_labels(void **state)
{
    (void)state;
    /* All labels from 0 to n in 8 or 16 bits: each is the nearest of 255 or 65535 steps. */
    static const int tops[] = {1, 2, 3, 7, 100, 210, 254};
    for (size_t k = 0; k < sizeof tops / sizeof *tops; k++)
        for (int label = 1; label <= tops[k]; label++) {
            const float slope8 = (float)tops[k] / 255, slope16 = (float)tops[k] / 65535;
            assert_int_equal(label_of((double)slope8, 0, round(label / (double)slope8), DT_UINT8), label);
            assert_int_equal(label_of((double)slope16, 0, round(label / (double)slope16), DT_UINT16), label);
        }
    assert_int_equal(label_of((double)(2.0F / 255), 0, 127, DT_UINT8), 1); /* 0.99607849 */
    assert_int_equal(label_of((double)(2.0F / 255), 1, 128, DT_INT16), 2); /* 2.00392163 */
    assert_int_equal(label_of(-0.3, 0, -3, DT_INT16), 1);                  /* 0.9 */
    /* Fractions: a probability map in 8 bits, halves, and steps that cannot tell labels apart. */
    assert_int_equal(label_of(1.0 / 255, 0, 254, DT_UINT8), -1);
    assert_int_equal(label_of(1.0 / 255, 0, 128, DT_UINT8), -1);
    assert_int_equal(label_of(0.5, 0, 1, DT_UINT8), -1);
    assert_int_equal(label_of(0.1, 0, 9, DT_UINT8), -1);
    assert_int_equal(label_of(2.5, 0, 1, DT_UINT8), -1);
    assert_int_equal(label_of(1.2, 0, 1, DT_UINT8), -1);
    assert_int_equal(label_of(2.5, 0, 2, DT_UINT8), 5);
    assert_int_equal(label_of((double)(2.0F / 255), 0, 127, DT_FLOAT32), -1); /* nothing was quantised here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_file),
        cmocka_unit_test(test_pair_by_either_name),
        cmocka_unit_test(test_pair_in_any_case),
        cmocka_unit_test(test_extremes_are_kept),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_many_blocks),
        cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_quantised_labels),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_same_grid),
    };
    dir = u3d_test_dir();
    u3d_log_set_level(U3D_LOG_WARN);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
