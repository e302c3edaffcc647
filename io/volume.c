/* Volumes in memory: creates them, compares their places in space, and finds their orientation.
 *
 * Arrays have the order z, y, x, but voxel_to_world takes (x, y, z, 1), as NIfTI files do. */
#include "io/volume.h"

#include "engine/base/mem.h"

#include <math.h>
#include <string.h>

enum { UNIT_MM = 2, CODE_SCANNER = 1 }; /* nifti1.h: NIFTI_UNITS_MM, NIFTI_XFORM_SCANNER_ANAT */

int64_t u3d_volume_voxels(const u3d_volume *v)
{
    return v->size[0] * v->size[1] * v->size[2];
}

void u3d_volume_free(u3d_volume *v)
{
    if (!v) return;
    u3d_free(v->data);
    u3d_free(v);
}

/* Allocates zeroed data for a volume whose type, channels and size are set. */
static u3d_status volume_alloc(u3d_volume *v)
{
    const int64_t dim[4] = {v->size[0], v->size[1], v->size[2], v->channels};
    u3d_type type = u3d_type_of(v->dtype, 4, dim);
    int64_t elements = 0;
    uint64_t bytes = 0;
    U3D_TRY(u3d_type_count(&type, &elements, &bytes));
    v->data = u3d_new((size_t)elements, u3d_dtype_size(v->dtype));
    return v->data ? U3D_OK : U3D_E_NOMEM;
}

u3d_status u3d_volume_new_like(const u3d_volume *like, u3d_dtype dtype, int32_t channels, u3d_volume **out)
{
    *out = NULL;
    u3d_volume *v = u3d_new(1, sizeof *v);
    if (!v) return U3D_E_NOMEM;
    *v = *like;
    v->dtype = dtype;
    v->channels = channels;
    v->data = NULL;
    u3d_status status = volume_alloc(v);
    if (status != U3D_OK) {
        u3d_volume_free(v);
        return status;
    }
    *out = v;
    return U3D_OK;
}

u3d_status u3d_volume_new_box(const u3d_volume *like, const int64_t start[3], const int64_t size[3],
                              u3d_dtype dtype, int32_t channels, u3d_volume **out)
{
    u3d_volume box = *like;
    memcpy(box.size, size, sizeof box.size);
    for (int w = 0; w < 3; w++)
        for (int axis = 0; axis < 3; axis++)
            box.voxel_to_world[w][3] += like->voxel_to_world[w][axis] * (double)start[2 - axis];
    memcpy(box.grid.sform, box.voxel_to_world, sizeof box.grid.sform);
    if (box.grid.sform_code <= 0) box.grid.sform_code = box.grid.qform_code;
    box.grid.qform_code = 0;
    return u3d_volume_new_like(&box, dtype, channels, out);
}

u3d_status u3d_volume_new(const int64_t size[3], const double spacing[3], u3d_dtype dtype, int32_t channels,
                          u3d_volume **out)
{
    u3d_volume like;
    memset(&like, 0, sizeof like);
    for (int a = 0; a < 3; a++) {
        like.size[a] = size[a];
        like.spacing[a] = spacing[a];
        like.voxel_to_world[a][a] = spacing[2 - a];
        like.grid.sform[a][a] = spacing[2 - a];
        like.grid.pixdim[a] = spacing[2 - a];
    }
    like.grid.qfac = 1;
    like.grid.sform_code = like.grid.qform_code = CODE_SCANNER;
    like.grid.xyzt_units = UNIT_MM;
    like.grid.nifti_version = 1;
    return u3d_volume_new_like(&like, dtype, channels, out);
}

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
                        "'%s' has %lldx%lldx%lld voxels (x, y, z) but '%s' has %lldx%lldx%lld; "
                        "they must have the same grid",
                        a_name, (long long)a->size[2], (long long)a->size[1], (long long)a->size[0], b_name,
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

void u3d_volume_orientation(const u3d_volume *v, int axis[3])
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    double best = -1, cosine[3][3];
    axis[0] = axis[1] = axis[2] = 0;
    if (v->grid.sform_code <= 0 && v->grid.qform_code <= 0) return;
    for (int column = 0; column < 3; column++) {
        double length = 0;
        for (int w = 0; w < 3; w++) length = hypot(length, v->voxel_to_world[w][column]);
        for (int w = 0; w < 3; w++)
            cosine[w][column] = length > 0 ? v->voxel_to_world[w][column] / length : 0;
    }
    /* Of the six pairings of world axes with voxel axes, pick the one with the largest sum of |cosine|. */
    for (int order = 0; order < 6; order++) {
        double sum = 0;
        for (int w = 0; w < 3; w++) sum += fabs(cosine[w][orders[order][w]]);
        if (sum <= best) continue;
        best = sum;
        for (int w = 0; w < 3; w++) {
            int column = orders[order][w];
            axis[w] = cosine[w][column] < 0 ? -(column + 1) : column + 1;
        }
    }
}
