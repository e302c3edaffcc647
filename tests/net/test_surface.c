/* Tests of the distances between surfaces (net/evaluate/surface.h, distance.h), which are compared with their
 * definitions, computed by brute force: the distance of every surface voxel of one mask to every surface
 * voxel of the other, sorted lists, sums in long double. */
#include "tests/support/support_nifti.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "engine/base/rng.h"
#include "io/path.h"
#include "net/evaluate/surface.h"

static const double BAR = 1e-9; /* limit of the relative error; only 1e-6 is promised */

/* ---- the definitions, by brute force ---- */

typedef struct list {
    double (*at)[3]; /* positions z, y, x in the unit of the spacing */
    int n;
} list;

static bool inside(const u3d_volume *v, int64_t z, int64_t y, int64_t x, int32_t value)
{
    if (z < 0 || y < 0 || x < 0 || z >= v->size[0] || y >= v->size[1] || x >= v->size[2]) return false;
    return ((const int32_t *)v->data)[(z * v->size[1] + y) * v->size[2] + x] == value;
}

static list force_surface(const u3d_volume *v, int32_t value)
{
    list s = {u3d_new((size_t)u3d_volume_voxels(v), sizeof *s.at), 0};
    assert_non_null(s.at);
    for (int64_t z = 0; z < v->size[0]; z++)
        for (int64_t y = 0; y < v->size[1]; y++)
            for (int64_t x = 0; x < v->size[2]; x++) {
                if (!inside(v, z, y, x, value)) continue;
                if (inside(v, z - 1, y, x, value) && inside(v, z + 1, y, x, value) &&
                    inside(v, z, y - 1, x, value) && inside(v, z, y + 1, x, value) &&
                    inside(v, z, y, x - 1, value) && inside(v, z, y, x + 1, value))
                    continue;
                const double at[3] = {(double)z * v->spacing[0], (double)y * v->spacing[1],
                                      (double)x * v->spacing[2]};
                memcpy(s.at[s.n++], at, sizeof at);
            }
    return s;
}

static double *force_distances(const list *from, const list *to)
{
    double *d = u3d_new((size_t)from->n, sizeof *d);
    assert_non_null(d);
    for (int i = 0; i < from->n; i++) {
        double best = INFINITY;
        for (int j = 0; j < to->n; j++) {
            const double z = from->at[i][0] - to->at[j][0], y = from->at[i][1] - to->at[j][1],
                         x = from->at[i][2] - to->at[j][2];
            best = fmin(best, sqrt(z * z + y * y + x * x));
        }
        d[i] = best;
    }
    return d;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy.percentile(d, 95) of a sorted list. */
static double force_p95(const double *d, int n)
{
    const double rank = 0.95 * (n - 1);
    const int below = (int)rank, above = below + 1 < n ? below + 1 : below;
    return d[below] + (rank - below) * (d[above] - d[below]);
}

static u3d_surface_scores force_scores(const list *a, const list *b, double tolerance)
{
    if (a->n == 0 && b->n == 0) return (u3d_surface_scores){NAN, NAN, NAN, NAN};
    if (a->n == 0 || b->n == 0) return (u3d_surface_scores){NAN, NAN, NAN, 0};
    double *da = force_distances(a, b), *db = force_distances(b, a);
    long double sum_a = 0, sum_b = 0;
    int within = 0;
    for (int i = 0; i < a->n; i++) within += da[i] <= tolerance, sum_a += da[i];
    for (int i = 0; i < b->n; i++) within += db[i] <= tolerance, sum_b += db[i];
    qsort(da, (size_t)a->n, sizeof *da, by_value);
    qsort(db, (size_t)b->n, sizeof *db, by_value);
    const u3d_surface_scores s = {.hd95 = fmax(force_p95(da, a->n), force_p95(db, b->n)),
                                  .assd = (double)((sum_a + sum_b) / (a->n + b->n)),
                                  .masd = (double)((sum_a / a->n + sum_b / b->n) / 2),
                                  .nsd = (double)within / (a->n + b->n)};
    u3d_free(da);
    u3d_free(db);
    return s;
}

/* ---- comparing ---- */

static void same_number(const char *what, const char *name, int32_t label, double got, double want)
{
    if (isnan(got) && isnan(want)) return;
    if (!(fabs(got - want) <= BAR * fmax(1, fabs(want))))
        fail_msg("%s, label %d: %s is %.17g, but brute force gives %.17g", what, label, name, got, want);
}

static u3d_surface_scores scores_of(const u3d_volume *a, const u3d_volume *b, int32_t label, double tolerance,
                                    int threads)
{
    u3d_points p, r;
    u3d_surface_scores s;
    assert_ok(u3d_surface_voxels(a, &label, 1, threads, &p));
    assert_ok(u3d_surface_voxels(b, &label, 1, threads, &r));
    assert_ok(u3d_surface_compare(&p, &r, a->spacing, tolerance, threads, &s));
    u3d_points_free(&p, 1);
    u3d_points_free(&r, 1);
    return s;
}

static void same_as_by_force(const char *what, const u3d_volume *a, const u3d_volume *b, int32_t label,
                             double tolerance)
{
    list la = force_surface(a, label), lb = force_surface(b, label);
    const u3d_surface_scores want = force_scores(&la, &lb, tolerance),
                             got = scores_of(a, b, label, tolerance, 1),
                             again = scores_of(a, b, label, tolerance, 3);
    same_number(what, "HD95", label, got.hd95, want.hd95);
    same_number(what, "ASSD", label, got.assd, want.assd);
    same_number(what, "MASD", label, got.masd, want.masd);
    same_number(what, "NSD", label, got.nsd, want.nsd);
    assert_memory_equal(&got, &again, sizeof got); /* with three threads as with one */
    u3d_free(la.at);
    u3d_free(lb.at);
}

/* ---- masks ---- */

static u3d_volume *volume_new(int64_t z, int64_t y, int64_t x, const double spacing[3])
{
    u3d_volume *v;
    assert_ok(u3d_volume_new((int64_t[]){z, y, x}, spacing, U3D_I32, 1, &v));
    return v;
}

static void set(u3d_volume *v, int64_t z, int64_t y, int64_t x, int32_t value)
{
    ((int32_t *)v->data)[(z * v->size[1] + y) * v->size[2] + x] = value;
}

/* Gives every voxel a random label from 0 to 3, independently of its neighbours. `fill` is the share of
 * labels other than 0. */
static void noise(u3d_volume *v, u3d_rng *r, double fill)
{
    for (int64_t i = 0; i < u3d_volume_voxels(v); i++)
        ((int32_t *)v->data)[i] = u3d_rng_uniform(r) < fill ? 1 + (int32_t)u3d_rng_below(r, 3) : 0;
}

/* Fills the volume with n balls, which may be cut off by its border. */
static void balls(u3d_volume *v, u3d_rng *r, int n)
{
    memset(v->data, 0, (size_t)u3d_volume_voxels(v) * sizeof(int32_t));
    for (int k = 0; k < n; k++) {
        double c[3];
        const double radius = 1 + 6 * u3d_rng_uniform(r);
        for (int a = 0; a < 3; a++) c[a] = u3d_rng_uniform(r) * (double)v->size[a];
        for (int64_t z = 0; z < v->size[0]; z++)
            for (int64_t y = 0; y < v->size[1]; y++)
                for (int64_t x = 0; x < v->size[2]; x++)
                    if (hypot(hypot((double)z - c[0], (double)y - c[1]), (double)x - c[2]) < radius)
                        set(v, z, y, x, 1 + k % 3);
    }
}

static void random_spacing(u3d_rng *r, double spacing[3])
{
    for (int a = 0; a < 3; a++) spacing[a] = 0.2 + 3 * u3d_rng_uniform(r);
}

/* ---- tests ---- */

static void random_masks(void **state)
{
    (void)state;
    static const double FILL[] = {0.01, 0.1, 0.5, 0.95};
    for (uint64_t k = 0; k < 240; k++) {
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, k);
        double spacing[3];
        char what[64];
        random_spacing(&r, spacing);
        const int64_t z = 1 + u3d_rng_below(&r, 12), y = 1 + u3d_rng_below(&r, 12),
                      x = 1 + u3d_rng_below(&r, 12);
        u3d_volume *a = volume_new(z, y, x, spacing), *b = volume_new(z, y, x, spacing);
        noise(a, &r, FILL[k % 4]);
        noise(b, &r, FILL[k / 4 % 4]);
        (void)snprintf(what, sizeof what, "noise %d", (int)k);
        for (int32_t label = 1; label <= 4; label++)
            same_as_by_force(what, a, b, label, 2 * u3d_rng_uniform(&r));
        u3d_volume_free(a);
        u3d_volume_free(b);
    }
}

/* Balls that are far apart or close together, in volumes so long that the distance transform computes whole
 * rows instead of searching them voxel by voxel (see distance.c). */
static void random_balls(void **state)
{
    (void)state;
    static const int64_t SIZES[][3] = {{24, 30, 36}, {8, 9, 150}, {9, 150, 8},
                                       {150, 8, 9},  {1, 60, 70}, {40, 1, 64}};
    for (uint64_t k = 0; k < 36; k++) {
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1000 + k);
        const int64_t *size = SIZES[k % 6];
        double spacing[3];
        char what[64];
        random_spacing(&r, spacing);
        u3d_volume *a = volume_new(size[0], size[1], size[2], spacing),
                   *b = volume_new(size[0], size[1], size[2], spacing);
        balls(a, &r, 1 + (int)u3d_rng_below(&r, 6));
        balls(b, &r, 1 + (int)u3d_rng_below(&r, 6));
        (void)snprintf(what, sizeof what, "balls %d", (int)k);
        for (int32_t label = 1; label <= 3; label++) same_as_by_force(what, a, b, label, 1);
        u3d_volume_free(a);
        u3d_volume_free(b);
    }
}

/* Many voxels in one mask and few in the other, far away: rows are searched so often that they are computed,
 * and their envelopes have many sites of different heights. */
static void many_against_few(void **state)
{
    (void)state;
    for (uint64_t k = 0; k < 24; k++) {
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2000 + k);
        double spacing[3];
        char what[64];
        random_spacing(&r, spacing);
        u3d_volume *a = volume_new(12, 8, 60, spacing), *b = volume_new(12, 8, 60, spacing);
        noise(a, &r, 0.6);
        noise(b, &r, 0.002 * (double)(1 + k % 4));
        (void)snprintf(what, sizeof what, "many against few %d", (int)k);
        for (int32_t label = 1; label <= 3; label++) same_as_by_force(what, a, b, label, 3);
        u3d_volume_free(a);
        u3d_volume_free(b);
    }
}

static void single_voxels(void **state)
{
    (void)state;
    const double spacing[3] = {3, 0.5, 4};
    u3d_volume *a = volume_new(5, 9, 6, spacing), *b = volume_new(5, 9, 6, spacing);
    set(a, 1, 2, 1, 1);
    set(b, 2, 2, 2, 1); /* 3 away along z and 4 along x, so the distance is 5 */
    u3d_surface_scores s = scores_of(a, b, 1, 5, 2);
    assert_true(s.hd95 == 5 && s.assd == 5 && s.masd == 5 && s.nsd == 1); /* 5 is within a tolerance of 5 */
    assert_true(scores_of(a, b, 1, 4.999, 2).nsd == 0);
    s = scores_of(a, a, 1, 0, 1);
    assert_true(s.hd95 == 0 && s.assd == 0 && s.masd == 0 && s.nsd == 1);
    set(b, 2, 8, 2, 1); /* 6 rows of 0.5 further: distances from a: 5; from b: 5 and hypot(5, 3) */
    s = scores_of(a, b, 1, 5, 1);
    const double far = sqrt(5 * 5 + 3 * 3);
    assert_true(fabs(s.assd - (5 + 5 + far) / 3) < 1e-12 && fabs(s.masd - (5 + (5 + far) / 2) / 2) < 1e-12);
    assert_true(fabs(s.hd95 - (5 + 0.95 * (far - 5))) < 1e-12 && fabs(s.nsd - 2.0 / 3) < 1e-12);
    u3d_volume_free(a);
    u3d_volume_free(b);
}

/* A distance that equals the tolerance is within it, although a header rounds the spacing to float32. */
static void rounded_spacing(void **state)
{
    (void)state;
    for (int metres = 0; metres < 2; metres++) {
        const double side = metres ? 1000 * (double)0.0005f : (double)0.1f; /* metres as mm; mm */
        u3d_volume *a = volume_new(1, 1, 12, (double[]){side, side, side}),
                   *b = volume_new(1, 1, 12, (double[]){side, side, side});
        assert_true(side > (metres ? 0.5 : 0.1));
        set(a, 0, 0, 0, 1);
        set(b, 0, 0, metres ? 2 : 10, 1);
        assert_true(scores_of(a, b, 1, 1, 1).nsd == 1);
        assert_true(scores_of(a, b, 1, 0.99999, 1).nsd == 0);
        u3d_volume_free(a);
        u3d_volume_free(b);
    }
}

static void empty_masks(void **state)
{
    (void)state;
    const double spacing[3] = {1, 1, 1};
    u3d_volume *a = volume_new(2, 3, 4, spacing), *b = volume_new(2, 3, 4, spacing);
    u3d_surface_scores s = scores_of(a, b, 1, 1, 2);
    assert_true(isnan(s.hd95) && isnan(s.assd) && isnan(s.masd) && isnan(s.nsd));
    set(a, 0, 0, 0, 1);
    for (int swapped = 0; swapped < 2; swapped++) {
        s = swapped ? scores_of(b, a, 1, 1, 2) : scores_of(a, b, 1, 1, 2);
        assert_true(isnan(s.hd95) && isnan(s.assd) && isnan(s.masd) && s.nsd == 0);
    }
    u3d_volume_free(a);
    u3d_volume_free(b);
}

/* A mask that fills its volume must have a surface, because everything outside of the volume counts as
 * outside of the mask. */
static void borders_count_as_outside(void **state)
{
    (void)state;
    u3d_volume *a = volume_new(4, 5, 6, (double[]){1, 1, 1}), *b = volume_new(1, 1, 1, (double[]){1, 1, 1});
    const int32_t label = 7;
    u3d_points p;
    for (int64_t i = 0; i < u3d_volume_voxels(a); i++) ((int32_t *)a->data)[i] = label;
    assert_ok(u3d_surface_voxels(a, &label, 1, 2, &p));
    assert_int_equal(p.n, 4 * 5 * 6 - 2 * 3 * 4);
    u3d_points_free(&p, 1);
    set(b, 0, 0, 0, label);
    assert_ok(u3d_surface_voxels(b, &label, 1, 2, &p));
    assert_true(p.n == 1 && p.at[0][0] == 0 && p.at[0][1] == 0 && p.at[0][2] == 0);
    u3d_points_free(&p, 1);
    u3d_volume_free(a);
    u3d_volume_free(b);
}

/* If the surfaces of several labels are found at once, every list must contain the voxels of its own label in
 * the order of the volume, and labels that touch must count as outside of each other. */
static void labels_share_a_look(void **state)
{
    (void)state;
    static const int32_t VALUES[] = {-3, 1, 2, 3, 99};
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 5000);
    u3d_volume *v = volume_new(9, 8, 7, (double[]){1, 1, 1});
    u3d_points p[5];
    noise(v, &r, 0.9);
    for (int32_t y = 2; y < 5; y++)
        for (int32_t x = 2; x < 5; x++)
            for (int32_t z = 2; z < 5; z++) set(v, z, y, x, -3); /* all of the 27 except one are surface */
    assert_ok(u3d_surface_voxels(v, VALUES, 5, 3, p));
    assert_int_equal(p[0].n, 26);
    assert_int_equal(p[4].n, 0);
    for (int k = 0; k < 5; k++) {
        list want = force_surface(v, VALUES[k]);
        assert_int_equal(p[k].n, want.n);
        for (int i = 0; i < want.n; i++)
            for (int a = 0; a < 3; a++) assert_true(p[k].at[i][a] == want.at[i][a]);
        u3d_free(want.at);
    }
    u3d_points_free(p, 5);
    u3d_volume_free(v);
}

/* Compares percentiles with results of numpy.percentile, and with sorting if there are many ties. */
static void percentiles_interpolate(void **state)
{
    (void)state;
    double four[] = {4, 1, 3, 2}, one[] = {2.5};
    const float sorted_four[] = {1, 2, 3, 4};
    assert_true(fabs(u3d_percentile(four, 4, 0.95) - 3.85) < 1e-12);
    assert_true(u3d_percentile(four, 4, 1) == 4 && u3d_percentile(four, 4, 0) == 1);
    assert_true(u3d_percentile(one, 1, 0.95) == 2.5);
    assert_true(fabs(u3d_percentile_sorted(sorted_four, 4, 0.95) - 3.85) < 1e-12);
    assert_true(u3d_percentile_sorted(sorted_four, 4, 1) == 4);
    assert_true(u3d_percentile_sorted(sorted_four, 1, 0.5) == 1);
    assert_true(u3d_median(four, 4) == 2.5 && u3d_median(four, 3) == 2 && u3d_median(one, 1) == 2.5);
    for (uint64_t k = 0; k < 200; k++) {
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 9000 + k);
        double v[300], sorted[300];
        const int n = 1 + (int)u3d_rng_below(&r, 300);
        const int64_t kinds = 1 + u3d_rng_below(&r, k % 2 ? 5 : 1000);
        for (int i = 0; i < n; i++) v[i] = sorted[i] = (double)u3d_rng_below(&r, kinds);
        qsort(sorted, (size_t)n, sizeof *sorted, by_value);
        assert_true(fabs(u3d_percentile(v, n, 0.95) - force_p95(sorted, n)) < 1e-12);
    }
}

/* Reads a label file of the hippocampus data. Returns NULL and says so if the file does not exist. */
static u3d_volume *real_labels(const char *name)
{
    char *path = u3d_format("%s/../../shared/data/hippocampus/labelsTr/%s", TESTS_DIR, name);
    u3d_volume *v = NULL;
    assert_non_null(path);
    if (u3d_path_exists(path))
        assert_ok(u3d_volume_read(path, U3D_VOLUME_LABEL, &v));
    else
        printf("skipped: %s does not exist\n", path);
    u3d_free(path);
    return v;
}

static u3d_volume *cut(const u3d_volume *v, const int64_t size[3], const double spacing[3])
{
    u3d_volume *out = volume_new(size[0], size[1], size[2], spacing);
    for (int64_t z = 0; z < size[0]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[2]; x++)
                set(out, z, y, x, ((const int32_t *)v->data)[(z * v->size[1] + y) * v->size[2] + x]);
    return out;
}

/* Hippocampi of two people, cut to the size that both volumes have. These are real shapes, which do not agree
 * well. */
static void real_masks(void **state)
{
    (void)state;
    u3d_volume *a = real_labels("hippocampus_001.nii.gz"),
               *b = a ? real_labels("hippocampus_003.nii.gz") : NULL;
    if (!b) {
        u3d_volume_free(a);
        skip();
    }
    int64_t size[3];
    for (int i = 0; i < 3; i++) size[i] = a->size[i] < b->size[i] ? a->size[i] : b->size[i];
    static const double SPACINGS[][3] = {{1, 1, 1}, {3, 0.7, 0.9}};
    for (int k = 0; k < 2; k++) {
        u3d_volume *ca = cut(a, size, SPACINGS[k]), *cb = cut(b, size, SPACINGS[k]);
        assert_true(scores_of(ca, cb, 1, 1, 1).assd > 0);
        for (int32_t label = 1; label <= 2; label++) same_as_by_force("hippocampi", ca, cb, label, 1);
        u3d_volume_free(ca);
        u3d_volume_free(cb);
    }
    u3d_volume_free(a);
    u3d_volume_free(b);
}

/* Lets every allocation fail once. Each failure must give U3D_E_NOMEM and leak nothing. */
static void memory_runs_out(void **state)
{
    (void)state;
    const double spacing[3] = {1, 2, 1};
    u3d_volume *a = volume_new(5, 6, 7, spacing);
    const int32_t label = 1;
    for (int64_t x = 1; x < 6; x++) set(a, 2, 3, x, 1);
    int failed = 0;
    for (int64_t n = 1, clean = 0; clean < 3; n++) {
        const int64_t live = u3d_mem_live();
        u3d_points p = {0};
        u3d_surface_scores s;
        u3d_mem_fail_at(n);
        u3d_status status = u3d_surface_voxels(a, &label, 1, 1, &p);
        if (status == U3D_OK) status = u3d_surface_compare(&p, &p, spacing, 1, 1, &s);
        u3d_mem_fail_at(0);
        u3d_points_free(&p, 1);
        assert_true(status == U3D_OK || status == U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
        failed += status != U3D_OK;
        clean += status == U3D_OK;
    }
    assert_true(failed >= 6);
    u3d_volume_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_masks),        cmocka_unit_test(random_balls),
        cmocka_unit_test(many_against_few),    cmocka_unit_test(single_voxels),
        cmocka_unit_test(rounded_spacing),     cmocka_unit_test(empty_masks),
        cmocka_unit_test(labels_share_a_look), cmocka_unit_test(borders_count_as_outside),
        cmocka_unit_test(real_masks),          cmocka_unit_test(percentiles_interpolate),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
