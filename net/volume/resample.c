/* Resampling: sizes, target spacings and images. The geometry is described in resample.h.
 *
 * A B-spline of order 3 needs coefficients. A recursive filter with the single pole sqrt(3) - 2 computes
 * them from the samples, running once forward and once backward along each line (Unser, Aldroubi & Eden,
 * "B-spline signal processing: part II", IEEE Transactions on Signal Processing 41, 1993). An infinitely
 * repeated border voxel has a closed form at both ends, so the lines need no long padding. LANES
 * neighbouring lines are filtered side by side, in double. */
#include "net/volume/resample_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/order.h"

/* Spacings that differ by more than this factor count as anisotropic; nnU-Net's ANISO_THRESHOLD. */
static const double ANISOTROPY = 3.0;

/* 16 doubles: two cache lines per row of coefficients. */
enum { LANES = 16 };

/* ---- sizes ---- */

void u3d_resampling_of(const u3d_config *c, u3d_resampling *r)
{
    *r = (u3d_resampling){.on = c->resample == U3D_RESAMPLE_AUTO, .how = c->resample_image};
    if (r->on && strcmp(c->spacing, "auto") != 0)
        (void)u3d_parse_spacing(c->spacing, r->spacing); /* the text was checked when it was set */
}

bool u3d_resample_size(const u3d_resampling *r, const int64_t size[3], const double spacing[3],
                       int64_t out[3])
{
    bool differs = false;
    memcpy(out, size, 3 * sizeof *out);
    if (!r->on) return false;
    for (int a = 0; a < 3; a++) {
        U3D_ASSERT(r->spacing[a] > 0, "target spacing %g", r->spacing[a]);
        if (size[a] == 1) continue;
        differs = differs || fabs(spacing[a] / r->spacing[a] - 1) > U3D_RESAMPLE_TOLERANCE;
    }
    if (!differs) return false;
    for (int a = 0; a < 3; a++) {
        if (size[a] == 1) continue;
        const double wanted = round((double)size[a] * spacing[a] / r->spacing[a]);
        out[a] = wanted < 1 ? 1 : wanted > INT32_MAX ? INT32_MAX : (int64_t)wanted;
    }
    return memcmp(out, size, 3 * sizeof *out) != 0;
}

/* Rounds to the seven digits that a header's single precision holds: 1.2 instead of 1.2000000476837158. */
static double seven_digits(double v)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.7g", v);
    return strtod(text, NULL);
}

u3d_status u3d_resample_target(const double (*spacing)[3], const int64_t (*size)[3], int n, double target[3],
                               char *why, size_t cap)
{
    double *column = u3d_new((size_t)n, sizeof *column), voxels[3];
    if (!column) return U3D_E_NOMEM;
    for (int a = 0; a < 3; a++) {
        for (int i = 0; i < n; i++) column[i] = (double)size[i][a];
        voxels[a] = u3d_percentile(column, n, 0.5);
        for (int i = 0; i < n; i++) column[i] = spacing[i][a];
        target[a] = u3d_percentile(column, n, 0.5);
    }
    int worst = 0;
    for (int a = 1; a < 3; a++)
        if (target[a] > target[worst]) worst = a;
    const int b = (worst + 1) % 3, c = (worst + 2) % 3;
    const double others = fmax(target[b], target[c]);
    (void)snprintf(why, cap, n == 1 ? "that of the training volume" : "median of %d training cases", n);
    if (target[worst] > ANISOTROPY * others && voxels[worst] * ANISOTROPY < fmin(voxels[b], voxels[c])) {
        for (int i = 0; i < n; i++) column[i] = spacing[i][worst];
        target[worst] = fmax(u3d_percentile(column, n, 0.1), others);
        const size_t used = strlen(why);
        if (n > 1)
            (void)snprintf(why + used, cap - used,
                           "; along %c, which is more than %g times coarser, the 10th percentile",
                           "zyx"[worst], ANISOTROPY);
    }
    for (int a = 0; a < 3; a++) target[a] = seven_digits(target[a]);
    u3d_free(column);
    return U3D_OK;
}

/* ---- one axis ---- */

void u3d_resample_blend(const float *low, const float *high, double share, int64_t n, float *out)
{
    const double rest = 1 - share;
    for (int64_t i = 0; i < n; i++) out[i] = (float)(rest * (double)low[i] + share * (double)high[i]);
}

void u3d_resample_linear_axis(const float *in, int64_t outer, int64_t n_in, int64_t n_out, int64_t inner,
                              float *out)
{
    if (n_in == n_out) {
        memcpy(out, in, (size_t)(outer * n_in * inner) * sizeof *out);
        return;
    }
    for (int64_t o = 0; o < n_out; o++) {
        const u3d_resample_pair p = u3d_resample_pair_at(o, n_in, n_out);
        for (int64_t i = 0; i < outer; i++)
            u3d_resample_blend(in + (i * n_in + p.low) * inner, in + (i * n_in + p.high) * inner, p.share,
                               inner, out + (i * n_out + o) * inner);
    }
}

/* Turns the samples of LANES lines into coefficients / 6, in place. c [n + 4, LANES] holds the n samples
 * and two copies of the border sample at each end. */
static void spline_filter(double *c, int64_t n)
{
    const double z = sqrt(3.0) - 2.0;
    const int64_t last = n + 3;
    double forward[LANES], edge[LANES];
    for (int b = 0; b < LANES; b++) {
        forward[b] = c[b] / (1 - z);
        edge[b] = c[last * LANES + b];
    }
    for (int64_t k = 0; k <= last; k++)
        for (int b = 0; b < LANES; b++) c[k * LANES + b] = forward[b] = c[k * LANES + b] + z * forward[b];
    double *end = c + last * LANES, backward[LANES];
    for (int b = 0; b < LANES; b++) {
        const double settled = edge[b] / (1 - z);
        end[b] = backward[b] = -z * (settled / (1 - z) + (end[b] - settled) / (1 - z * z));
    }
    for (int64_t k = last - 1; k >= 0; k--)
        for (int b = 0; b < LANES; b++) c[k * LANES + b] = backward[b] = z * (backward[b] - c[k * LANES + b]);
}

/* Value of the spline at t in [0, 1) between the second and the third of four rows of coefficients / 6. */
static void spline_row(const double *c, double t, double out[LANES])
{
    const double u = 1 - t, w0 = u * u * u, w1 = (3 * t - 6) * t * t + 4, w2 = (3 * u - 6) * u * u + 4,
                 w3 = t * t * t;
    for (int b = 0; b < LANES; b++)
        out[b] = w0 * c[b] + w1 * c[LANES + b] + w2 * c[2 * LANES + b] + w3 * c[3 * LANES + b];
}

/* Resamples one axis: in [outer, n_in, inner] -> out [outer, n_out, inner]. `line` is scratch space of
 * (n_in + 4) * LANES doubles. */
static void cubic_axis(const float *in, int64_t outer, int64_t n_in, int64_t n_out, int64_t inner, float *out,
                       double *line)
{
    const int64_t lines = outer * inner;
    double row[LANES];
    for (int64_t first = 0; first < lines; first += LANES) {
        const int many = lines - first < LANES ? (int)(lines - first) : LANES;
        int64_t from[LANES], to[LANES];
        for (int b = 0; b < LANES; b++) { /* surplus lanes repeat the last line */
            const int64_t at = first + (b < many ? b : many - 1);
            from[b] = at / inner * n_in * inner + at % inner;
            to[b] = at / inner * n_out * inner + at % inner;
        }
        for (int64_t k = 0; k < n_in + 4; k++) {
            const int64_t at = (k < 2 ? 0 : k - 2 < n_in ? k - 2 : n_in - 1) * inner;
            for (int b = 0; b < LANES; b++) line[k * LANES + b] = (double)in[from[b] + at];
        }
        spline_filter(line, n_in);
        for (int64_t o = 0; o < n_out; o++) {
            const double c = u3d_resample_centre(o, n_in, n_out), low = floor(c);
            spline_row(line + ((int64_t)low + 1) * LANES, c - low, row);
            for (int b = 0; b < many; b++) out[to[b] + o * inner] = (float)row[b];
        }
    }
}

/* ---- volumes ---- */

/* Whether an axis is resampled by the spline. If its slices are far apart, it is resampled linearly
 * instead. */
static bool axis_is_cubic(const u3d_volume *v, const int64_t out[3], u3d_resample_how how, int axis)
{
    double finest = INFINITY, coarse = v->spacing[axis];
    for (int a = 0; a < 3; a++) {
        const double after = v->spacing[a] * (double)v->size[a] / (double)out[a];
        if (v->size[a] > 1) finest = fmin(finest, fmin(v->spacing[a], after));
        if (a == axis) coarse = fmax(coarse, after);
    }
    return how == U3D_RESAMPLE_CUBIC && coarse <= ANISOTROPY * finest;
}

void u3d_resample_header(u3d_volume *v, const int64_t out[3])
{
    for (int a = 0; a < 3; a++) {
        const int column = 2 - a;
        const double ratio = (double)v->size[a] / (double)out[a];
        for (int w = 0; w < 3; w++) {
            v->voxel_to_world[w][3] += v->voxel_to_world[w][column] * (0.5 * ratio - 0.5);
            v->voxel_to_world[w][column] *= ratio;
        }
        v->spacing[a] *= ratio;
        v->size[a] = out[a];
    }
    u3d_volume_new_grid(v);
}

static u3d_status axis_resize(u3d_volume *v, int64_t now[3], const int64_t out[3], int axis, bool cubic)
{
    int64_t outer = 1, inner = v->channels, elements;
    uint64_t bytes;
    for (int a = 0; a < axis; a++) outer *= now[a];
    for (int a = axis + 1; a < 3; a++) inner *= now[a];
    const u3d_type type = u3d_type_of(U3D_F32, 3, (const int64_t[]){outer, out[axis], inner});
    U3D_TRY(u3d_type_count(&type, &elements, &bytes));
    double *line = cubic ? u3d_new((size_t)(now[axis] + 4), LANES * sizeof *line) : NULL;
    float *data = u3d_new_uninit((size_t)elements, sizeof *data);
    if (!data || (cubic && !line)) {
        u3d_free(data);
        u3d_free(line);
        return U3D_E_NOMEM;
    }
    if (cubic)
        cubic_axis(v->data, outer, now[axis], out[axis], inner, data, line);
    else
        u3d_resample_linear_axis(v->data, outer, now[axis], out[axis], inner, data);
    u3d_free(line);
    u3d_free(v->data);
    v->data = data;
    now[axis] = out[axis];
    return U3D_OK;
}

u3d_status u3d_resample_image_to(u3d_volume *v, const int64_t out[3], u3d_resample_how how)
{
    int64_t now[3];
    U3D_ASSERT(v->dtype == U3D_F32, "dtype %d", (int)v->dtype);
    if (memcmp(v->size, out, sizeof v->size) == 0) return U3D_OK;
    memcpy(now, v->size, sizeof now);
    for (int a = 2; a >= 0; a--)
        if (now[a] != out[a]) U3D_TRY(axis_resize(v, now, out, a, axis_is_cubic(v, out, how, a)));
    u3d_resample_header(v, out);
    return U3D_OK;
}

u3d_status u3d_resample_image(const u3d_resampling *r, u3d_volume *v)
{
    int64_t out[3];
    return u3d_resample_size(r, v->size, v->spacing, out) ? u3d_resample_image_to(v, out, r->how) : U3D_OK;
}

uint64_t u3d_resample_image_bytes(const int64_t size[3], const int64_t out[3], int32_t channels)
{
    double now = (double)size[0] * (double)size[1] * (double)size[2], most = now;
    for (int a = 2; a >= 0; a--) {
        if (size[a] == out[a]) continue;
        const double after = now / (double)size[a] * (double)out[a];
        most = fmax(most, now + after);
        now = after;
    }
    most = most * (double)channels * sizeof(float);
    return most < 1e18 ? (uint64_t)most : (uint64_t)1e18; /* more than any memory */
}
