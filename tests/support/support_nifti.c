/* NIfTI files for tests: header fields are written by name, at the byte offsets that the format's own tables
 * give (nifti1.h, nifti2.h). */
#include "tests/support/support_nifti.h"

#include "engine/base/mem.h"

#include <dirent.h>
#include <nifti2_io.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Byte offset and bytes per element in versions 1 and 2; letter: i is an integer, f a real number. */
static const struct {
    const char *name;
    int count, offset1, width1, offset2, width2;
    char letter1, letter2;
} fields[] = {
    {"sizeof_hdr", 1, 0, 4, 0, 4, 'i', 'i'},     {"dim", 8, 40, 2, 16, 8, 'i', 'i'},
    {"datatype", 1, 70, 2, 12, 2, 'i', 'i'},     {"bitpix", 1, 72, 2, 14, 2, 'i', 'i'},
    {"pixdim", 8, 76, 4, 104, 8, 'f', 'f'},      {"vox_offset", 1, 108, 4, 168, 8, 'f', 'i'},
    {"scl_slope", 1, 112, 4, 176, 8, 'f', 'f'},  {"scl_inter", 1, 116, 4, 184, 8, 'f', 'f'},
    {"xyzt_units", 1, 123, 1, 500, 4, 'i', 'i'}, {"qform_code", 1, 252, 2, 344, 4, 'i', 'i'},
    {"sform_code", 1, 254, 2, 348, 4, 'i', 'i'}, {"quatern", 3, 256, 4, 352, 8, 'f', 'f'},
    {"qoffset", 3, 268, 4, 376, 8, 'f', 'f'},    {"srow", 12, 280, 4, 400, 8, 'f', 'f'},
};

u3d_test_nifti u3d_test_nifti_default(void)
{
    return (u3d_test_nifti){.version = 1,
                            .datatype = DT_INT16,
                            .dim = {3, 3, 4, 2, 1, 1, 1, 1},
                            .pixdim = {1, 1, 1, 1, 1, 1, 1, 1},
                            .descrip = "made by a test"};
}

int64_t u3d_test_nifti_values(const u3d_test_nifti *s)
{
    int64_t n = 1;
    for (int i = 1; i <= s->dim[0]; i++) n *= s->dim[i];
    return n;
}

int u3d_test_nifti_bytes(int datatype)
{
    switch (datatype) {
    case DT_UINT8:
    case DT_INT8: return 1;
    case DT_INT16:
    case DT_UINT16: return 2;
    case DT_INT32:
    case DT_UINT32:
    case DT_FLOAT32: return 4;
    default: return 8;
    }
}

static void put_bytes(uint8_t *at, const void *value, int width, bool swapped)
{
    for (int i = 0; i < width; i++) at[i] = ((const uint8_t *)value)[swapped ? width - 1 - i : i];
}

static void put_number(uint8_t *at, double value, int width, char letter, bool swapped)
{
    int64_t whole = letter == 'i' ? (int64_t)value : 0; /* assumes a little-endian host: low bytes first */
    float narrow = (float)value;
    if (letter == 'i')
        put_bytes(at, &whole, width, swapped);
    else if (width == 4)
        put_bytes(at, &narrow, width, swapped);
    else
        put_bytes(at, &value, width, swapped);
}

void u3d_test_nifti_put(const u3d_test_nifti *s, uint8_t *header, const char *field, double value)
{
    int index = 0;
    size_t length = strcspn(field, "[");
    if (field[length] == '[') index = atoi(field + length + 1);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strlen(fields[i].name) != length || strncmp(fields[i].name, field, length) != 0) continue;
        bool one = s->version == 1;
        int offset = one ? fields[i].offset1 : fields[i].offset2,
            width = one ? fields[i].width1 : fields[i].width2;
        assert_in_range(index, 0, fields[i].count - 1);
        put_number(header + offset + index * width, value, width, one ? fields[i].letter1 : fields[i].letter2,
                   s->swapped);
        return;
    }
    fail_msg("the header has no field '%s'", field);
}

size_t u3d_test_nifti_header(const u3d_test_nifti *s, bool pair, uint8_t bytes[U3D_TEST_NIFTI_HEADER])
{
    const int size = s->version == 1 ? 348 : 540;
    char name[32];
    memset(bytes, 0, U3D_TEST_NIFTI_HEADER);
    u3d_test_nifti_put(s, bytes, "sizeof_hdr", size);
    u3d_test_nifti_put(s, bytes, "datatype", s->datatype);
    u3d_test_nifti_put(s, bytes, "bitpix", 8 * u3d_test_nifti_bytes(s->datatype));
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "dim[%d]", i);
        u3d_test_nifti_put(s, bytes, name, (double)s->dim[i]);
        snprintf(name, sizeof name, "pixdim[%d]", i);
        u3d_test_nifti_put(s, bytes, name, s->pixdim[i]);
    }
    u3d_test_nifti_put(s, bytes, "vox_offset", pair ? 0 : size + 4);
    u3d_test_nifti_put(s, bytes, "scl_slope", s->slope);
    u3d_test_nifti_put(s, bytes, "scl_inter", s->inter);
    u3d_test_nifti_put(s, bytes, "xyzt_units", 10);
    u3d_test_nifti_put(s, bytes, "qform_code", s->qform_code);
    u3d_test_nifti_put(s, bytes, "sform_code", s->sform_code);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "quatern[%d]", i);
        u3d_test_nifti_put(s, bytes, name, s->quatern[i]);
        snprintf(name, sizeof name, "qoffset[%d]", i);
        u3d_test_nifti_put(s, bytes, name, s->qoffset[i]);
    }
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "srow[%d]", i);
        u3d_test_nifti_put(s, bytes, name, s->sform[i / 4][i % 4]);
    }
    if (s->descrip) memcpy(bytes + (s->version == 1 ? 148 : 240), s->descrip, strlen(s->descrip));
    if (s->version == 1)
        memcpy(bytes + 344, pair ? "ni1" : "n+1", 4);
    else
        memcpy(bytes + 4, pair ? "ni2\0\r\n\032\n" : "n+2\0\r\n\032\n", 8);
    return (size_t)size + (pair ? 0 : 4);
}

uint8_t *u3d_test_nifti_data(const u3d_test_nifti *s, const double *values, size_t *size)
{
    const int width = u3d_test_nifti_bytes(s->datatype);
    const bool real = s->datatype == DT_FLOAT32 || s->datatype == DT_FLOAT64;
    const int64_t n = u3d_test_nifti_values(s);
    uint8_t *bytes = u3d_new((size_t)n, (size_t)width);
    assert_non_null(bytes);
    for (int64_t i = 0; i < n; i++)
        put_number(bytes + i * width, values[i], width, real ? 'f' : 'i', s->swapped);
    *size = (size_t)(n * width);
    return bytes;
}

void u3d_test_write_file(const char *path, const void *bytes, size_t size)
{
    /* ext4 flushes a file to disk if it is truncated and rewritten; with thousands of files, minutes pass. */
    unlink(path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

void u3d_test_write_gz(const char *path, const void *bytes, size_t size)
{
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzfwrite(bytes, 1, size, f), size);
    assert_int_equal(gzclose(f), Z_OK);
}

uint8_t *u3d_test_read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = u3d_new(*size + 1, 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static bool name_ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), tail = strlen(ending);
    return length >= tail && strcmp(name + length - tail, ending) == 0;
}

char *u3d_test_nifti_file(const char *dir, const char *name, const u3d_test_nifti *s, const double *values)
{
    uint8_t header[U3D_TEST_NIFTI_HEADER];
    const bool zip = name_ends_with(name, ".gz"), pair = strstr(name, ".img") != NULL;
    size_t header_size = u3d_test_nifti_header(s, pair, header), data_size = 0;
    uint8_t *data = u3d_test_nifti_data(s, values, &data_size);
    size_t lead = pair ? 0 : header_size;
    uint8_t *whole = u3d_new(lead + data_size, 1);
    assert_non_null(whole);
    memcpy(whole, header, lead);
    memcpy(whole + lead, data, data_size);
    char *path = u3d_test_path(dir, name);
    if (zip)
        u3d_test_write_gz(path, whole, lead + data_size);
    else
        u3d_test_write_file(path, whole, lead + data_size);
    if (pair) {
        char *beside = u3d_format("%.*s.hdr", (int)(strstr(path, ".img") - path), path);
        assert_non_null(beside);
        u3d_test_write_file(beside, header, header_size);
        u3d_free(beside);
    }
    u3d_free(whole);
    u3d_free(data);
    return path;
}

int u3d_test_count_files(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *entry = readdir(d); entry; entry = readdir(d))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(d);
    return n;
}

void u3d_test_refused(const char *path, u3d_volume_kind kind, const char *says)
{
    u3d_volume *v = NULL;
    int64_t live = u3d_mem_live();
    u3d_status status = u3d_volume_read(path, kind, &v);
    if (status != U3D_E_FORMAT && status != U3D_E_IO)
        fail_msg("'%s' returned status %d instead of U3D_E_FORMAT or U3D_E_IO", path, status);
    assert_null(v);
    assert_int_equal(u3d_mem_live(), live);
    const char *text = u3d_error_text(), *stem = strrchr(path, '/') + 1;
    size_t length = strcspn(stem, ".");
    char *name = u3d_format("%.*s", (int)length, stem);
    if (!strstr(text, name)) fail_msg("'%s' does not name the file %s", text, name);
    if (says && !strstr(text, says)) fail_msg("'%s' does not contain '%s'", text, says);
    u3d_free(name);
}
