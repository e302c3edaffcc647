/* Exact distances between sets of voxels, by a Euclidean distance transform with a spacing per axis. */
#ifndef U3D_NET_DISTANCE_H
#define U3D_NET_DISTANCE_H

#include <stdint.h>

#include "engine/base/status.h"

/* A set of voxels of a volume: positions z, y, x in the order of the volume (x fastest), each at most
 * once. */
typedef struct u3d_points {
    int32_t (*at)[3];
    int64_t n;
} u3d_points;

/* For each voxel i of `from`, writes to distance[i] the distance to the nearest voxel of `to`, from centre to
 * centre, in the unit of `spacing` (z, y, x; > 0). If `to` is empty, all distances are INFINITY. `distance`
 * has from->n entries. The result has the same bits for any number of threads.
 *
 * The work is done in the smallest box that contains both sets, because both ends of every distance lie
 * inside of it. It needs 2 bytes per voxel of the box, and 8 bytes per voxel of one of its planes for each
 * thread.
 *
 * U3D_E_NOMEM; U3D_E_UNSUPPORTED: the box has 65,536 planes or more.
 *
 * Source: Meijster, Roerdink & Hesselink, "A general algorithm for computing distance transforms in linear
 * time", 2000 (steps along one axis, then lower envelopes); Maurer, Qi & Raghavan, IEEE PAMI 25(2), 2003 (the
 * test that builds an envelope without division). Felzenszwalb & Huttenlocher 2012 is the same with
 * divisions. */
u3d_status u3d_distance_nearest(const u3d_points *from, const u3d_points *to, const double spacing[3],
                                int threads, double *distance);

#endif
