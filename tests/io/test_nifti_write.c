/* Tests of writing NIfTI files: the grid of the input is kept to the bit, labels get the smallest data type
 * that can represent them, and a failed write leaves no file behind and an existing file unchanged.
 *
 * The files are read back by u3d and also by the reader of the NIfTI library, which u3d itself does not
 * use. */
#include "io/nifti.h"
#include "tests/support/support_nifti.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/path.h"

#include <nifti2_io.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;
static const double ramp[96] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* A header with an awkward geometry: the sform is sheared, and the qform is oblique and disagrees with it. */
static u3d_test_nifti odd_spec(int version)
{
    u3d_test_nifti s = u3d_test_nifti_default();
    const double sform[3][4] = {{2.1, 0.3, -0.01, -90.7}, {0.1, 3.3, 0.7, 126.1}, {1e-7, 0.2, -4.4, -72.3}};
    s.version = version;
    memcpy(s.sform, sform, sizeof sform);
    s.sform_code = 4;
    s.qform_code = 2;
    s.quatern[0] = 0.1, s.quatern[1] = -0.2, s.quatern[2] = 0.3;
    s.qoffset[0] = 1.1, s.qoffset[1] = 2.2, s.qoffset[2] = 3.3;
    s.pixdim[0] = -1, s.pixdim[1] = 2.13, s.pixdim[2] = 3.31, s.pixdim[3] = 4.47;
    return s;
}

/* Bytes of the header that must not change: [offset, offset + bytes). */
typedef struct byte_range {
    int offset, bytes;
} byte_range;

static void test_grid_is_kept(void **state)
{
    (void)state;
    static const byte_range kept1[] = {{40, 8}, {76, 16}, {123, 1}, {148, 80}, {252, 92}};
    static const byte_range kept2[] = {{16, 32}, {104, 32}, {240, 80}, {344, 152}, {500, 4}, {508, 16}};
    for (int version = 1; version <= 2; version++) {
        u3d_test_nifti s = odd_spec(version);
        size_t size = 0;
        char *in = u3d_test_nifti_file(dir, "in.nii", &s, ramp), *out = u3d_test_path(dir, "out.nii");
        u3d_volume *image = NULL, *labels = NULL;
        assert_ok(u3d_nifti_read(in, U3D_VOLUME_IMAGE, &image));
        assert_ok(u3d_volume_new_like(image, U3D_U8, 1, &labels));
        ((uint8_t *)labels->data)[5] = 7;
        int64_t at[3]; /* of this voxel in the file, whose z axis points down */
        u3d_volume_file_voxel(labels, 5, at);
        assert_int_equal(at[2], 1);
        assert_ok(u3d_nifti_write(out, labels));
        uint8_t *before = u3d_test_read_file(in, &size), *after = u3d_test_read_file(out, &size);
        assert_int_equal(size, (version == 1 ? 352 : 544) + 24);
        const byte_range *kept = version == 1 ? kept1 : kept2;
        const size_t n = version == 1 ? sizeof kept1 / sizeof *kept1 : sizeof kept2 / sizeof *kept2;
        for (size_t i = 0; i < n; i++)
            assert_memory_equal(before + kept[i].offset, after + kept[i].offset, (size_t)kept[i].bytes);
        assert_int_equal(after[(version == 1 ? 352 : 544) + at[0] + 3 * (at[1] + 4 * at[2])], 7);
        u3d_volume_free(image);
        u3d_volume_free(labels);
        u3d_free(before);
        u3d_free(after);
        u3d_free(in);
        u3d_free(out);
    }
}

/* A 2D image gets 2D labels, unless they have several channels or gain depth. */
static void test_flat_image(void **state)
{
    (void)state;
    u3d_test_nifti s = odd_spec(1);
    s.dim[0] = 2;
    s.dim[3] = 1;
    char *in = u3d_test_nifti_file(dir, "flat.nii", &s, ramp), *out = u3d_test_path(dir, "flat_out.nii");
    u3d_volume *image = NULL;
    assert_ok(u3d_nifti_read(in, U3D_VOLUME_IMAGE, &image));
    const int64_t start[3] = {0, 0, 0}, deep[3] = {2, 2, 2};
    for (int variant = 0; variant < 3; variant++) {
        size_t size = 0;
        u3d_volume *v = NULL;
        if (variant < 2)
            assert_ok(u3d_volume_new_like(image, U3D_F32, variant + 1, &v));
        else
            assert_ok(u3d_volume_new_box(image, start, deep, U3D_U8, 1, &v));
        assert_ok(u3d_nifti_write(out, v));
        uint8_t *after = u3d_test_read_file(out, &size);
        assert_int_equal(after[40], variant == 0 ? 2 : variant == 1 ? 4 : 3); /* dim[0] */
        u3d_free(after);
        u3d_volume_free(v);
    }
    u3d_volume_free(image);
    u3d_free(in);
    u3d_free(out);
}

/* Reads a file with the NIfTI library. */
static nifti_image *read_with_library(const char *path, int datatype)
{
    nifti_set_debug_level(0);
    nifti_image *image = nifti_image_read(path, 1);
    assert_non_null(image);
    assert_int_equal(image->datatype, datatype);
    return image;
}

static void test_label_types(void **state)
{
    (void)state;
    static const struct {
        int32_t value;
        int datatype;
    } cases[] = {{0, DT_UINT8},     {255, DT_UINT8}, {256, DT_UINT16},     {65535, DT_UINT16},
                 {65536, DT_INT32}, {-1, DT_INT32},  {INT32_MIN, DT_INT32}};
    const int64_t size[3] = {2, 3, 4};
    const double spacing[3] = {3, 2, 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        u3d_volume *v = NULL, *back = NULL;
        char *path = u3d_test_path(dir, i % 2 ? "label.nii" : "label.nii.gz");
        assert_ok(u3d_volume_new(size, spacing, U3D_I32, 1, &v));
        ((int32_t *)v->data)[13] = cases[i].value;
        assert_ok(u3d_nifti_write(path, v));
        nifti_image *library = read_with_library(path, cases[i].datatype);
        assert_int_equal(library->nx, 4);
        assert_int_equal(library->nz, 2);
        assert_float_equal(library->sto_xyz.m[2][2], 3, 0);
        assert_float_equal(library->qto_xyz.m[1][1], 2, 0);
        assert_int_equal(library->xyz_units, NIFTI_UNITS_MM);
        nifti_image_free(library);
        assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &back));
        assert_memory_equal(v->data, back->data, 24 * sizeof(int32_t));
        u3d_volume_free(v);
        u3d_volume_free(back);
        unlink(path); /* if label.nii existed, the library would read its voxels for label.nii.gz as well */
        u3d_free(path);
    }
}

static void test_channels_and_floats(void **state)
{
    (void)state;
    const int64_t size[3] = {29, 31, 37}; /* several blocks of voxels */
    const double spacing[3] = {1, 1, 1};
    const int64_t voxels = 29 * 31 * 37;
    u3d_volume *v = NULL, *back = NULL;
    char *path = u3d_test_path(dir, "channels.nii.gz");
    u3d_rng rng = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2);
    assert_ok(u3d_volume_new(size, spacing, U3D_F32, 3, &v));
    u3d_test_normal(&rng, v->data, 3 * voxels);
    assert_ok(u3d_nifti_write(path, v));
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_IMAGE, &back));
    assert_int_equal(back->channels, 3);
    assert_memory_equal(v->data, back->data, 3 * (size_t)voxels * sizeof(float));
    nifti_image *library = read_with_library(path, DT_FLOAT32);
    assert_int_equal(library->nt, 3);
    for (int64_t i = 0; i < voxels; i++)
        if (((float *)library->data)[2 * voxels + i] != ((float *)v->data)[3 * i + 2])
            fail_msg("voxel %d of channel 2 has a wrong value", (int)i);
    nifti_image_free(library);
    u3d_volume_free(v);
    u3d_volume_free(back);
    u3d_free(path);
}

static void test_long_axis_needs_version_2(void **state)
{
    (void)state;
    const int64_t size[3] = {1, 1, 40000};
    const double spacing[3] = {1, 1, 1};
    u3d_volume *v = NULL, *back = NULL;
    char *path = u3d_test_path(dir, "long.nii");
    assert_ok(u3d_volume_new(size, spacing, U3D_U8, 1, &v));
    ((uint8_t *)v->data)[39999] = 9;
    assert_ok(u3d_nifti_write(path, v));
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &back));
    assert_int_equal(back->grid.nifti_version, 2);
    assert_int_equal(back->size[2], 40000);
    assert_int_equal(((int32_t *)back->data)[39999], 9);
    u3d_volume_free(v);
    u3d_volume_free(back);
    u3d_free(path);
}

static u3d_volume *noise_volume(void)
{
    const int64_t size[3] = {40, 40, 40};
    const double spacing[3] = {1, 1, 1};
    u3d_volume *v = NULL;
    u3d_rng rng = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 3);
    assert_ok(u3d_volume_new(size, spacing, U3D_F32, 1, &v));
    u3d_test_normal(&rng, v->data, 40 * 40 * 40);
    return v;
}

/* If the disk is full, which a limit on the size of files imitates, the old file must remain, and no part of
 * the new one. */
static void test_full_disk(void **state)
{
    (void)state;
    static const char *const names[] = {"full/a.nii", "full/a.nii.gz"};
    char *folder = u3d_test_path(dir, "full");
    struct rlimit old, small;
    u3d_volume *v = noise_volume();
    assert_ok(u3d_path_make_dir(folder));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int i = 0; i < 2; i++) {
        char *path = u3d_test_path(dir, names[i]);
        size_t size = 0;
        u3d_test_write_file(path, "old", 3);
        small = old;
        small.rlim_cur = 10000;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        u3d_status status = u3d_nifti_write(path, v);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(status, U3D_E_OUTPUT);
        assert_non_null(strstr(u3d_error_text(), names[i]));
        uint8_t *kept = u3d_test_read_file(path, &size);
        assert_int_equal(size, 3);
        assert_int_equal(u3d_test_count_files(folder), i + 1);
        u3d_free(kept);
        u3d_free(path);
    }
    u3d_volume_free(v);
    u3d_free(folder);
}

static void test_bad_targets(void **state)
{
    (void)state;
    u3d_volume *v = noise_volume();
    char *missing = u3d_test_path(dir, "no/such/folder.nii"), *named = u3d_test_path(dir, "volume.mha");
    char *folder = u3d_test_path(dir, "taken.nii");
    assert_status(u3d_nifti_write(missing, v), U3D_E_OUTPUT);
    assert_status(u3d_volume_write(named, v), U3D_E_ARG);
    assert_int_equal(mkdir(folder, 0777), 0);
    assert_status(u3d_nifti_write(folder, v), U3D_E_OUTPUT);
    assert_true(u3d_path_is_dir(folder));
    u3d_free(missing);
    u3d_free(named);
    u3d_free(folder);
    u3d_volume_free(v);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    u3d_volume *v = noise_volume();
    char *folder = u3d_test_path(dir, "memory"), *path = u3d_test_path(dir, "memory/a.nii.gz");
    assert_ok(u3d_path_make_dir(folder));
    int64_t live = u3d_mem_live();
    for (int n = 1;; n++) {
        u3d_mem_fail_at(n);
        u3d_status status = u3d_nifti_write(path, v);
        u3d_mem_fail_at(0);
        assert_int_equal(u3d_mem_live(), live);
        if (status == U3D_OK && n > 4) break;
        /* A write makes four allocations. If one fails, not even a temporary file may remain. */
        if (status != U3D_OK) assert_int_equal(status, U3D_E_NOMEM);
        assert_int_equal(u3d_test_count_files(folder), status == U3D_OK);
    }
    u3d_free(folder);
    u3d_free(path);
    u3d_volume_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid_is_kept),        cmocka_unit_test(test_flat_image),
        cmocka_unit_test(test_label_types),         cmocka_unit_test(test_channels_and_floats),
        cmocka_unit_test(test_bad_targets),         cmocka_unit_test(test_long_axis_needs_version_2),
        cmocka_unit_test(test_full_disk),           cmocka_unit_test(test_out_of_memory),
    };
    dir = u3d_test_dir();
    u3d_log_set_level(U3D_LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
