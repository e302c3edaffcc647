/* Tests of orientation: however a volume is stored, reading gives the same array at the same place, and
 * writing puts it back. Also tests units of length, and whether labels fit on the grid of an image.
 *
 * A volume is described here by its own axes (not by its file's): a direction and a spacing for each. Files
 * store it with these axes exchanged and reversed in each of the 48 ways, and each voxel's value says which
 * voxel it is. */
#include "tests/support/support_cases.h"
#include "tests/support/support_nifti.h"

#include "engine/base/mem.h"
#include "io/volume.h"

#include <math.h>
#include <nifti2_io.h>
#include <string.h>
#include <unistd.h>

enum { STORAGES = 48, VOXELS = 3 * 4 * 5 };

static char *dir;
static const int64_t own_size[3] = {3, 4, 5}; /* along the volume's own axes */

/* Axis f of storage s is the own axis axis[f], reversed if flip[f]. */
typedef struct storage {
    int axis[3];
    bool flip[3];
} storage;

static storage storage_of(int s)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    storage out;
    for (int f = 0; f < 3; f++) {
        out.axis[f] = orders[s / 8][f];
        out.flip[f] = s >> f & 1;
    }
    return out;
}

/* Own index of a voxel of the file, both with the first axis fastest. */
static int own_voxel(const storage *s, const int64_t at[3])
{
    int64_t own[3];
    for (int f = 0; f < 3; f++) own[s->axis[f]] = s->flip[f] ? own_size[s->axis[f]] - 1 - at[f] : at[f];
    return (int)(own[0] + own_size[0] * (own[1] + own_size[1] * own[2]));
}

/* Describes the file of storage s of the volume with this affine, and its values. */
static u3d_test_nifti stored_spec(const double own[3][4], const storage *s, double values[VOXELS])
{
    u3d_test_nifti spec = u3d_test_nifti_default();
    spec.sform_code = 1;
    for (int w = 0; w < 3; w++) spec.sform[w][3] = own[w][3];
    for (int f = 0; f < 3; f++) {
        const int a = s->axis[f];
        spec.dim[1 + f] = own_size[a];
        spec.pixdim[1 + f] = hypot(hypot(own[0][a], own[1][a]), own[2][a]);
        for (int w = 0; w < 3; w++) {
            spec.sform[w][f] = s->flip[f] ? -own[w][a] : own[w][a];
            if (s->flip[f]) spec.sform[w][3] += own[w][a] * (double)(own_size[a] - 1);
        }
    }
    int64_t at[3], i = 0;
    for (at[2] = 0; at[2] < spec.dim[3]; at[2]++)
        for (at[1] = 0; at[1] < spec.dim[2]; at[1]++)
            for (at[0] = 0; at[0] < spec.dim[1]; at[0]++) values[i++] = own_voxel(s, at);
    return spec;
}

static char *stored_file(const char *name, const double own[3][4], int s)
{
    double values[VOXELS];
    const storage how = storage_of(s);
    const u3d_test_nifti spec = stored_spec(own, &how, values);
    return u3d_test_nifti_file(dir, name, &spec, values);
}

static u3d_volume *read_labels(const char *path)
{
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_read(path, U3D_VOLUME_LABEL, &v));
    return v;
}

/* Checks that each voxel in memory lies where its value says. */
static void check_places(const u3d_volume *v, const double own[3][4])
{
    for (int64_t z = 0, i = 0; z < v->size[0]; z++)
        for (int64_t y = 0; y < v->size[1]; y++)
            for (int64_t x = 0; x < v->size[2]; x++, i++) {
                const int id = ((int32_t *)v->data)[i];
                const double is[3] = {id % 3, id / 3 % 4, id / 12}, at[3] = {(double)x, (double)y, (double)z};
                for (int w = 0; w < 3; w++) {
                    double place = v->voxel_to_world[w][3], wanted = own[w][3];
                    for (int a = 0; a < 3; a++) {
                        place += v->voxel_to_world[w][a] * at[a];
                        wanted += own[w][a] * is[a];
                    }
                    if (!(fabs(place - wanted) < 1e-3))
                        fail_msg("voxel %d lies at %g, not %g", id, place, wanted);
                }
            }
}

/* Writes the volume and checks that the file is that of storage s again, except for the data type. */
static void check_written(const u3d_volume *v, const char *in)
{
    size_t n_in, n_out;
    char *out = u3d_test_path(dir, "out.nii");
    assert_ok(u3d_volume_write(out, v));
    uint8_t *a = u3d_test_read_file(in, &n_in), *b = u3d_test_read_file(out, &n_out);
    assert_int_equal(n_in, 352 + 2 * VOXELS);
    assert_int_equal(n_out, 352 + VOXELS);
    assert_memory_equal(a + 40, b + 40, 16);   /* dim */
    assert_memory_equal(a + 76, b + 76, 16);   /* pixdim */
    assert_int_equal(a[123], b[123]);          /* xyzt_units */
    assert_memory_equal(a + 252, b + 252, 76); /* codes, qform, sform */
    for (int i = 0; i < VOXELS; i++) assert_int_equal(a[352 + 2 * i], b[352 + i]);
    u3d_free(a);
    u3d_free(b);
    u3d_free(out);
}

static void check_storages(const double own[3][4])
{
    u3d_volume *first = NULL;
    for (int s = 0; s < STORAGES; s++) {
        char *path = stored_file("stored.nii", own, s);
        u3d_volume *v = read_labels(path), *header = NULL;
        check_places(v, own);
        check_written(v, path);
        assert_ok(u3d_volume_probe(path, &header));
        assert_memory_equal(header->size, v->size, sizeof v->size);
        assert_memory_equal(header->voxel_to_world, v->voxel_to_world, sizeof v->voxel_to_world);
        for (int64_t i = 0; i < VOXELS; i++) {
            int64_t xyz[3];
            const storage how = storage_of(s);
            u3d_volume_file_voxel(v, i, xyz);
            assert_int_equal(own_voxel(&how, xyz), ((int32_t *)v->data)[i]);
        }
        if (!first) {
            first = v;
        } else {
            assert_memory_equal(v->size, first->size, sizeof v->size);
            assert_memory_equal(v->data, first->data, VOXELS * sizeof(int32_t));
            u3d_volume_free(v);
        }
        u3d_volume_free(header);
        u3d_free(path);
    }
    u3d_volume_free(first);
}

/* The product of rotations about x, y and z by these degrees, with spacing 0.5, 1.25 and 3. */
static void rotated(const double degrees[3], double own[3][4])
{
    const double spacing[3] = {0.5, 1.25, 3};
    double r[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (int a = 0; a < 3; a++) {
        const double angle = degrees[a] * M_PI / 180;
        const int p = (a + 1) % 3, q = (a + 2) % 3;
        for (int w = 0; w < 3; w++) {
            const double along_p = r[w][p], along_q = r[w][q];
            r[w][p] = cos(angle) * along_p + sin(angle) * along_q;
            r[w][q] = cos(angle) * along_q - sin(angle) * along_p;
        }
    }
    for (int w = 0; w < 3; w++) {
        own[w][3] = 10.5 * w - 20;
        for (int a = 0; a < 3; a++) own[w][a] = r[w][a] * spacing[a];
    }
}

static void test_48_storages(void **state)
{
    (void)state;
    double own[3][4];
    static const double angles[][3] = {{0, 0, 0},   {20, -15, 30}, {0, 0, 45},      {45, 0, 0},
                                       {0, 45, 0},  {45, 45, 0},   {45, 45, 45},    {0, 0, 44.999},
                                       {90, 0, 60}, {10, 80, -50}, {54.7356, 0, 45}};
    for (size_t i = 0; i < sizeof angles / sizeof angles[0]; i++) {
        rotated(angles[i], own);
        check_storages((const double(*)[4])own);
    }
    u3d_rng rng = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    for (int trial = 0; trial < 10; trial++) {
        double random[3];
        for (int a = 0; a < 3; a++) random[a] = 360 * u3d_rng_uniform(&rng);
        rotated(random, own);
        for (int w = 0; w < 3; w++) own[w][trial % 3] += 0.1 * own[w][(trial + 1) % 3]; /* sheared */
        check_storages((const double(*)[4])own);
    }
}

/* In memory, x, y and z run to the right, front and top. The pairing is nibabel's for headers that it can
 * tell. */
static void test_closest_orientation(void **state)
{
    (void)state;
    static const struct {
        double m[3][4];
        int axis[3];
    } cases[] = {
        {{{2, 0, 0, 0}, {0, 3, 0, 0}, {0, 0, 4, 0}}, {1, 2, 3}},
        {{{-2, 0, 0, 0}, {0, -3, 0, 0}, {0, 0, 4, 0}}, {-1, -2, 3}}, /* DICOM's LPS */
        {{{0, 0, 3, 0}, {-1, 0, 0, 0}, {0, -1, 0, 0}}, {3, -1, -2}}, /* sagittal slices */
        {{{0.9, -0.4, 0, 0}, {0.4, 0.9, 0, 0}, {0, 0, -1, 0}}, {1, 2, -3}},
        {{{1, 0, 5, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}, {1, 2, 3}}, /* a sheared stack: z leans to the right */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int axis[3];
        u3d_orientation_of(cases[i].m, axis);
        assert_memory_equal(axis, cases[i].axis, sizeof axis);
    }
}

static void test_channels_and_faults(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    const double sform[3][4] = {{0, 0, -1, 0}, {-1, 0, 0, 0}, {0, 1, 0, 0}};
    double values[72];
    s.dim[0] = 4, s.dim[4] = 3;
    s.sform_code = 1;
    s.datatype = DT_FLOAT32;
    memcpy(s.sform, sform, sizeof sform);
    for (int i = 0; i < 72; i++) values[i] = i;
    char *path = u3d_test_nifti_file(dir, "channels.nii", &s, values), *out = u3d_test_path(dir, "same.nii");
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_read(path, U3D_VOLUME_IMAGE, &v));
    assert_int_equal(v->size[0], 4); /* up is the file's y, front its x reversed, right its z reversed */
    assert_int_equal(v->size[1], 3);
    assert_int_equal(v->size[2], 2);
    for (int c = 0; c < 3; c++) assert_float_equal(((float *)v->data)[c], (float)(24 * c + 14), 0);
    assert_ok(u3d_volume_write(out, v));
    size_t n_in, n_out;
    uint8_t *a = u3d_test_read_file(path, &n_in), *b = u3d_test_read_file(out, &n_out);
    assert_int_equal(n_in, n_out);
    assert_memory_equal(a + 352, b + 352, n_in - 352);
    u3d_free(a);
    u3d_free(b);
    u3d_volume_free(v);
    u3d_free(path);
    u3d_free(out);

    values[24 + 12 + 3 + 2] = NAN; /* channel 1, z 1, y 1, x 2 */
    path = u3d_test_nifti_file(dir, "fault.nii", &s, values);
    u3d_test_refused(path, U3D_VOLUME_IMAGE, "x,y,z = 2,1,1");
    u3d_free(path);
}

/* Metres and micrometres are read as millimetres, and the header is written back. */
static void test_units(void **state)
{
    (void)state;
    static const struct {
        int code;
        double per_mm;
    } units[] = {{2, 1}, {0, 1}, {1, 1e-3}, {3, 1e3}, {1 + 8, 1e-3}, {3 + 16, 1e3}, {8, 1}, {7, 1}};
    for (size_t i = 0; i < 2 * sizeof units / sizeof units[0]; i++) {
        const double u = units[i / 2].per_mm;
        u3d_test_nifti s = u3d_test_nifti_default();
        uint8_t header[U3D_TEST_NIFTI_HEADER];
        const double sform[3][4] = {
            {-0.5 * u, 0, 0, 40 * u}, {0, 1.5 * u, 0, -10 * u}, {0, 0, 2.5 * u, 7 * u}};
        s.pixdim[1] = 0.5 * u, s.pixdim[2] = 1.5 * u, s.pixdim[3] = 2.5 * u;
        if (i % 2) {
            s.sform_code = 1;
            memcpy(s.sform, sform, sizeof sform);
        } else {
            s.qform_code = 1;
            s.qoffset[0] = 39.5 * u, s.qoffset[1] = -10 * u, s.qoffset[2] = 7 * u;
        }
        const double zeros[24] = {0};
        char *path = u3d_test_nifti_file(dir, "units.nii", &s, zeros), *out = u3d_test_path(dir, "back.nii");
        (void)u3d_test_nifti_header(&s, false, header);
        u3d_test_nifti_put(&s, header, "xyzt_units", units[i / 2].code);
        size_t size, size_out;
        uint8_t *bytes = u3d_test_read_file(path, &size);
        memcpy(bytes, header, 348);
        u3d_test_write_file(path, bytes, size);
        u3d_volume *v = read_labels(path);
        assert_float_equal(v->spacing[2], 0.5, 1e-6);
        assert_float_equal(v->spacing[1], 1.5, 1e-6);
        assert_float_equal(v->spacing[0], 2.5, 1e-6);
        assert_float_equal(v->voxel_to_world[0][0], 0.5, 1e-6);
        assert_float_equal(v->voxel_to_world[0][3], (i % 2 ? 39.0F : 39.5F), 1e-5);
        assert_float_equal(v->voxel_to_world[1][3], -10, 1e-5);
        assert_ok(u3d_volume_write(out, v));
        uint8_t *written = u3d_test_read_file(out, &size_out);
        assert_memory_equal(written + 76, bytes + 76, 16);
        assert_int_equal(written[123], units[i / 2].code);
        assert_memory_equal(written + 252, bytes + 252, 76);
        u3d_volume_free(v);
        u3d_free(bytes);
        u3d_free(written);
        u3d_free(path);
        u3d_free(out);
    }
}

static void read_and_free(void *path)
{
    u3d_volume *v = read_labels(path);
    u3d_volume_free(v);
}

/* Counts the warnings with this text that reading a file with these fields causes. */
static int warnings(const u3d_test_nifti *s, int units, const char *text)
{
    const double zeros[24] = {0};
    char *path = u3d_test_nifti_file(dir, "warned.nii", s, zeros);
    size_t size;
    uint8_t *bytes = u3d_test_read_file(path, &size);
    u3d_test_nifti_put(s, bytes, "xyzt_units", units);
    u3d_test_write_file(path, bytes, size);
    char *said = u3d_test_stderr_of(read_and_free, path);
    const int n = u3d_test_count_text(said, text);
    u3d_free(bytes);
    u3d_free(said);
    u3d_free(path);
    return n;
}

/* This test must be the first one, because the program says only once that a volume has no place in space. */
static void test_said_once(void **state)
{
    (void)state;
    const u3d_test_nifti s = u3d_test_nifti_default();
    assert_int_equal(warnings(&s, 2, "does not say where it lies in space"), 1);
    assert_int_equal(warnings(&s, 2, "does not say where it lies in space"), 0);
}

static void test_implausible_unit(void **state)
{
    (void)state;
    u3d_test_nifti s = u3d_test_nifti_default();
    assert_int_equal(warnings(&s, 1, "its unit is metres"), 1);
    assert_int_equal(warnings(&s, 2, "its unit is metres"), 0);
    for (int a = 1; a <= 3; a++) s.pixdim[a] = 0.001;
    assert_int_equal(warnings(&s, 1, "its unit is metres"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_said_once),           cmocka_unit_test(test_implausible_unit),
        cmocka_unit_test(test_48_storages),         cmocka_unit_test(test_closest_orientation),
        cmocka_unit_test(test_channels_and_faults), cmocka_unit_test(test_units),
    };
    dir = u3d_test_dir();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
