/* Which map a sample gets, and the evaluation of the map along rows of the patch. warp.h defines the map; the
 * deformation is in warp_field.c, and the volume is read at the map's positions in warp_sample.c. */
#include "net/sample/warp.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/sample/warp_impl.h"

/* ---- drawing ---- */

/* What random numbers are drawn for; each purpose has an index of its own for every sample k. */
enum { WARP_ROTATION, WARP_SCALING, WARP_ELASTIC, WARP_VECTORS, WARP_SHIFT, WARP_PURPOSES };

static uint64_t warp_index(int64_t k, int purpose)
{
    return (uint64_t)k * WARP_PURPOSES + (uint64_t)purpose;
}

static u3d_rng warp_rng(uint64_t seed, int64_t k, int purpose)
{
    return u3d_rng_at(seed, U3D_RNG_WARP, warp_index(k, purpose));
}

/* Rotation about an axis turns the two other axes into each other, so neither of them may be coarse. Returns
 * whether there is any rotation. */
static bool warp_draw_rotation(const u3d_augment *a, u3d_rng *rng, double angle[3])
{
    const bool in_plane = a->coarse[0] || a->coarse[1] || a->coarse[2];
    bool any = u3d_rng_uniform(rng) < a->set.p_rotation;
    if (!any) return false;
    any = false;
    for (int axis = 0; axis < 3; axis++) {
        const double most = in_plane ? a->set.rotation_in_plane : a->set.rotation[axis];
        const double degrees = most * (2 * u3d_rng_uniform(rng) - 1);
        if (a->coarse[(axis + 1) % 3] || a->coarse[(axis + 2) % 3]) continue;
        angle[axis] = degrees * M_PI / 180;
        any = any || angle[axis] != 0;
    }
    return any;
}

/* Factors are log-uniform. Returns whether there is any scaling. */
static bool warp_draw_scaling(const u3d_augment *a, u3d_rng *rng, double scale[3])
{
    if (!(u3d_rng_uniform(rng) < a->set.p_scaling)) return false;
    const double low = log(a->set.scaling[0]), high = log(a->set.scaling[1]);
    double factor = 1;
    bool any = false;
    for (int axis = 0; axis < 3; axis++) {
        if (axis == 0 || a->set.scaling_axes == U3D_SCALING_EACH)
            factor = exp(low + (high - low) * u3d_rng_uniform(rng));
        if (a->coarse[axis]) continue;
        scale[axis] = factor;
        any = any || factor != 1;
    }
    return any;
}

bool u3d_warp_choose(const u3d_augment *a, uint64_t seed, int64_t k, u3d_warp_draw *out)
{
    u3d_rng rotation = warp_rng(seed, k, WARP_ROTATION), scaling = warp_rng(seed, k, WARP_SCALING),
            elastic = warp_rng(seed, k, WARP_ELASTIC);
    *out = (u3d_warp_draw){.scale = {1, 1, 1}, .seed = seed, .index = warp_index(k, WARP_VECTORS)};
    const bool rotates = warp_draw_rotation(a, &rotation, out->angle);
    const bool scales = warp_draw_scaling(a, &scaling, out->scale);
    out->elastic = u3d_rng_uniform(&elastic) < a->set.p_elastic && a->set.elastic_sd > 0;
    return rotates || scales || out->elastic;
}

void u3d_warp_shift(const u3d_augment *a, uint64_t seed, int64_t k, u3d_box *box)
{
    u3d_rng rng = warp_rng(seed, k, WARP_SHIFT);
    const int64_t most = a->set.translation;
    for (int axis = 0; axis < 3; axis++) box->start[axis] += u3d_rng_below(&rng, 2 * most + 1) - most;
}

/* ---- memory ---- */

static bool warp_needed(const u3d_augment *a)
{
    return a->set.p_rotation > 0 || a->set.p_scaling > 0 || a->set.p_elastic > 0;
}

static uint64_t warp_row_bytes(const int64_t in[3])
{
    return ((uint64_t)in[2] * sizeof(float) + 63) / 64 * 64;
}

uint64_t u3d_warp_bytes(const u3d_augment *a, const int64_t in[3])
{
    u3d_field field;
    if (!warp_needed(a)) return 0;
    return sizeof(u3d_warp) + 3 * warp_row_bytes(in) +
           (a->set.p_elastic > 0 ? u3d_field_layout(&field, a, in, NULL) : 0);
}

u3d_status u3d_warp_new(const u3d_augment *a, const int64_t in[3], u3d_warp **out)
{
    *out = NULL;
    if (!warp_needed(a)) return U3D_OK;
    u3d_warp *w = u3d_new(1, sizeof *w);
    if (!w) return U3D_E_NOMEM;
    const uint64_t row = warp_row_bytes(in);
    w->memory = u3d_new((size_t)(u3d_warp_bytes(a, in) - sizeof *w), 1);
    if (!w->memory) {
        u3d_warp_free(w);
        return U3D_E_NOMEM;
    }
    memcpy(w->in, in, sizeof w->in);
    w->cubic = a->set.image_interpolation == U3D_INTERPOLATE_CUBIC;
    for (int axis = 0; axis < 3; axis++)
        w->coord[axis] = (float *)(void *)((char *)w->memory + (uint64_t)axis * row);
    if (a->set.p_elastic > 0) {
        (void)u3d_field_layout(&w->field, a, in, (char *)w->memory + 3 * row);
        u3d_field_weights(&w->field, in);
    }
    *out = w;
    return U3D_OK;
}

void u3d_warp_free(u3d_warp *w)
{
    if (!w) return;
    u3d_free(w->memory);
    u3d_free(w);
}

/* ---- the map ---- */

static void warp_multiply(const double a[3][3], const double b[3][3], double out[3][3])
{
    double c[3][3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) c[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
    memcpy(out, c, sizeof c);
}

/* m = R m, where R rotates in space (not in voxels) the plane of the two axes that follow `axis` in the cycle
 * z, y, x, z. */
static void warp_rotate(double m[3][3], int axis, double angle, const double spacing[3])
{
    const int p = (axis + 1) % 3, q = (axis + 2) % 3;
    double r[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    r[p][p] = r[q][q] = cos(angle);
    r[p][q] = -sin(angle) * spacing[q] / spacing[p];
    r[q][p] = sin(angle) * spacing[p] / spacing[q];
    warp_multiply(r, m, m);
}

void u3d_warp_set(u3d_warp *w, const u3d_warp_draw *draw, const double spacing[3], const u3d_axes *axes)
{
    memset(w->matrix, 0, sizeof w->matrix);
    for (int axis = 0; axis < 3; axis++)
        w->matrix[axes->from[axis]][axis] = draw->scale[axes->from[axis]] * (axes->flip[axis] ? -1 : 1);
    for (int axis = 2; axis >= 0; axis--) warp_rotate(w->matrix, axis, draw->angle[axis], spacing);
    w->elastic = draw->elastic;
    if (draw->elastic) u3d_field_draw(&w->field, draw->seed, draw->index);
}

/* The box's middle moves to middle' with middle' + A offset = middle + offset, where `offset` is the voxel's
 * position relative to the middle and A is the matrix without the exchange of axes. */
void u3d_warp_keep(const u3d_warp *w, const u3d_axes *axes, const int64_t voxel[3], u3d_box *box)
{
    double offset[3];
    for (int a = 0; a < 3; a++)
        offset[a] = (double)(voxel[a] - box->start[a]) - 0.5 * (double)(box->size[a] - 1);
    for (int a = 0; a < 3; a++) {
        double moved = 0;
        for (int b = 0; b < 3; b++)
            moved += w->matrix[a][b] * (axes->flip[b] ? -1 : 1) * offset[axes->from[b]];
        box->start[a] += llround(offset[a] - moved);
    }
}

void u3d_warp_row(u3d_warp *w, int64_t z, int64_t y, int64_t x, int64_t n, float *coord[3])
{
    const int64_t p[3] = {z, y, x};
    for (int a = 0; a < 3; a++) {
        double first = 0;
        for (int b = 0; b < 3; b++) first += w->matrix[a][b] * ((double)p[b] - 0.5 * (double)(w->in[b] - 1));
        const float start = (float)first, step = (float)w->matrix[a][2];
        float *to = w->coord[a];
        for (int64_t i = 0; i < n; i++) to[i] = start + step * (float)i;
        coord[a] = to;
    }
    if (w->elastic) u3d_field_add(&w->field, w->in, z, y, x, n, w->coord);
}
