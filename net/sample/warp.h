/* Station 4 of training for samples that are rotated, scaled or deformed: one resampling pass from the case's
 * volume into the patch. It uses the inverse map, so that nothing is interpolated twice and the patch shows
 * real voxels wherever the volume has any.
 *
 *   v(p) = centre + A P (p - (n - 1) / 2) + d(p)        p, v: z, y, x in voxels of patch and volume
 *
 *   P    the exchange of axes that flips and turns make
 *   A    S^-1 R S diag(scale), S = diag(spacing of the case); R is a rotation in space, not in voxels
 *   d    random vectors on a grid over the patch, with cubic B-splines between them:
 *        elastic_interpolation=approximate   the vectors are the splines' coefficients, as in the authors'
 *            CreateDeformation layer (caffe_unet_3D v1.0). The standard deviation of the field is 0.354 of
 *            that of the vectors at grid points, and 0.312 of it in the middle between grid points.
 *        elastic_interpolation=interpolate   the field has the vectors' values at grid points
 *
 * Grid spacing and standard deviation are given in voxels of the finest axis. Along other axes they have the
 * same length in space. If an axis is `coarse`, nothing is displaced along it, it is not scaled, and all
 * rotation is about this axis.
 *
 * Source: Cicek et al. 2016, section 2.1; splines: Unser, "Splines: a perfect fit", IEEE Signal Processing
 * Magazine 16(6), 1999. Cubic images: Keys, "Cubic convolution interpolation", IEEE ASSP 29(6), 1981. */
#ifndef U3D_NET_WARP_H
#define U3D_NET_WARP_H

#include "net/sample/augment.h"

/* What was drawn for one sample. */
typedef struct u3d_warp_draw {
    double angle[3]; /* radians, about z, y, x; the rotation about x is made first, that about z last */
    double scale[3]; /* volume voxels per patch voxel, z, y, x */
    bool elastic;
    uint64_t seed, index; /* of the deformation's random vectors, in stream U3D_RNG_WARP */
} u3d_warp_draw;

/* Draws for sample k. Returns false if nothing is to be resampled; the patch is then cut. */
bool u3d_warp_choose(const u3d_augment *a, uint64_t seed, int64_t k, u3d_warp_draw *out);
/* Adds sample k's random shift of whole voxels to the box's start: at most `translation` along each axis. */
void u3d_warp_shift(const u3d_augment *a, uint64_t seed, int64_t k, u3d_box *box);

/* One worker's memory for maps of patches of `in` voxels. *out is NULL if the settings never resample a
 * sample. */
typedef struct u3d_warp u3d_warp;
u3d_status u3d_warp_new(const u3d_augment *a, const int64_t in[3], u3d_warp **out);
void u3d_warp_free(u3d_warp *w);
uint64_t u3d_warp_bytes(const u3d_augment *a, const int64_t in[3]);

/* Sets the map of one sample: what was drawn, the spacing of its volume, and its flips and turns. */
void u3d_warp_set(u3d_warp *w, const u3d_warp_draw *draw, const double spacing[3], const u3d_axes *axes);

/* Moves the box so that `voxel` of the volume appears at the same position as in the plain cut (before flips
 * and turns, and apart from the deformation). Otherwise rotating and scaling about the middle of the patch
 * could move the voxel, and the annotated slice that it was chosen for, out of the patch. */
void u3d_warp_keep(const u3d_warp *w, const u3d_axes *axes, const int64_t voxel[3], u3d_box *box);

/* Evaluates the map for the n patch voxels (z, y, x .. x + n - 1): coord[axis][i] = v - centre, axes z, y, x.
 * The arrays belong to the warp and are valid until the next call. */
void u3d_warp_row(u3d_warp *w, int64_t z, int64_t y, int64_t x, int64_t n, float *coord[3]);

/* Resamples the volume around the centre of `box` (network input, before the map): out [D,H,W,C].
 * Interpolation is linear or cubic, as set. Positions outside of the volume are treated as by
 * u3d_patch_cut_image. */
void u3d_warp_image(u3d_warp *w, const u3d_volume *image, const u3d_box *box, u3d_border border, float *out);
/* The class of the nearest voxel, U3D_UNLABELED included, for the middle `size` voxels of the box: out
 * [d,h,w]. Positions outside of the volume are treated as by u3d_patch_cut_label. */
void u3d_warp_label(u3d_warp *w, const u3d_volume *label, const u3d_box *box, const int64_t size[3],
                    u3d_border border, uint8_t *out);

#endif
