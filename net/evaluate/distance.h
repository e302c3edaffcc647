/* Distances between sets of voxels, exact, by a Euclidean distance transform with a spacing per axis. */
#ifndef U3D_NET_DISTANCE_H
#define U3D_NET_DISTANCE_H

#include <stdint.h>

#include "engine/base/status.h"

/* Voxels of a volume: z, y, x, in the volume's own order (x fastest), each once. */
typedef struct u3d_points {
    int32_t (*at)[3];
    int64_t n;
} u3d_points;

/* distance[i]: from voxel i of `from` to the nearest voxel of `to`, centre to centre, in the unit of
 * `spacing` (z, y, x; > 0). INFINITY where `to` is empty. `distance` has from->n entries. Same bits for any
 * number of threads.
 *
 * Works on the box that holds both sets, with 2 bytes for each of its voxels and 8 for each of a plane and
 * thread. Nothing outside of it is needed: both ends of every distance lie inside.
 *
 * U3D_E_NOMEM; U3D_E_UNSUPPORTED where the box has 65,536 planes or more.
 * Source: Meijster, Roerdink & Hesselink, "A general algorithm for computing distance transforms in linear
 * time", 2000 (steps along one axis, then lower envelopes); Maurer, Qi & Raghavan, IEEE PAMI 25(2), 2003 (the
 * test that builds an envelope without division). Felzenszwalb & Huttenlocher 2012 is the same with
 * divisions. */
u3d_status u3d_distance_nearest(const u3d_points *from, const u3d_points *to, const double spacing[3],
                                int threads, double *distance);

#endif
