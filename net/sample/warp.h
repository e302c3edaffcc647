/* Station 4 where a sample is rotated, scaled or deformed: one resampling pass from the case's volume into
 * the patch, by the inverse map, so that nothing is interpolated twice and the volume is read wherever it has
 * data.
 *
 *   v(p) = centre + A P (p - (n - 1) / 2) + d(p)        p, v: z, y, x in voxels of patch and volume
 *
 *   P    the exchange of axes that flips and turns make
 *   A    S^-1 R S diag(scale), S = diag(spacing of the case): R is a rotation in space, not in voxels
 *   d    random vectors on a grid over the patch, cubic B-splines between them:
 *        elastic_interpolation=approximate   the vectors are the splines' coefficients, as in the authors'
 *            CreateDeformation layer (caffe_unet_3D v1.0); their standard deviation shrinks to 0.354 of it at
 *            grid points, to 0.312 in the middle between them
 *        elastic_interpolation=interpolate   the field takes the vectors' values at grid points
 *
 * Grid spacing and standard deviation are given in voxels of the finest axis; along a coarser one they are
 * the same length in space. Along axes that are `coarse` nothing is displaced, rotation is about them alone,
 * and they are not scaled.
 *
 * Source: Cicek et al. 2016, section 2.1; splines: Unser, "Splines: a perfect fit", IEEE Signal Processing
 * Magazine 16(6), 1999. Cubic images: Keys, "Cubic convolution interpolation", IEEE ASSP 29(6), 1981. */
#ifndef U3D_NET_WARP_H
#define U3D_NET_WARP_H

#include "net/sample/augment.h"

/* What was drawn for one sample. */
typedef struct u3d_warp_draw {
    double angle[3]; /* radians, about z, y, x; about x first, about z last */
    double scale[3]; /* volume voxels per patch voxel, z, y, x              */
    bool elastic;
    uint64_t seed, index; /* of the deformation's random vectors            */
} u3d_warp_draw;

/* Sample k's draw. false: nothing is to be resampled, and the patch is cut. */
bool u3d_warp_choose(const u3d_augment *a, uint64_t seed, int64_t k, u3d_warp_draw *out);
/* Sample k's whole-voxel shift, at most `translation` along each axis, added to the box's start. */
void u3d_warp_shift(const u3d_augment *a, uint64_t seed, int64_t k, u3d_box *box);

/* One worker's memory for maps of patches of `in` voxels; NULL where no sample will ever need it. */
typedef struct u3d_warp u3d_warp;
u3d_status u3d_warp_new(const u3d_augment *a, const int64_t in[3], u3d_warp **out);
void u3d_warp_free(u3d_warp *w);
uint64_t u3d_warp_bytes(const u3d_augment *a, const int64_t in[3]);

/* The map of one sample: cut out of a volume of this spacing, then flipped and turned. */
void u3d_warp_set(u3d_warp *w, const u3d_warp_draw *draw, const double spacing[3], const u3d_axes *axes);

/* Moves the box so that `voxel` of the volume keeps the place in the patch that it has in the plain cut, but
 * for the deformation: turning and scaling about the middle would else throw it out, and the slice that it
 * stands for. */
void u3d_warp_keep(const u3d_warp *w, const u3d_axes *axes, const int64_t voxel[3], u3d_box *box);

/* v - (middle of the patch) for the n patch voxels z, y, x .. x + n - 1: coord[axis][i], axes z, y, x. The
 * arrays stay the warp's until the next call. */
void u3d_warp_row(u3d_warp *w, int64_t z, int64_t y, int64_t x, int64_t n, float *coord[3]);

/* Resample the volume where `box` (network input, before the map) lies: out [D,H,W,C]. Outside of the volume
 * as u3d_patch_cut_image. Linear or cubic, as set. */
void u3d_warp_image(u3d_warp *w, const u3d_volume *image, const u3d_box *box, u3d_border border, float *out);
/* Nearest voxel's class, unlabelled ones included, for the middle `size` voxels of the box: out [d,h,w].
 * Outside as u3d_patch_cut_label. */
void u3d_warp_label(u3d_warp *w, const u3d_volume *label, const u3d_box *box, const int64_t size[3],
                    u3d_border border, uint8_t *out);

#endif
