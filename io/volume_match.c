/* Compares the grids of two volumes, and brings one volume onto the grid of another.
 *
 * Both are in the same orientation already, because reading turns them (volume_orient.c). What is left: grids
 * that are parts of each other, files that do not say where they lie, and grids that really differ. Each is
 * described by one affine from voxels of the wanted grid to voxels of the volume; if no value is
 * interpolated, its entries are whole numbers. */
#include "io/volume.h"

#include "engine/base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Voxels of a part coincide with voxels of the whole up to this distance, in voxels. */
static const double part_tolerance = 0.1;

/* Inverts the 3x3 part of an affine. Returns false if it has no inverse. */
static bool affine_inverse(const double a[3][4], double inverse[3][3])
{
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) {
            int r1 = (column + 1) % 3, r2 = (column + 2) % 3, c1 = (row + 1) % 3, c2 = (row + 2) % 3;
            inverse[row][column] = a[r1][c1] * a[r2][c2] - a[r1][c2] * a[r2][c1]; /* transposed cofactor */
        }
    double det = a[0][0] * inverse[0][0] + a[0][1] * inverse[1][0] + a[0][2] * inverse[2][0];
    if (!isfinite(det) || det == 0) return false;
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) inverse[row][column] /= det;
    return true;
}

/* The distance, in voxels of a, between the positions that a and b give to the voxel with index (x, y, z). */
static double grid_distance(const u3d_volume *a, const u3d_volume *b, const double inverse[3][3],
                            const double index[3])
{
    double shift[3], sum = 0;
    for (int w = 0; w < 3; w++) {
        shift[w] = b->voxel_to_world[w][3] - a->voxel_to_world[w][3];
        for (int axis = 0; axis < 3; axis++)
            shift[w] += (b->voxel_to_world[w][axis] - a->voxel_to_world[w][axis]) * index[axis];
    }
    for (int axis = 0; axis < 3; axis++) {
        double voxels =
            inverse[axis][0] * shift[0] + inverse[axis][1] * shift[1] + inverse[axis][2] * shift[2];
        sum += voxels * voxels;
    }
    return sqrt(sum);
}

u3d_status u3d_volume_same_grid(const u3d_volume *a, const char *a_name, const u3d_volume *b,
                                const char *b_name, double *off_by)
{
    double inverse[3][3];
    *off_by = 0;
    if (memcmp(a->size, b->size, sizeof a->size) != 0)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s' has %lldx%lldx%lld voxels (%s) but '%s' has %lldx%lldx%lld; "
                        "they must have the same grid",
                        a_name, (long long)a->size[2], (long long)a->size[1], (long long)a->size[0],
                        u3d_volume_has_place(a) ? "to the right, front and top" : "x, y, z", b_name,
                        (long long)b->size[2], (long long)b->size[1], (long long)b->size[0]);
    if (!affine_inverse(a->voxel_to_world, inverse))
        return u3d_fail(U3D_E_FORMAT, "'%s': its voxel axes do not span three dimensions", a_name);
    for (int corner = 0; corner < 8; corner++) {
        double index[3];
        for (int axis = 0; axis < 3; axis++)
            index[axis] = corner >> axis & 1 ? (double)(a->size[2 - axis] - 1) : 0;
        double distance = grid_distance(a, b, inverse, index);
        if (!(distance <= *off_by)) *off_by = distance;
    }
    if (!(*off_by <= 1))
        return u3d_fail(
            U3D_E_FORMAT,
            "'%s' and '%s' lie in different places: a corner is off by %.3g voxels, expected at most 1; "
            "check the sform and qform of both",
            a_name, b_name, *off_by);
    return U3D_OK;
}

/* ---- bringing a volume onto a grid ---- */

/* The affine from voxels of `grid` to voxels of v, from their places in space. */
static u3d_status match_affine(const u3d_volume *grid, const u3d_volume *v, const char *name, double m[3][4])
{
    double inverse[3][3];
    if (!affine_inverse(v->voxel_to_world, inverse))
        return u3d_fail(U3D_E_FORMAT, "'%s': its voxel axes do not span three dimensions", name);
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++) {
            m[row][column] = 0;
            for (int w = 0; w < 3; w++) {
                const double from = column == 3 ? v->voxel_to_world[w][3] : 0;
                m[row][column] += inverse[row][w] * (grid->voxel_to_world[w][column] - from);
            }
        }
    return U3D_OK;
}

/* For x, y, z of the file: the axis in memory, and whether it is reversed. */
static void match_file_axes(const u3d_volume *v, int axis[3], bool reversed[3])
{
    for (int a = 0; a < 3; a++) {
        const int stored = u3d_volume_has_place(v) ? v->stored[a] : a + 1, f = abs(stored) - 1;
        axis[f] = a;
        reversed[f] = stored < 0;
    }
}

/* The affine from voxels of `grid` to voxels of v that have the same position in the files. */
static void match_index(const u3d_volume *grid, const u3d_volume *v, double m[3][4])
{
    int from[3], to[3];
    bool from_reversed[3], to_reversed[3];
    match_file_axes(grid, from, from_reversed);
    match_file_axes(v, to, to_reversed);
    memset(m, 0, 12 * sizeof m[0][0]);
    for (int f = 0; f < 3; f++) {
        const bool reversed = from_reversed[f] != to_reversed[f];
        m[to[f]][from[f]] = reversed ? -1 : 1;
        m[to[f]][3] = reversed ? (double)(v->size[2 - to[f]] - 1) : 0;
    }
}

static void match_apply(const double m[3][4], const double at[3], double to[3])
{
    for (int row = 0; row < 3; row++)
        to[row] = m[row][0] * at[0] + m[row][1] * at[1] + m[row][2] * at[2] + m[row][3];
}

static void match_corner(const u3d_volume *v, int corner, double at[3])
{
    for (int axis = 0; axis < 3; axis++) at[axis] = corner >> axis & 1 ? (double)(v->size[2 - axis] - 1) : 0;
}

/* Whether every voxel of v is a voxel of `grid`. `to_grid` leads from voxels of v to voxels of `grid`; if so,
 * its entries become whole numbers. */
static bool match_is_part(const u3d_volume *grid, const u3d_volume *v, double to_grid[3][4])
{
    double whole[3][4], at[3], exact[3], rounded[3];
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++) whole[row][column] = round(to_grid[row][column]);
    for (int corner = 0; corner < 8; corner++) {
        match_corner(v, corner, at);
        match_apply((const double(*)[4])to_grid, at, exact);
        match_apply((const double(*)[4])whole, at, rounded);
        for (int axis = 0; axis < 3; axis++)
            if (!(fabs(exact[axis] - rounded[axis]) <= part_tolerance) || rounded[axis] < 0 ||
                rounded[axis] > (double)(grid->size[2 - axis] - 1))
                return false;
    }
    for (int axis = 0; axis < 3; axis++) { /* three different axes of the grid, one for each axis of v */
        double in_row = 0, in_column = 0;
        for (int other = 0; other < 3; other++) {
            in_row += fabs(whole[axis][other]);
            in_column += fabs(whole[other][axis]);
        }
        if (in_row != 1 || in_column != 1) return false;
    }
    memcpy(to_grid, whole, sizeof whole);
    return true;
}

/* The inverse of an affine that exchanges, reverses and shifts axes. */
static void match_inverse(const double m[3][4], double inverse[3][4])
{
    for (int row = 0; row < 3; row++) {
        inverse[row][3] = 0;
        for (int column = 0; column < 3; column++) {
            inverse[row][column] = m[column][row];
            inverse[row][3] -= m[column][row] * m[column][3];
        }
    }
}

/* Whether the boxes of both volumes have a voxel in common; m leads from voxels of `grid` to voxels of v.
 * Only volumes that are far apart are told apart reliably. */
static bool match_overlaps(const u3d_volume *grid, const u3d_volume *v, const double m[3][4])
{
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY}, at[3], to[3];
    for (int corner = 0; corner < 8; corner++) {
        match_corner(grid, corner, at);
        match_apply(m, at, to);
        for (int axis = 0; axis < 3; axis++) {
            low[axis] = fmin(low[axis], to[axis]);
            high[axis] = fmax(high[axis], to[axis]);
        }
    }
    for (int axis = 0; axis < 3; axis++)
        if (!(high[axis] > -0.5 && low[axis] < (double)v->size[2 - axis] - 0.5)) return false;
    return true;
}

/* Checks that the files of two volumes have the same shape. */
static u3d_status match_check_shape(const u3d_volume *a, const char *a_name, const u3d_volume *b,
                                    const char *b_name)
{
    const u3d_voxel_order x = u3d_volume_file_order(a), y = u3d_volume_file_order(b);
    if (memcmp(x.size, y.size, sizeof x.size) == 0) return U3D_OK;
    return u3d_fail(
        U3D_E_FORMAT,
        "'%s' has %lldx%lldx%lld voxels and '%s' has %lldx%lldx%lld (x, y, z as stored); they would "
        "need the same shape, because they do not both say where they lie in space (sform_code and "
        "qform_code are 0)",
        a_name, (long long)x.size[0], (long long)x.size[1], (long long)x.size[2], b_name,
        (long long)y.size[0], (long long)y.size[1], (long long)y.size[2]);
}

/* Finds out whether v has the grid or a part of it. Otherwise the status is that of u3d_volume_same_grid. */
static u3d_status match_whole_voxels(const u3d_volume *grid, const char *grid_name, const u3d_volume *v,
                                     const char *name, u3d_match *out)
{
    double to_grid[3][4];
    out->how = U3D_MATCH_SAME;
    const u3d_status status = u3d_volume_same_grid(grid, grid_name, v, name, &out->off_by);
    if (status == U3D_OK) return U3D_OK;
    U3D_TRY(match_affine(v, grid, grid_name, to_grid));
    if (!match_is_part(grid, v, to_grid)) return status;
    out->how = U3D_MATCH_PART;
    out->whole = u3d_volume_voxels(v) == u3d_volume_voxels(grid);
    match_inverse((const double(*)[4])to_grid, out->to);
    return U3D_OK;
}

/* By which factor the lengths of v must be multiplied if the header that does not give its unit, often
 * written by nibabel, has the unit of the other one. */
static double match_unit(const u3d_volume *grid, const u3d_volume *v)
{
    const double of_grid = u3d_grid_unit_mm(&grid->grid), of_v = u3d_grid_unit_mm(&v->grid);
    if (of_v == 0 && of_grid > 0) return of_grid;
    return of_grid == 0 && of_v > 0 ? 1 / of_v : 1;
}

/* Does the same as match_whole_voxels with the lengths of v multiplied. */
static u3d_status match_in_unit(const u3d_volume *grid, const char *grid_name, const u3d_volume *v,
                                const char *name, double factor, u3d_match *out)
{
    u3d_volume scaled = *v;
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++) scaled.voxel_to_world[row][column] *= factor;
    out->unit_taken = true;
    return match_whole_voxels(grid, grid_name, &scaled, name, out);
}

u3d_status u3d_volume_match(const u3d_volume *grid, const char *grid_name, const u3d_volume *v,
                            const char *name, bool nearest, u3d_match *out)
{
    const bool placed = u3d_volume_has_place(grid) && u3d_volume_has_place(v);
    *out = (u3d_match){.how = U3D_MATCH_INDEX};
    if (!placed) {
        const bool neither = !u3d_volume_has_place(grid) && !u3d_volume_has_place(v);
        match_index(grid, v, out->to);
        if (neither && u3d_volume_same_grid(grid, grid_name, v, name, &out->off_by) == U3D_OK)
            out->how = U3D_MATCH_SAME;
        return match_check_shape(grid, grid_name, v, name);
    }
    const double factor = match_unit(grid, v);
    if (factor != 1 && match_in_unit(grid, grid_name, v, name, factor, out) == U3D_OK) return U3D_OK;
    *out = (u3d_match){0};
    const u3d_status status = match_whole_voxels(grid, grid_name, v, name, out);
    if (status == U3D_OK || !nearest) return status;
    out->how = U3D_MATCH_NEAREST;
    U3D_TRY(match_affine(grid, v, name, out->to));
    if (match_overlaps(grid, v, (const double(*)[4])out->to)) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT,
                    "'%s' and '%s' lie in different places and have no voxel in common; check the sform and "
                    "qform of both",
                    grid_name, name);
}

/* The voxel of v at a position of the grid; -1 outside of v. */
static int64_t match_voxel(const u3d_volume *v, const double m[3][4], const double at[3])
{
    double to[3];
    int64_t voxel = 0;
    match_apply(m, at, to);
    for (int axis = 2; axis >= 0; axis--) {
        const double index = floor(to[axis] + 0.5);
        if (!(index >= 0 && index < (double)v->size[2 - axis])) return -1;
        voxel = voxel * v->size[2 - axis] + (int64_t)index;
    }
    return voxel;
}

u3d_status u3d_volume_onto(u3d_volume **v, const u3d_volume *grid, const u3d_match *m, int32_t outside)
{
    if (m->how == U3D_MATCH_SAME) return U3D_OK;
    const u3d_volume *from = *v;
    u3d_volume *to;
    U3D_TRY(u3d_volume_new_like(grid, from->dtype, from->channels, &to));
    int64_t i = 0;
    for (int64_t z = 0; z < grid->size[0]; z++)
        for (int64_t y = 0; y < grid->size[1]; y++)
            for (int64_t x = 0; x < grid->size[2]; x++) {
                const double at[3] = {(double)x, (double)y, (double)z};
                const int64_t voxel = match_voxel(from, (const double(*)[4])m->to, at);
                for (int64_t j = voxel * from->channels, end = i + from->channels; i < end; i++, j++)
                    if (from->dtype == U3D_U8)
                        ((uint8_t *)to->data)[i] = voxel < 0 ? (uint8_t)outside : ((uint8_t *)from->data)[j];
                    else if (from->dtype == U3D_I32)
                        ((int32_t *)to->data)[i] = voxel < 0 ? outside : ((int32_t *)from->data)[j];
                    else
                        ((float *)to->data)[i] = voxel < 0 ? (float)outside : ((float *)from->data)[j];
            }
    u3d_volume_free(*v);
    *v = to;
    return U3D_OK;
}

u3d_status u3d_volume_match_onto(u3d_volume **v, const char *name, const u3d_volume *grid,
                                 const char *grid_name, bool nearest, int32_t outside)
{
    u3d_match m;
    U3D_TRY(u3d_volume_match(grid, grid_name, *v, name, nearest, &m));
    return u3d_volume_onto(v, grid, &m, outside);
}
