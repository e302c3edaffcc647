/* Compares arrays of numbers. Two errors are computed, because each one detects what the other misses: the
 * rms error over the whole array detects many small errors; the error of the worst element, relative to the
 * rms of the array, detects one wrong voxel among millions. NaN and infinity are checked for first, because a
 * comparison with NaN is always false. */
#include "tests/support/support_numbers.h"

#include <math.h>
#include <stdio.h>

#include "engine/base/mem.h"

void u3d_test_normal(u3d_rng *r, float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = (float)u3d_rng_normal(r);
}

double *u3d_test_widen(const u3d_type *t, const void *p)
{
    int64_t n = u3d_type_elems(t);
    double *wide = u3d_new_uninit((size_t)n, sizeof *wide);
    for (int64_t e = 0; wide && e < n; e++)
        wide[e] = t->dtype == U3D_U8 ? ((const uint8_t *)p)[e] : (double)((const float *)p)[e];
    return wide;
}

void u3d_test_narrow(const u3d_type *t, const double *wide, void *p)
{
    int64_t n = u3d_type_elems(t);
    for (int64_t e = 0; e < n; e++)
        if (t->dtype == U3D_U8)
            ((uint8_t *)p)[e] = (uint8_t)wide[e];
        else
            ((float *)p)[e] = (float)wide[e];
}

double u3d_test_rms(const double *p, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += p[i] * p[i];
    return sqrt(sum / (double)n);
}

u3d_test_diff u3d_test_compare(const float *got, const double *want, int64_t n)
{
    return u3d_test_compare_sized(got, want, n, 0);
}

u3d_test_diff u3d_test_compare_sized(const float *got, const double *want, int64_t n, double least)
{
    u3d_test_diff d = {.worst = -1};
    double scale = fmax(u3d_test_rms(want, n), least), sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double g = (double)got[i], error = fabs(g - want[i]);
        if (!isfinite(g) && d.n_bad++ > 0) continue;
        if (isfinite(g) && d.n_bad > 0) continue;
        double size = fmax(scale, fabs(want[i]));
        if (size > 0) error /= size;
        if (error > d.worst || d.n_bad) {
            d.worst = error;
            d.worst_at = i;
            d.got = g;
            d.want = want[i];
        }
        sum += (g - want[i]) * (g - want[i]);
    }
    d.rms = sqrt(sum / (double)n) / (scale > 0 ? scale : 1);
    if (d.n_bad) d.rms = d.worst = INFINITY;
    return d;
}

u3d_test_diff u3d_test_compare_u8(const uint8_t *got, const double *want, int64_t n)
{
    u3d_test_diff d = {0};
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        if (got[i] == (uint8_t)want[i] || n_wrong++ > 0) continue;
        d = (u3d_test_diff){.worst = 1, .worst_at = i, .got = got[i], .want = want[i]};
    }
    d.rms = (double)n_wrong / (double)n;
    return d;
}

const char *u3d_test_diff_text(const u3d_test_diff *d, const u3d_type *t, const char *axes, char *buf,
                               size_t cap)
{
    char at[96] = "";
    int64_t rest = d->worst_at, index[U3D_MAX_RANK] = {0};
    for (int a = t->rank - 1; a >= 0; rest /= t->dim[a--]) index[a] = rest % t->dim[a];
    size_t used = 0;
    for (int a = 0; a < t->rank && used < sizeof at; a++)
        used += (size_t)snprintf(at + used, sizeof at - used, "%s%lld", a ? ", " : "", (long long)index[a]);
    const char *space = *axes ? " " : "";
    if (d->n_bad)
        snprintf(buf, cap, "%lld elements are NaN or infinite, first at %s%s[%s], want %.9g",
                 (long long)d->n_bad, axes, space, at, d->want);
    else
        snprintf(buf, cap, "rms %.2e, worst %.2e at %s%s[%s]: got %.9g, want %.9g", d->rms, d->worst, axes,
                 space, at, d->got, d->want);
    return buf;
}
