/* Small data sets for tests. The files are written with u3d's own NIfTI writer, and the u3d_dataset is filled
 * in directly instead of being found in the folder by io/dataset.c. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "io/volume.h"
#include "tests/support/support_nifti.h"

void u3d_test_set_new(u3d_test_set *s)
{
    memset(s, 0, sizeof *s);
    s->dir = u3d_test_dir();
    s->d.path = s->dir;
    s->spacing[0] = 2;
    s->spacing[1] = s->spacing[2] = 1;
}

void u3d_test_set_done(u3d_test_set *s)
{
    for (int i = 0; i < s->d.n_cases; i++) {
        u3d_case *c = &s->d.cases[i];
        u3d_free(c->id);
        for (int f = 0; f < c->n_images; f++) u3d_free(c->image[f]);
        u3d_free(c->image);
        u3d_free(c->label);
    }
    for (int i = 0; i < s->d.n_labels; i++) u3d_free(s->d.labels[i].name);
    for (int i = 0; i < s->d.n_channel_names; i++) u3d_free(s->d.channel_names[i]);
    u3d_free(s->d.cases);
    u3d_free(s->d.labels);
    u3d_free(s->d.channel_names);
    u3d_test_dir_done(s->dir);
}

static char *write_volume(const u3d_test_set *s, const char *name, const int64_t size[3], u3d_dtype dtype,
                          double add, u3d_test_voxel voxel, const void *user)
{
    u3d_volume *v = NULL;
    assert_ok(u3d_volume_new(size, s->spacing, dtype, 1, &v));
    for (int64_t z = 0, i = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[2]; x++, i++) {
                double value = voxel(z, y, x, user) + add;
                if (dtype == U3D_F32)
                    ((float *)v->data)[i] = (float)value;
                else
                    ((int32_t *)v->data)[i] = (int32_t)value;
            }
    char *path = u3d_test_path(s->dir, name);
    assert_ok(u3d_volume_write(path, v));
    u3d_volume_free(v);
    return path;
}

void u3d_test_set_add(u3d_test_set *s, const char *id, const int64_t size[3], int n_files,
                      u3d_test_voxel image, u3d_test_voxel label, const void *user)
{
    int n = s->d.n_cases;
    char name[96];
    s->d.cases = u3d_resize(s->d.cases, (size_t)n, (size_t)n + 1, sizeof *s->d.cases);
    assert_non_null(s->d.cases);
    u3d_case *c = &s->d.cases[n];
    c->id = u3d_strdup(id);
    c->n_images = n_files;
    c->image = u3d_new((size_t)n_files, sizeof *c->image);
    for (int f = 0; f < n_files; f++) {
        (void)snprintf(name, sizeof name, "%s_%04d.nii", id, f);
        c->image[f] = write_volume(s, name, size, U3D_F32, 1000.0 * f, image, user);
    }
    (void)snprintf(name, sizeof name, "%s_label.nii.gz", id);
    if (label) c->label = write_volume(s, name, size, U3D_I32, 0, label, user);
    s->d.n_cases++;
}

void u3d_test_set_name_label(u3d_test_set *s, int32_t value, const char *name)
{
    int n = s->d.n_labels++;
    s->d.labels = u3d_resize(s->d.labels, (size_t)n, (size_t)n + 1, sizeof *s->d.labels);
    assert_non_null(s->d.labels);
    s->d.labels[n] = (u3d_label_name){.value = value, .name = u3d_strdup(name)};
}

void u3d_test_set_name_channel(u3d_test_set *s, const char *name)
{
    int n = s->d.n_channel_names++;
    s->d.channel_names = u3d_resize(s->d.channel_names, (size_t)n, (size_t)n + 1, sizeof *s->d.channel_names);
    assert_non_null(s->d.channel_names);
    s->d.channel_names[n] = u3d_strdup(name);
}

u3d_status u3d_test_set_open(const u3d_test_set *s, u3d_intensity intensity, const u3d_cases_opts *o,
                             u3d_cases **out)
{
    int which[64];
    assert_true(s->d.n_cases <= 64);
    for (int i = 0; i < s->d.n_cases; i++) which[i] = i;
    return u3d_cases_open(&s->d, which, s->d.n_cases, intensity, o, out);
}

double u3d_test_voxel_mix(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    uint64_t h = (uint64_t)(z * 73856093 ^ y * 19349663 ^ x * 83492791) * 0x9E3779B97F4A7C15u;
    return (double)(h >> 48);
}

double u3d_test_voxel_ramp(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user;
    return (double)((z * 10 + y) * 10 + x);
}

double u3d_test_voxel_half(int64_t z, int64_t y, int64_t x, const void *user)
{
    (void)user, (void)y, (void)x;
    return z >= 5 ? 1 : 0;
}

double u3d_test_voxel_of_list(int64_t z, int64_t y, int64_t x, const void *user)
{
    const u3d_test_list *l = user;
    return l->value[(uint64_t)u3d_test_voxel_mix(z, y, x, NULL) % (uint64_t)l->n];
}

double u3d_test_voxel_slices(int64_t z, int64_t y, int64_t x, const void *user)
{
    const u3d_test_slices *s = user;
    int64_t half = s->step / 2;
    bool on = (s->across[0] && z % s->step == half) || (s->across[1] && y % s->step == half) ||
              (s->across[2] && x % s->step == half);
    return on ? (double)(1 + (z + y + x) / 5 % 2) : s->blank;
}

void u3d_test_storage(int s, int axis[3])
{
    static const int orders[6][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    for (int a = 0; a < 3; a++) axis[a] = s >> a & 1 ? -orders[s / 8][a] : orders[s / 8][a];
}

void u3d_test_store(const char *from, u3d_volume_kind kind, int s, const char *to)
{
    u3d_volume *v = NULL;
    int axis[3];
    u3d_test_storage(s, axis);
    assert_ok(u3d_volume_read(from, kind, &v));
    assert_ok(u3d_volume_turn(v, axis));
    u3d_volume_new_grid(v);
    assert_ok(u3d_volume_write(to, v));
    u3d_volume_free(v);
}

void u3d_test_says(const char *part)
{
    if (!strstr(u3d_error_text(), part)) fail_msg("'%s' does not contain '%s'", u3d_error_text(), part);
}

void u3d_test_close(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance)) fail_msg("got %.9g, expected %.9g", got, expected);
}

char *u3d_test_stderr_of(void (*run)(void *), void *user)
{
    char *dir = u3d_test_dir(), *path = u3d_test_path(dir, "stderr");
    (void)fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_non_null(freopen(path, "w", stderr));
    run(user);
    (void)fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    size_t size = 0;
    uint8_t *bytes = u3d_test_read_file(path, &size);
    char *text = u3d_new(size + 1, 1);
    assert_non_null(text);
    memcpy(text, bytes, size);
    u3d_free(bytes);
    u3d_free(path);
    u3d_test_dir_done(dir);
    return text;
}

int u3d_test_count_text(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) n++;
    return n;
}

u3d_augment u3d_test_augment_everything(void)
{
    u3d_config c;
    u3d_config_default(&c);
    assert_ok(u3d_config_set(&c, "augment=nnunet"));
    c.augment.p_elastic = 1;
    return (u3d_augment){.spacing = {1, 1, 1}, .set = c.augment};
}
