/* Finds where the voxels of a NIfTI file lie: its affine and its spacing.
 *
 * The order of precedence is that of nibabel and nifti1.h ("3D IMAGE ORIENTATION AND LOCATION IN SPACE"): the
 * sform if its code is above 0, otherwise the qform if its code is above 0, otherwise only the spacing. A
 * transform that contains NaN or maps space to a plane is ignored with a warning, because the voxels are
 * still good. Lengths in metres and micrometres become millimetres, as in ITK; an unknown unit counts as
 * millimetres. The header is written back as it was. */
#include "io/nifti_impl.h"

#include "engine/base/log.h"

#include <math.h>
#include <nifti2_io.h>
#include <string.h>

/* Differences between sform and qform up to this fraction of a voxel are due to rounding (headers are
 * float32); larger ones are mistakes. */
static const double place_disagree_voxels = 0.01;

static const double most_plausible_mm = 100;

/* Whether every entry is finite and the three axes span three dimensions (relative to their lengths). */
static bool place_valid(const double m[3][4])
{
    double product = 1;
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++)
            if (!isfinite(m[row][column])) return false;
    for (int column = 0; column < 3; column++)
        product *= hypot(hypot(m[0][column], m[1][column]), m[2][column]);
    double det = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                 m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                 m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
    return isfinite(product) && product > 0 && fabs(det) > 1e-9 * product;
}

/* Makes pixdim x, y, z usable: drops the sign, and uses 1 if a value is 0 or not finite. */
static void place_pixdim(const char *path, const u3d_nifti_info *info, double pixdim[3])
{
    for (int axis = 0; axis < 3; axis++) {
        double stored = info->grid.pixdim[axis], used = fabs(stored);
        if (!isfinite(used) || used == 0) used = 1;
        pixdim[axis] = used;
        /* No warning for an axis with one voxel: 2D images often leave the third pixdim at 0. */
        if (used != stored && info->size[2 - axis] > 1)
            u3d_log_once(U3D_LOG_WARN, "io", "'%s': pixdim[%d] is %g; u3d uses %g instead", path, axis + 1,
                         stored, used);
    }
}

/* Converts the qform to a matrix. Returns false if its fields do not give a valid one. */
static bool place_qform(const u3d_grid *g, const double pixdim[3], double m[3][4])
{
    for (int i = 0; i < 3; i++)
        if (!isfinite(g->quatern[i]) || !isfinite(g->qoffset[i])) return false;
    double qfac = g->qfac < 0 ? -1 : 1; /* 0 means 1, and so does NaN */
    nifti_dmat44 q =
        nifti_quatern_to_dmat44(g->quatern[0], g->quatern[1], g->quatern[2], g->qoffset[0], g->qoffset[1],
                                g->qoffset[2], pixdim[0], pixdim[1], pixdim[2], qfac);
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 4; column++) m[row][column] = q.m[row][column];
    return place_valid((const double(*)[4])m);
}

/* The largest distance between the corners of the volume under two transforms, in voxels of the finest axis
 * of a. */
static double place_difference(const u3d_nifti_info *info, const double a[3][4], const double b[3][4])
{
    double worst = 0, finest = INFINITY;
    for (int axis = 0; axis < 3; axis++)
        finest = fmin(finest, hypot(hypot(a[0][axis], a[1][axis]), a[2][axis]));
    for (int corner = 0; corner < 8; corner++) {
        double sum = 0;
        for (int row = 0; row < 3; row++) {
            double d = a[row][3] - b[row][3];
            for (int axis = 0; axis < 3; axis++)
                if (corner >> axis & 1)
                    d += (a[row][axis] - b[row][axis]) * (double)(info->size[2 - axis] - 1);
            sum += d * d;
        }
        worst = fmax(worst, sqrt(sum) / finest);
    }
    return worst;
}

double u3d_grid_unit_mm(const u3d_grid *g)
{
    switch (g->xyzt_units & U3D_UNITS_SPACE) {
    case NIFTI_UNITS_METER: return 1e3;
    case NIFTI_UNITS_MM: return 1;
    case NIFTI_UNITS_MICRON: return 1e-3;
    default: return 0;
    }
}

/* A header whose unit is metres and whose voxels are larger than any scanner's probably has the wrong unit.
 */
static void place_check_unit(const char *path, const u3d_nifti_info *info)
{
    const double finest = fmin(info->spacing[0], fmin(info->spacing[1], info->spacing[2]));
    if ((info->grid.xyzt_units & U3D_UNITS_SPACE) == NIFTI_UNITS_METER && finest > most_plausible_mm)
        u3d_log_once(
            U3D_LOG_WARN, "io",
            "'%s': its unit is metres (xyzt_units %d), so its voxels measure %.4gx%.4gx%.4g mm; if that is "
            "wrong, correct xyzt_units",
            path, (int)info->grid.xyzt_units, info->spacing[2], info->spacing[1], info->spacing[0]);
}

void u3d_nifti_place(const char *path, u3d_nifti_info *info)
{
    const u3d_grid *g = &info->grid;
    double qform[3][4] = {{0}}, pixdim[3] = {1, 1, 1};
    bool use_sform = g->sform_code > 0 && place_valid(g->sform);
    if (g->sform_code > 0 && !use_sform)
        u3d_log_once(U3D_LOG_WARN, "io", "'%s': its sform is not a valid transform and is ignored", path);
    if (!use_sform || g->qform_code > 0) place_pixdim(path, info, pixdim);
    bool use_qform = g->qform_code > 0 && place_qform(g, pixdim, qform);
    if (g->qform_code > 0 && !use_qform)
        u3d_log_once(U3D_LOG_WARN, "io", "'%s': its qform is not a valid transform and is ignored", path);

    memset(info->voxel_to_world, 0, sizeof info->voxel_to_world);
    if (use_sform)
        memcpy(info->voxel_to_world, g->sform, sizeof g->sform);
    else if (use_qform)
        memcpy(info->voxel_to_world, qform, sizeof qform);
    else
        for (int axis = 0; axis < 3; axis++) info->voxel_to_world[axis][axis] = pixdim[axis];
    info->placed = use_sform || use_qform;
    const double unit = u3d_grid_unit_mm(g);
    for (int row = 0; row < 3 && unit > 0; row++)
        for (int column = 0; column < 4; column++) info->voxel_to_world[row][column] *= unit;
    for (int axis = 0; axis < 3; axis++) {
        const double(*m)[4] = (const double(*)[4])info->voxel_to_world;
        info->spacing[2 - axis] = hypot(hypot(m[0][axis], m[1][axis]), m[2][axis]);
    }
    place_check_unit(path, info);
    if (use_sform && use_qform) {
        double off_by = place_difference(info, g->sform, (const double(*)[4])qform);
        if (off_by > place_disagree_voxels)
            u3d_log_once(U3D_LOG_WARN, "io",
                         "'%s': sform and qform disagree by %.3g voxels; the sform is used", path, off_by);
    }
}
