/* How well two surfaces agree: distances in physical units between the surfaces of a predicted and a
 * reference mask.
 *
 * Surface voxels are the mask's voxels with at least one of their six face neighbours outside of the mask;
 * outside of the volume counts as outside (the mask minus its erosion, as in MedPy and MONAI), so that in a
 * volume of one plane every voxel of the mask is one. Each has one distance: from its centre to the centre of the nearest surface voxel of the other mask, with the spacing of
 * each axis.
 *
 *   HD95   the larger of the two directed 95th percentiles; a percentile interpolates linearly between the
 *          two nearest ranks, as numpy's default does: rank 0.95 (n - 1), counted from 0
 *   ASSD   mean of all distances of both directions: (sum over A + sum over B) / (|A| + |B|)
 *   MASD   mean of the two directed means (MedPy calls this one assd)
 *   NSD    share of the surface voxels of both masks whose distance is at most the tolerance, times 1 + 1e-9
 *          so that rounding does not decide about voxels that lie exactly on it
 *
 * One mask empty: HD95, ASSD and MASD are NaN (there is nothing to measure to), NSD is 0. Both empty: all
 * NaN.
 *
 * Sources: Heimann et al. 2009 (ASSD), doi:10.1109/TMI.2009.2013851; Nikolov et al. 2018 (surface Dice at a
 * tolerance), arXiv:1809.04430; Maier-Hein, Reinke et al., "Metrics reloaded", 2024 (ASSD apart from MASD),
 * arXiv:2206.01653. */
#ifndef U3D_NET_SURFACE_H
#define U3D_NET_SURFACE_H

#include "io/volume.h"
#include "net/evaluate/distance.h"

typedef struct u3d_surface_scores {
    double hd95, assd, masd, nsd;
} u3d_surface_scores;

/* Surface voxels of each of the `n` label values (increasing) in an i32 volume with one channel: out[n], each
 * to be given back with u3d_points_free. U3D_E_NOMEM leaves nothing behind. Same result for any number of
 * threads. */
u3d_status u3d_surface_voxels(const u3d_volume *labels, const int32_t *values, int n, int threads,
                              u3d_points *out);
void u3d_points_free(u3d_points *p, int n);

/* spacing: z, y, x; tolerance in its unit, >= 0. U3D_E_NOMEM, U3D_E_UNSUPPORTED as u3d_distance_nearest. */
u3d_status u3d_surface_compare(const u3d_points *prediction, const u3d_points *reference,
                               const double spacing[3], double tolerance, int threads,
                               u3d_surface_scores *out);

/* The value below which the share `q` of `v` lies, linear between ranks; v (n >= 1, no NaN) is reordered. */
double u3d_percentile(double *v, int64_t n, double q);

#endif
