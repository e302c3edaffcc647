/* Smooth random displacements: random vectors on a grid, with cubic B-splines between them.
 *
 *   d(p)[a] = sum over i, j, k = 0..3 of  wz[i] wy[j] wx[k] * coef[a][cz + i][cy + j][cx + k]
 *
 * with the weights of the uniform cubic B-spline at the position of p in its cell. The sum is split up: the
 * sum over z is made once per plane, that over y once per row, and along x there are four products per voxel,
 * with weights that were computed once. */
#include <math.h>
#include <string.h>

#include "net/sample/warp_impl.h"

/* Grid spacing and standard deviation in voxels of each axis. They are set for the finest axis; the other
 * axes get the same length in space. */
static void field_settings(u3d_field *f, const u3d_augment *a, const int64_t in[3])
{
    double finest = a->spacing[0];
    for (int axis = 1; axis < 3; axis++) finest = fmin(finest, a->spacing[axis]);
    f->interpolate = a->set.elastic_interpolation == U3D_ELASTIC_INTERPOLATE;
    for (int axis = 0; axis < 3; axis++) {
        const double voxels = a->spacing[axis] > 0 ? finest / a->spacing[axis] : 1;
        f->step[axis] = fmax(1, a->set.elastic_grid * voxels);
        f->sd[axis] = a->set.elastic_sd * voxels;
        f->moves[axis] = !a->coarse[axis];
        f->size[axis] = (int64_t)((double)(in[axis] - 1) / f->step[axis]) + 4;
    }
}

/* The next `elements` elements of 4 bytes, starting on a cache line of their own; NULL if bytes are only
 * counted. */
static void *field_take(char *memory, uint64_t *used, int64_t elements)
{
    void *at = memory ? memory + *used : NULL;
    *used += ((uint64_t)elements * sizeof(float) + 63) / 64 * 64;
    return at;
}

uint64_t u3d_field_layout(u3d_field *f, const u3d_augment *a, const int64_t in[3], char *memory)
{
    uint64_t used = 0;
    field_settings(f, a, in);
    for (int axis = 0; axis < 3; axis++) {
        f->cell[axis] = field_take(memory, &used, in[axis]);
        f->weight[axis] = field_take(memory, &used, 4 * in[axis]);
        f->coef[axis] = field_take(memory, &used, f->size[0] * f->size[1] * f->size[2]);
        f->plane[axis] = field_take(memory, &used, f->size[1] * f->size[2]);
        f->line[axis] = field_take(memory, &used, f->size[2]);
    }
    return used;
}

void u3d_field_weights(u3d_field *f, const int64_t in[3])
{
    for (int axis = 0; axis < 3; axis++)
        for (int64_t i = 0; i < in[axis]; i++) {
            const double at = (double)i / f->step[axis], cell = floor(at), t = at - cell, s = 1 - t;
            const double w[4] = {s * s * s, 4 - 6 * t * t + 3 * t * t * t, 4 - 6 * s * s + 3 * s * s * s,
                                 t * t * t};
            f->cell[axis][i] = (int32_t)cell;
            for (int k = 0; k < 4; k++) f->weight[axis][k * in[axis] + i] = (float)(w[k] / 6);
        }
}

/* Replaces n values that are `step` elements apart by the coefficients of the spline that interpolates them.
 * Values are mirrored about the ends.
 *
 *   c+[k] = s[k] + pole c+[k-1],   c[k] = pole (c[k+1] - c+[k]),   result 6 c[k];   pole = sqrt(3) - 2
 *
 * Source: Unser 1999, box 2. */
static void field_interpolate_line(float *c, int64_t step, int64_t n)
{
    const double pole = sqrt(3.0) - 2;
    const double whole = pow(pole, 2.0 * (double)(n - 1));
    double power = 1, first = 0;
    for (int64_t k = 0; k < n && fabs(power) > 1e-18; k++, power *= pole) {
        const double mirrored = k > 0 && k < n - 1 ? whole / power : 0;
        first += (power + mirrored) * (double)c[k * step];
    }
    double last = first / (1 - whole), before = last;
    c[0] = (float)last;
    for (int64_t k = 1; k < n; k++) {
        before = last;
        last = (double)c[k * step] + pole * last;
        c[k * step] = (float)last;
    }
    last = pole / (pole * pole - 1) * (last + pole * before);
    c[(n - 1) * step] = (float)(6 * last);
    for (int64_t k = n - 2; k >= 0; k--) {
        last = pole * (last - (double)c[k * step]);
        c[k * step] = (float)(6 * last);
    }
}

/* Does so along x, y and z of an array [n]. */
static void field_interpolate(float *c, const int64_t n[3])
{
    for (int64_t z = 0; z < n[0]; z++)
        for (int64_t y = 0; y < n[1]; y++) field_interpolate_line(c + (z * n[1] + y) * n[2], 1, n[2]);
    for (int64_t z = 0; z < n[0]; z++)
        for (int64_t x = 0; x < n[2]; x++) field_interpolate_line(c + z * n[1] * n[2] + x, n[2], n[1]);
    for (int64_t yx = 0; yx < n[1] * n[2]; yx++) field_interpolate_line(c + yx, n[1] * n[2], n[0]);
}

void u3d_field_draw(u3d_field *f, uint64_t seed, uint64_t index)
{
    u3d_rng rng = u3d_rng_at(seed, U3D_RNG_WARP, index);
    const int64_t n = f->size[0] * f->size[1] * f->size[2];
    for (int a = 0; a < 3; a++) {
        for (int64_t i = 0; i < n; i++) f->coef[a][i] = (float)(f->sd[a] * u3d_rng_normal(&rng));
        if (f->interpolate) field_interpolate(f->coef[a], f->size);
    }
    f->plane_z = f->line_y = -1;
}

/* out[i] = sum of w[k] * rows[k][i] over four rows, `step` apart. */
static void field_mix(const float *rows, int64_t step, const float w[4], int64_t n, float *out)
{
    const float *r0 = rows, *r1 = rows + step, *r2 = rows + 2 * step, *r3 = rows + 3 * step;
    for (int64_t i = 0; i < n; i++) out[i] = w[0] * r0[i] + w[1] * r1[i] + w[2] * r2[i] + w[3] * r3[i];
}

/* Updates f->plane and f->line for the row at z, y. */
static void field_line(u3d_field *f, const int64_t in[3], int64_t z, int64_t y)
{
    const int64_t plane = f->size[1] * f->size[2];
    if (z == f->plane_z && y == f->line_y) return;
    for (int a = 0; a < 3; a++) {
        if (!f->moves[a]) continue;
        float w[4];
        if (z != f->plane_z) {
            for (int k = 0; k < 4; k++) w[k] = f->weight[0][k * in[0] + z];
            field_mix(f->coef[a] + f->cell[0][z] * plane, plane, w, plane, f->plane[a]);
        }
        for (int k = 0; k < 4; k++) w[k] = f->weight[1][k * in[1] + y];
        field_mix(f->plane[a] + f->cell[1][y] * f->size[2], f->size[2], w, f->size[2], f->line[a]);
    }
    f->plane_z = z;
    f->line_y = y;
}

void u3d_field_add(u3d_field *f, const int64_t in[3], int64_t z, int64_t y, int64_t x, int64_t n,
                   float *const coord[3])
{
    field_line(f, in, z, y);
    for (int a = 0; a < 3; a++) {
        if (!f->moves[a]) continue;
        for (int64_t i = 0, end; i < n; i = end) { /* within a cell the coefficients stay the same */
            const int32_t cell = f->cell[2][x + i];
            const float *c = f->line[a] + cell, c0 = c[0], c1 = c[1], c2 = c[2], c3 = c[3];
            const float *w0 = f->weight[2] + x, *w1 = w0 + in[2], *w2 = w1 + in[2], *w3 = w2 + in[2];
            float *to = coord[a];
            for (end = i + 1; end < n && f->cell[2][x + end] == cell;) end++;
            for (int64_t j = i; j < end; j++) to[j] += c0 * w0[j] + c1 * w1[j] + c2 * w2[j] + c3 * w3[j];
        }
    }
}
