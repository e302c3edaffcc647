/* Tests of reading NIfTI files with false headers, files that end early, damaged files, files of other kinds,
 * and of running out of memory.
 *
 * A file that cannot be read must give U3D_E_FORMAT or U3D_E_IO with a message that names the file. This must
 * not take long, allocate much memory or leak memory. If a damaged gzip file is accepted, its values must be
 * right. */
#include "io/nifti.h"
#include "tests/support/support_nifti.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

#include <math.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *dir;
static const double ramp[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* Writes a .nii and a .nii.gz with one header field changed, and fails the test unless both are refused. */
static void assert_field_refused(const u3d_test_nifti *s, const char *field, double value, const char *says)
{
    uint8_t header[U3D_TEST_NIFTI_HEADER];
    size_t header_size = u3d_test_nifti_header(s, false, header), data_size = 0;
    uint8_t *data = u3d_test_nifti_data(s, ramp, &data_size);
    uint8_t *whole = u3d_new(header_size + data_size, 1);
    u3d_test_nifti_put(s, header, field, value);
    memcpy(whole, header, header_size);
    memcpy(whole + header_size, data, data_size);
    char *plain = u3d_test_path(dir, "field.nii"), *zipped = u3d_test_path(dir, "field.nii.gz");
    u3d_test_write_file(plain, whole, header_size + data_size);
    u3d_test_write_gz(zipped, whole, header_size + data_size);
    u3d_test_refused(plain, U3D_VOLUME_IMAGE, says);
    u3d_test_refused(zipped, U3D_VOLUME_IMAGE, says);
    u3d_free(plain);
    u3d_free(zipped);
    u3d_free(whole);
    u3d_free(data);
}

static void test_bad_values(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    double values[24] = {0};
    s.datatype = DT_FLOAT32;
    values[3 * 4 + 3 * 2 + 1] = NAN; /* x,y,z = 1,2,1 */
    values[23] = INFINITY;
    char *path = u3d_test_nifti_file(dir, "nan.nii.gz", &s, values);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "2 voxels are NaN");
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "1,2,1");
    u3d_test_refused(path, U3D_VOLUME_LABEL, "1,2,1");
    u3d_free(path);
    s.datatype = DT_FLOAT64;
    values[3 * 4 + 3 * 2 + 1] = 1e300; /* too large for float32 */
    path = u3d_test_nifti_file(dir, "huge.nii", &s, values);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "2 voxels");
    u3d_free(path);
    memset(values, 0, sizeof values);
    values[2] = 1.0005;
    values[5] = -2.9999;
    path = u3d_test_nifti_file(dir, "near.nii", &s, values);
    u3d_volume *v = NULL;
    assert_ok(u3d_nifti_read(path, U3D_VOLUME_LABEL, &v)); /* close enough to whole numbers */
    assert_int_equal(((int32_t *)v->data)[2], 1);
    assert_int_equal(((int32_t *)v->data)[5], -3);
    u3d_volume_free(v);
    u3d_free(path);
    values[5] = 0.5;
    path = u3d_test_nifti_file(dir, "half.nii", &s, values);
    u3d_test_refused(path, U3D_VOLUME_LABEL, "2,1,0 (from 0) with 0.5");
    u3d_free(path);
    values[5] = 2147483648.0;
    path = u3d_test_nifti_file(dir, "large.nii", &s, values);
    u3d_test_refused(path, U3D_VOLUME_LABEL, "2147483648");
    u3d_free(path);
}

static void test_lying_headers(void **state)
{
    (void)state;
    double start = u3d_clock();
    uint64_t resident = u3d_mem_peak_resident();
    for (int version = 1; version <= 2; version++) {
        u3d_test_nifti s = u3d_test_nifti_default();
        s.version = version;
        assert_field_refused(&s, "dim[0]", 0, "dim[0]");
        assert_field_refused(&s, "dim[0]", 8, "dim[0]");
        assert_field_refused(&s, "dim[1]", 0, "dim[1]");
        assert_field_refused(&s, "dim[2]", -4, "dim[2]");
        assert_field_refused(&s, "dim[3]", 30000, NULL);
        assert_field_refused(&s, "datatype", 32, "COMPLEX64");
        assert_field_refused(&s, "datatype", 128, "RGB24");
        assert_field_refused(&s, "datatype", 0, "datatype 0");
        assert_field_refused(&s, "datatype", 7777, "datatype 7777");
        assert_field_refused(&s, "datatype", 2, "bitpix");
        assert_field_refused(&s, "bitpix", 8, "bitpix");
        assert_field_refused(&s, "vox_offset", 100, "vox_offset");
        assert_field_refused(&s, "vox_offset", -1, "vox_offset");
        assert_field_refused(&s, "vox_offset", 1e6, "too few");
        assert_field_refused(&s, "vox_offset", 9e18, version == 1 ? "vox_offset" : "too few");
        assert_field_refused(&s, "sizeof_hdr", 347, "sizeof_hdr");
        s.slope = 2;
        assert_field_refused(&s, "scl_inter", NAN, "scl_inter");
    }
    assert_true(u3d_clock() - start < 60);
    assert_true(u3d_mem_peak_resident() - resident < 200000000);
}

/* Dimensions for which the file is far too short, plain and compressed. Such files must be refused at once,
 * without allocating memory for the voxels. */
static void test_absurd_dims(void **state)
{
    (void)state;
    static const int64_t dims[][8] = {
        {3, 30000, 30000, 30000},
        {3, 32767, 32767, 32767},
        {7, 32767, 32767, 32767, 32767, 32767, 32767, 32767},
        {4, 3, 4, 2, 30000},
        {3, INT64_MAX, INT64_MAX, INT64_MAX},
        {3, INT64_C(1) << 31, INT64_C(1) << 31, 2},
        {5, 3, 4, 2, 2, 2},
        {6, 3, 4, 2, 1, 1, 2},
    };
    double start = u3d_clock();
    uint64_t resident = u3d_mem_peak_resident();
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int version = dims[i][1] > 32767 ? 2 : 1; version <= 2; version++) {
            u3d_test_nifti s = u3d_test_nifti_default();
            uint8_t file[U3D_TEST_NIFTI_HEADER + 48] = {0}, header[U3D_TEST_NIFTI_HEADER];
            s.version = version;
            memcpy(s.dim, dims[i], sizeof s.dim);
            size_t size = u3d_test_nifti_header(&s, false, header);
            memcpy(file, header, size);
            char *plain = u3d_test_path(dir, "absurd.nii"), *zipped = u3d_test_path(dir, "absurd.nii.gz");
            u3d_test_write_file(plain, file, size + 48);
            u3d_test_write_gz(zipped, file, size + 48);
            u3d_test_refused(plain, U3D_VOLUME_IMAGE, NULL);
            u3d_test_refused(zipped, U3D_VOLUME_IMAGE, NULL);
            u3d_free(plain);
            u3d_free(zipped);
        }
    assert_true(u3d_clock() - start < 10);
    assert_true(u3d_mem_peak_resident() - resident < 100000000);
}

/* A file that is cut at any length must be refused, plain or compressed, as a single file or as a pair. */
static void test_cut_everywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"whole.nii", "whole.nii.gz", "whole.img", "whole.img.gz"};
    for (int which = 0; which < 8; which++) {
        u3d_test_nifti s = u3d_test_nifti_default();
        size_t size = 0;
        s.version = 1 + which / 4;
        const char *name = names[which % 4], *ending = strchr(name, '.');
        char *path = u3d_test_nifti_file(dir, name, &s, ramp);
        uint8_t *bytes = u3d_test_read_file(path, &size);
        char *cut_name = u3d_format("cut%s", ending), *cut = u3d_test_path(dir, cut_name);
        char *header = u3d_test_path(dir, "whole.hdr"), *cut_header = u3d_test_path(dir, "cut.hdr");
        size_t header_size = 0;
        uint8_t *header_bytes = strstr(name, ".img") ? u3d_test_read_file(header, &header_size) : NULL;
        if (header_bytes) u3d_test_write_file(cut_header, header_bytes, header_size);
        for (size_t length = 0; length < size; length++) {
            u3d_test_write_file(cut, bytes, length);
            u3d_test_refused(cut, U3D_VOLUME_IMAGE, NULL);
            u3d_test_refused(cut, U3D_VOLUME_LABEL, NULL);
        }
        u3d_test_write_file(cut, bytes, size);
        for (size_t length = 0; length < header_size; length++) {
            u3d_test_write_file(cut_header, header_bytes, length);
            u3d_test_refused(cut, U3D_VOLUME_IMAGE, NULL);
        }
        u3d_free(header_bytes);
        u3d_free(bytes);
        u3d_free(header);
        u3d_free(cut_header);
        u3d_free(cut_name);
        u3d_free(cut);
        u3d_free(path);
    }
}

/* Reads a file that may be damaged. U3D_OK, U3D_E_FORMAT and U3D_E_IO are right; a crash, a leak or any other
 * status is not. */
static void read_damaged(const char *path, u3d_volume_kind kind)
{
    u3d_volume *v = NULL;
    int64_t live = u3d_mem_live();
    u3d_status status = u3d_nifti_read(path, kind, &v);
    if (status != U3D_OK && status != U3D_E_FORMAT && status != U3D_E_IO)
        fail_msg("the status is %d instead of U3D_OK, U3D_E_FORMAT or U3D_E_IO", status);
    assert_true((status == U3D_OK) == (v != NULL));
    u3d_volume_free(v);
    assert_int_equal(u3d_mem_live(), live);
}

static void test_header_mutations(void **state)
{
    (void)state;
    u3d_rng rng = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    for (int which = 0; which < 4; which++) {
        u3d_test_nifti s = u3d_test_nifti_default();
        uint8_t file[U3D_TEST_NIFTI_HEADER + 48] = {0}, header[U3D_TEST_NIFTI_HEADER];
        s.version = 1 + which / 2;
        s.swapped = which % 2;
        s.sform_code = s.qform_code = 1;
        for (int i = 0; i < 3; i++) s.sform[i][i] = 1;
        size_t size = u3d_test_nifti_header(&s, false, header);
        memcpy(file, header, size);
        char *path = u3d_test_path(dir, "mutant.nii");
        for (size_t at = 0; at < size; at++)
            for (int round = 0; round < 4; round++) {
                static const uint8_t edges[3] = {0x00, 0x7f, 0xff};
                file[at] = round < 3 ? edges[round] : (uint8_t)u3d_rng_u32(&rng);
                u3d_test_write_file(path, file, size + 48);
                read_damaged(path, round % 2 ? U3D_VOLUME_LABEL : U3D_VOLUME_IMAGE);
                file[at] = header[at];
            }
        u3d_free(path);
    }
}

/* Changes every single bit of a gzip file. The checksum of gzip must reveal the change, or the change must
 * not affect the voxels. */
static void test_gzip_mutations(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    size_t size = 0;
    char *path = u3d_test_nifti_file(dir, "sound.nii.gz", &s, ramp), *bad = u3d_test_path(dir, "bad.nii.gz");
    uint8_t *bytes = u3d_test_read_file(path, &size);
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            u3d_volume *v = NULL;
            bytes[at] ^= (uint8_t)(1 << bit);
            u3d_test_write_file(bad, bytes, size);
            bytes[at] ^= (uint8_t)(1 << bit);
            if (u3d_nifti_read(bad, U3D_VOLUME_LABEL, &v) != U3D_OK) continue;
            for (int i = 0; i < 24; i++) assert_int_equal(((int32_t *)v->data)[i], i);
            u3d_volume_free(v);
        }
    u3d_free(bytes);
    u3d_free(path);
    u3d_free(bad);
}

static void test_not_nifti(void **state)
{
    (void)state;
    static const char text[] = "This is no volume at all, but a text that is long enough to hold a header. ";
    char long_text[1000];
    for (size_t i = 0; i < sizeof long_text; i++) long_text[i] = text[i % (sizeof text - 1)];
    char *path = u3d_test_path(dir, "odd.nii");
    u3d_test_write_file(path, "", 0);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "0 bytes");
    u3d_test_write_file(path, long_text, sizeof long_text);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "sizeof_hdr");
    u3d_free(path);
    path = u3d_test_path(dir, "missing.nii.gz");
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "No such file");
    u3d_free(path);
    path = u3d_test_path(dir, "folder.nii");
    assert_int_equal(mkdir(path, 0777), 0);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "folder");
    u3d_free(path);
    path = u3d_test_path(dir, "pipe.nii");
    assert_int_equal(mkfifo(path, 0666), 0);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "regular");
    u3d_free(path);

    u3d_test_nifti s = u3d_test_nifti_default();
    uint8_t file[U3D_TEST_NIFTI_HEADER + 48] = {0};
    size_t size = u3d_test_nifti_header(&s, true, file);
    path = u3d_test_path(dir, "half.nii"); /* its header says that the voxels are in another file */
    u3d_test_write_file(path, file, size + 52);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "pair");
    memset(file + 344, 0, 4);
    u3d_test_write_file(path, file, size + 52);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "ANALYZE");
    u3d_free(path);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    char *path = u3d_test_nifti_file(dir, "memory.img", &s, ramp);
    int64_t live = u3d_mem_live();
    for (int n = 1;; n++) {
        u3d_volume *v = NULL;
        u3d_mem_fail_at(n);
        u3d_status status = u3d_nifti_read(path, U3D_VOLUME_IMAGE, &v);
        u3d_mem_fail_at(0);
        if (status == U3D_OK) {
            assert_true(n > 5);
            u3d_volume_free(v);
            break;
        }
        assert_int_equal(status, U3D_E_NOMEM);
        assert_null(v);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_values),       cmocka_unit_test(test_lying_headers),
        cmocka_unit_test(test_absurd_dims),      cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_header_mutations), cmocka_unit_test(test_gzip_mutations),
        cmocka_unit_test(test_not_nifti),        cmocka_unit_test(test_out_of_memory),
    };
    dir = u3d_test_dir();
    u3d_log_set_level(U3D_LOG_ERROR); /* hundreds of damaged headers would give a warning each */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
