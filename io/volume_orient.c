/* The orientation of volumes: how the axes of a file relate to those in memory.
 *
 * Readers turn every volume that has a place in space to the closest of RAS+: x runs to the right, y to the
 * front, z up. Axes are only exchanged and reversed, so no value changes. u3d_volume.stored remembers the
 * axes of the file, and the writer puts the voxels back. So nothing between reading and writing has to know
 * in which of the 48 possible orders a file keeps its voxels. */
#include "io/volume.h"

#include "engine/base/mem.h"

#include <math.h>
#include <nifti2_io.h>
#include <string.h>

/* Sums of cosines that differ by less count as equal, and so do directions. Headers are float32; the second
 * limit is larger because a sum hardly changes while directions do. */
static const double SUM_TOLERANCE = 1e-5, COSINE_TOLERANCE = 1e-3;

static int axis_index(int axis)
{
    return (axis < 0 ? -axis : axis) - 1;
}

/* ---- the closest orientation ---- */

/* The rotation or reflection that is closest to the unit directions of the voxel axes (the polar factor,
 * which nibabel computes by an SVD). */
static nifti_dmat33 orient_directions(const double m[3][4])
{
    nifti_dmat33 unit;
    for (int column = 0; column < 3; column++) {
        const double length = hypot(hypot(m[0][column], m[1][column]), m[2][column]);
        for (int w = 0; w < 3; w++) unit.m[w][column] = m[w][column] / length;
    }
    return nifti_dmat33_polar(unit);
}

/* Pairs world axis w with voxel axis order[w], and returns the sum of the cosines between them. turned[w][a]
 * is then the component along w of the direction of axis a in memory. */
static double orient_pair(const nifti_dmat33 *r, const int order[3], int axis[3], double turned[3][3])
{
    double sum = 0;
    for (int w = 0; w < 3; w++) {
        const double sign = r->m[w][order[w]] < 0 ? -1 : 1;
        axis[w] = (int)sign * (order[w] + 1);
        sum += fabs(r->m[w][order[w]]);
        for (int row = 0; row < 3; row++) turned[row][w] = sign * r->m[row][order[w]];
    }
    return sum;
}

/* Whether, of two pairings with equal sums, the first one is taken. What decides are the directions that the
 * axes would have in memory, because these do not depend on how the file is stored. */
static bool orient_first(const double a[3][3], const double b[3][3])
{
    for (int w = 0; w < 3; w++)
        for (int axis = 0; axis < 3; axis++)
            if (fabs(a[w][axis] - b[w][axis]) > COSINE_TOLERANCE) return a[w][axis] > b[w][axis];
    return false;
}

void u3d_orientation_of(const double m[3][4], int axis[3])
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const nifti_dmat33 r = orient_directions(m);
    double best = -1, turned[3][3] = {{0}};
    for (int i = 0; i < 6; i++) {
        int pair[3];
        double directions[3][3];
        const double sum = orient_pair(&r, orders[i], pair, directions);
        const bool equal = fabs(sum - best) <= SUM_TOLERANCE;
        if (equal ? !orient_first((const double(*)[3])directions, (const double(*)[3])turned) : sum < best)
            continue;
        best = sum;
        memcpy(axis, pair, sizeof pair);
        memcpy(turned, directions, sizeof turned);
    }
}

bool u3d_volume_has_place(const u3d_volume *v)
{
    return v->stored[0] != 0;
}

/* ---- turning ---- */

void u3d_volume_turn_header(u3d_volume *v, const int axis[3])
{
    const u3d_volume from = *v;
    for (int a = 0; a < 3; a++) {
        const int source = axis_index(axis[a]), sign = axis[a] < 0 ? -1 : 1;
        v->size[2 - a] = from.size[2 - source];
        v->spacing[2 - a] = from.spacing[2 - source];
        v->stored[a] = sign * from.stored[source];
        for (int w = 0; w < 3; w++) {
            const double step = from.voxel_to_world[w][source];
            v->voxel_to_world[w][a] = sign < 0 ? 0 - step : step; /* never -0 */
            if (sign < 0) v->voxel_to_world[w][3] += step * (double)(from.size[2 - source] - 1);
        }
    }
}

/* The order of a storage in which axis x, y, z of a volume of `size` is axis[0], axis[1], axis[2]. */
static u3d_voxel_order order_of(const int64_t size[3], const int axis[3])
{
    const int64_t stride[3] = {1, size[2], size[1] * size[2]};
    u3d_voxel_order o = {0};
    for (int a = 0; a < 3; a++) {
        const int other = axis_index(axis[a]);
        o.size[other] = size[2 - a];
        o.step[other] = axis[a] < 0 ? -stride[a] : stride[a];
        if (axis[a] < 0) o.first += (size[2 - a] - 1) * stride[a];
    }
    return o;
}

u3d_voxel_order u3d_volume_file_order(const u3d_volume *v)
{
    static const int same[3] = {1, 2, 3};
    return order_of(v->size, u3d_volume_has_place(v) ? v->stored : same);
}

int64_t u3d_voxel_order_row(const u3d_voxel_order *o, int64_t i, int64_t *left)
{
    const int64_t x = i % o->size[0], row = i / o->size[0], y = row % o->size[1], z = row / o->size[1];
    *left = o->size[0] - x;
    return o->first + x * o->step[0] + y * o->step[1] + z * o->step[2];
}

/* The turn that undoes another one. */
static void turn_inverse(const int axis[3], int inverse[3])
{
    for (int a = 0; a < 3; a++) inverse[axis_index(axis[a])] = axis[a] < 0 ? -(a + 1) : a + 1;
}

/* Copies n elements that are `step` elements apart to consecutive places. */
static void turn_row(const char *from, int64_t step, int64_t n, size_t bytes, char *to)
{
    for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * bytes, from + i * step * (int64_t)bytes, bytes);
}

u3d_status u3d_volume_turn(u3d_volume *v, const int axis[3])
{
    int inverse[3];
    if (axis[0] == 1 && axis[1] == 2 && axis[2] == 3) return U3D_OK;
    if (v->data) {
        const size_t bytes = (size_t)v->channels * u3d_dtype_size(v->dtype);
        const int64_t n = u3d_volume_voxels(v);
        char *data = u3d_new_uninit((size_t)n, bytes);
        if (!data) return U3D_E_NOMEM;
        turn_inverse(axis, inverse);
        const u3d_voxel_order o = order_of(v->size, inverse);
        for (int64_t i = 0, left; i < n; i += left) {
            const int64_t at = u3d_voxel_order_row(&o, i, &left);
            turn_row((const char *)v->data + at * (int64_t)bytes, o.step[0], left, bytes,
                     data + (size_t)i * bytes);
        }
        u3d_free(v->data);
        v->data = data;
    }
    u3d_volume_turn_header(v, axis);
    return U3D_OK;
}

u3d_status u3d_volume_turn_to(u3d_volume *v, const int orientation[3])
{
    int axis[3];
    turn_inverse(orientation, axis);
    return u3d_volume_turn(v, axis);
}

u3d_status u3d_volume_turn_to_file(u3d_volume *v)
{
    return u3d_volume_has_place(v) ? u3d_volume_turn_to(v, v->stored) : U3D_OK;
}

/* ---- the file's positions ---- */

int64_t u3d_volume_file_plane(const u3d_volume *v, int axis, int64_t at, char *letter)
{
    const int stored = u3d_volume_has_place(v) ? v->stored[2 - axis] : 3 - axis;
    *letter = "xyz"[axis_index(stored)];
    return stored < 0 ? v->size[axis] - 1 - at : at;
}

void u3d_volume_file_voxel(const u3d_volume *v, int64_t voxel, int64_t xyz[3])
{
    const int64_t at[3] = {voxel / (v->size[1] * v->size[2]), voxel / v->size[2] % v->size[1],
                           voxel % v->size[2]};
    for (int a = 0; a < 3; a++) {
        char letter;
        const int64_t plane = u3d_volume_file_plane(v, a, at[a], &letter);
        xyz[letter - 'x'] = plane;
    }
}

void u3d_volume_new_grid(u3d_volume *v)
{
    const bool placed = u3d_volume_has_place(v);
    for (int a = 0; a < 3; a++) {
        v->stored[a] = placed ? a + 1 : 0;
        v->grid.pixdim[a] = v->spacing[2 - a];
    }
    memcpy(v->grid.sform, v->voxel_to_world, sizeof v->grid.sform);
    if (v->grid.sform_code <= 0) v->grid.sform_code = v->grid.qform_code;
    if (!placed) v->grid.sform_code = 0;
    v->grid.qform_code = 0;
    v->grid.xyzt_units = (v->grid.xyzt_units & ~U3D_UNITS_SPACE) | NIFTI_UNITS_MM;
}
