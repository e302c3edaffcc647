/* Resampling of volumes to another voxel spacing, and of probabilities back to the volume's own grid. Images
 * are resampled before the network, and training labels with them. Augmentation does not use this; it
 * resamples patches itself (net/sample/warp.h).
 *
 * Both grids fill the same box in space, edge to edge (as in skimage.transform.resize and nnU-Net):
 *
 *   n_out = max(1, round(n_in * spacing / target)); an axis of one voxel stays one voxel
 *   voxel o of the result lies at  c = (o + 0.5) * n_in / n_out - 0.5  in voxels of the input,
 *   whose centres lie at whole numbers
 *
 * The way back is therefore the same formula with both sizes exchanged, and resampling there and back shifts
 * nothing. The true spacing of the result is spacing * n_in / n_out, which is the target except for rounding
 * to whole voxels. An axis whose size does not change is not touched. Outside of the grid the border voxel is
 * repeated.
 *
 * As in nnU-Net (skimage's anti_aliasing=False), there is no low-pass filter before downsampling. The target
 * is a median and most cases change by less than a factor of two, and a filter whose width depends on each
 * case's spacing would show the network both sharp and blurred images of the same tissue.
 *
 * Source: nnU-Net v2, preprocessing/resampling/default_resampling.py; scipy.ndimage.zoom with grid_mode. */
#ifndef U3D_NET_RESAMPLE_H
#define U3D_NET_RESAMPLE_H

#include "io/volume.h"
#include "net/config/config.h"

/* The voxel spacing that cases are resampled to. */
typedef struct u3d_resampling {
    bool on;           /* if false, every case keeps its own voxels */
    double spacing[3]; /* target, z, y, x, mm, each > 0; zeros: not known yet */
    u3d_resample_how how;
} u3d_resampling;

/* A case is not resampled if all of its spacings are within this relative tolerance of the target, because
 * the headers that scanners write differ in the last digits. */
#define U3D_RESAMPLE_TOLERANCE 0.01

/* Reads the settings. With spacing=auto, r->spacing stays zero; u3d_resample_target finds it. */
void u3d_resampling_of(const u3d_config *c, u3d_resampling *r);

/* Size (z, y, x) of a volume at the target spacing, at most INT32_MAX along an axis. It equals `size` if
 * resampling is off, or if the spacing of every axis is within U3D_RESAMPLE_TOLERANCE of the target. Returns
 * whether it differs from `size`. */
bool u3d_resample_size(const u3d_resampling *r, const int64_t size[3], const double spacing[3],
                       int64_t out[3]);

/* Finds the target for n cases with spacing[n][3] and size[n][3] (z, y, x): the median of each axis. If
 * the coarsest axis is more than 3 times coarser than both others and has less than a third of their
 * voxels, its target is the 10th percentile of that axis, but not finer than the other axes, so that most
 * cases keep their resolution. `why` (cap bytes) explains the choice in words. Source: nnU-Net v2,
 * ExperimentPlanner.determine_fullres_target_spacing. */
u3d_status u3d_resample_target(const double (*spacing)[3], const int64_t (*size)[3], int n, double target[3],
                               char *why, size_t cap);

/* Resamples an f32 image [z,y,x,c] to size `out`, replacing its data and header. If the sizes agree, the
 * image stays the same bit for bit. After a failure the volume can only be freed.
 *
 * U3D_RESAMPLE_CUBIC uses an interpolating B-spline of order 3 (nnU-Net's order=3), which reproduces cubic
 * polynomials. An axis whose spacing, in the input or in the result, is more than 3 times the finest
 * spacing is resampled linearly instead, because a spline overshoots between slices that have little in
 * common. (nnU-Net takes the nearest slice there, which moves edges by up to half a slice.)
 * U3D_RESAMPLE_LINEAR is linear along every axis. The axes x, y and z are resampled one after the other,
 * with sums in double. */
u3d_status u3d_resample_image_to(u3d_volume *v, const int64_t out[3], u3d_resample_how how);
/* Resamples an image to the size that u3d_resample_size gives. */
u3d_status u3d_resample_image(const u3d_resampling *r, u3d_volume *v);
/* Most bytes that u3d_resample_image_to holds at once, the input included. */
uint64_t u3d_resample_image_bytes(const int64_t size[3], const int64_t out[3], int32_t channels);

/* Resamples u8 classes to size `out`, replacing data and header as above.
 *
 * A voxel of the result is labelled if at least one of its input voxels is labelled. Its input voxels are,
 * along each axis, those whose centres lie inside of it, or the nearest one if no centre does. Therefore
 * labelled regions neither vanish nor spread, even if they are single slices. Single classes can vanish.
 *
 * The class of a labelled voxel is the one with the largest sum of weights among the labelled input voxels
 * around it. The weights fall linearly from its centre to 0 at a distance of max(1, (1 + n_in/n_out) / 2)
 * input voxels along each axis. If voxels shrink, this is nnU-Net's order 1 with arg max; if they grow, it
 * is a weighted majority of the voxels inside. Of classes with equal sums, that of the nearest input voxel
 * is taken if it is one of them, otherwise the lowest. For balls, a third to two thirds as many voxels are
 * wrong as with the class of the nearest voxel (tests/net/test_resample.c). */
u3d_status u3d_resample_labels_to(u3d_volume *v, const int64_t out[3]);

/* Resamples probabilities back to the volume's own grid, plane by plane. Planes of the network's grid come
 * in z order, and each plane of the volume's own grid is finished as soon as both of its neighbours have
 * come. The result is linear, with the same bits as u3d_resample_image_to with U3D_RESAMPLE_LINEAR on the
 * whole volume. The memory needed is two planes of the own grid, one plane that is resampled along x only,
 * and one row, all times `labels`. */
typedef struct u3d_planes_back u3d_planes_back;
typedef struct u3d_planes_back_opts {
    int64_t from[3], to[3];    /* sizes of the network's grid and of the volume's own grid; z, y, x */
    int32_t labels;
    u3d_volume *classes;       /* u8, size `to`: receives the arg max, the first of equals; borrowed */
    u3d_volume *probabilities; /* NULL, or f32 with `labels` channels, size `to`; borrowed           */
} u3d_planes_back_opts;
u3d_status u3d_planes_back_new(const u3d_planes_back_opts *o, u3d_planes_back **out);
void u3d_planes_back_free(u3d_planes_back *b);
uint64_t u3d_planes_back_bytes(const u3d_planes_back_opts *o);
/* Adds the next plane, f32 [from[1], from[2], labels]. The result is complete after from[0] planes. */
void u3d_planes_back_add(u3d_planes_back *b, const float *plane);

#endif
