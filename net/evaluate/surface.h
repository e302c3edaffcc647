/* How well two surfaces agree: distances in physical units between the surfaces of a predicted mask and a
 * reference mask.
 *
 * The surface voxels of a mask are those with at least one of their six face neighbours outside of the mask.
 * Voxels outside of the volume count as outside of the mask (as in MedPy and MONAI: the mask minus its
 * erosion). In a volume of one plane, every voxel of the mask is therefore a surface voxel. Each surface
 * voxel has one distance, from its centre to the centre of the nearest surface voxel of the other mask, with
 * the spacing of each axis.
 *
 *   HD95   the larger one of the two directed 95th percentiles; a percentile is interpolated linearly between
 *          the two nearest ranks, as numpy does by default (engine/base/order.h)
 *   ASSD   mean of all distances of both directions: (sum over A + sum over B) / (|A| + |B|)
 *   MASD   mean of the two directed means (MedPy's assd)
 *   NSD    share of the surface voxels of both masks whose distance is at most the tolerance; the tolerance
 *          is multiplied by 1 + 1e-6, so that the rounding of spacings, which headers store as float32, does
 *          not decide about distances that equal it
 *
 * If one mask is empty, HD95, ASSD and MASD are NaN (there is nothing to measure a distance to), and NSD is
 * 0. If both are empty, all four are NaN.
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

/* Finds the surface voxels of each of the n label values (increasing) in an i32 volume with one channel.
 * The caller frees out[n] with u3d_points_free; after U3D_E_NOMEM there is nothing to free. The result is
 * the same for any number of threads. */
u3d_status u3d_surface_voxels(const u3d_volume *labels, const int32_t *values, int n, int threads,
                              u3d_points *out);
void u3d_points_free(u3d_points *p, int n);

/* Computes the measures above. `spacing` is z, y, x; `tolerance` is in its unit and >= 0. U3D_E_NOMEM and
 * U3D_E_UNSUPPORTED as for u3d_distance_nearest. */
u3d_status u3d_surface_compare(const u3d_points *prediction, const u3d_points *reference,
                               const double spacing[3], double tolerance, int threads,
                               u3d_surface_scores *out);

#endif
