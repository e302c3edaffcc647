/* Volumes on another voxel spacing, and probabilities back to the volume's own grid. For images before the
 * network and training labels; not for augmentation, which resamples patches.
 *
 * Both grids fill the same box in space, edge to edge (as skimage.transform.resize and nnU-Net do):
 *
 *   n_out = max(1, round(n_in * spacing / target)); an axis of one voxel stays one voxel
 *   voxel o of the result lies at  c = (o + 0.5) * n_in / n_out - 0.5  in voxels of the input, centres at
 * whole numbers
 *
 * so that the way back is the same formula with both sizes exchanged, and the way there and back moves
 * nothing. The true spacing of the result is spacing * n_in / n_out: the target, but for rounding to whole
 * voxels. An axis whose size does not change is not touched. Outside the grid the border voxel is repeated.
 *
 * There is no low-pass filter before sampling down, as in nnU-Net (skimage's anti_aliasing=False): the target
 * is a median, most cases are changed by less than a factor of two, and a filter whose width follows each
 * case's spacing would give the network sharp and blurred pictures of the same tissue.
 *
 * Source: nnU-Net v2, preprocessing/resampling/default_resampling.py; scipy.ndimage.zoom with grid_mode. */
#ifndef U3D_NET_RESAMPLE_H
#define U3D_NET_RESAMPLE_H

#include "io/volume.h"
#include "net/config/config.h"

/* What a case's voxels are brought to. */
typedef struct u3d_resampling {
    bool on;
    double spacing[3]; /* target, z, y, x, in the file's unit, each > 0 */
    u3d_resample_how how;
} u3d_resampling;

/* Spacings that agree to this share are left alone: scanners' headers differ in the last digits. */
#define U3D_RESAMPLE_TOLERANCE 0.01

/* What settings say. spacing=auto is left at zeros: u3d_resample_target fills it in. */
void u3d_resampling_of(const u3d_config *c, u3d_resampling *r);

/* Size on the target spacing; the same as `size` where resampling is off, or where every axis agrees with the
 * target within U3D_RESAMPLE_TOLERANCE. Returns whether it differs. At most INT32_MAX along an axis. */
bool u3d_resample_size(const u3d_resampling *r, const int64_t size[3], const double spacing[3],
                       int64_t out[3]);

/* Target for n cases, [n][3] each: the median per axis; where the coarsest axis is more than 3 times coarser
 * than both others and has less than a third of their voxels, the 10th percentile of that axis, but not finer
 * than the others, so that most cases keep their resolution. `why`: in words. Source: nnU-Net v2,
 * ExperimentPlanner.determine_fullres_target_spacing. */
u3d_status u3d_resample_target(const double (*spacing)[3], const int64_t (*size)[3], int n, double target[3],
                               char *why, size_t cap);

/* Image f32 [z,y,x,c] -> size `out`, replacing its data and header; unchanged, bit for bit, where sizes
 * agree. On failure the volume can only be freed.
 *
 * CUBIC: interpolating B-spline of order 3 (nnU-Net's order=3), which reproduces cubics; along an axis whose
 * spacing is more than 3 times that of the finest in the input or the result, linear instead, because there a
 * spline overshoots between slices that have little to do with each other (nnU-Net takes the nearest slice,
 * which moves edges by up to half a slice). LINEAR: along every axis. Axes x, y, z in turn, sums in double.
 */
u3d_status u3d_resample_image_to(u3d_volume *v, const int64_t out[3], u3d_resample_how how);
/* To the size that `r` asks for. */
u3d_status u3d_resample_image(const u3d_resampling *r, u3d_volume *v);
/* Bytes while that runs, the input included. */
uint64_t u3d_resample_image_bytes(const int64_t size[3], const int64_t out[3], int32_t channels);

/* Classes u8 -> size `out`, in place as above.
 *
 * A voxel of the result is labelled where one of its input voxels is: along each axis those whose centres lie
 * in it, or the nearest one where there is none. So what was painted is neither lost nor spread, down to
 * single slices. Its class is the one with the largest sum of linear weights among labelled voxels, in tents
 * of half width max(1, (1 + n_in/n_out) / 2) per axis: nnU-Net's order 1 with arg max, and the majority of
 * the voxels inside where voxels grow. Among equals the nearest voxel's, else the lowest. On balls a third to
 * two thirds as many voxels are wrong as with the nearest voxel's class (tests/net/test_resample.c). */
u3d_status u3d_resample_labels_to(u3d_volume *v, const int64_t out[3]);

/* The way back, plane by plane: probabilities on the network's grid come in z order, and every plane of the
 * volume's own grid is finished as soon as its neighbours are there. Linear, the same bits as
 * u3d_resample_image_to(LINEAR) of the whole volume; memory: two planes of the own grid and one of each kind
 * in between, times labels. */
typedef struct u3d_planes_back u3d_planes_back;
typedef struct u3d_planes_back_opts {
    int64_t from[3], to[3]; /* sizes: the network's grid, the volume's own */
    int32_t labels;
    u3d_volume *classes;       /* u8, size `to`: arg max, the first of equals; borrowed */
    u3d_volume *probabilities; /* NULL, or f32 with `labels` channels, size `to`       */
} u3d_planes_back_opts;
u3d_status u3d_planes_back_new(const u3d_planes_back_opts *o, u3d_planes_back **out);
void u3d_planes_back_free(u3d_planes_back *b);
uint64_t u3d_planes_back_bytes(const u3d_planes_back_opts *o);
/* The next plane, f32 [from y, from x, labels]. The last one of from[0] finishes the volume. */
void u3d_planes_back_add(u3d_planes_back *b, const float *plane);

#endif
