/* Last part of station 4b of training: random changes of a patch's grey values, in place. Each channel draws
 * its own random numbers. The changes are made in this order, each with its probability p_* per patch:
 *
 *   curve           a smooth rising curve over the channel's range; black and white move a little
 *   noise           v + sd * normal number, a new one for each voxel; nnU-Net calls sd's range a variance
 *   blur            Gaussian with an sd in voxels that is drawn for each axis
 *   brightness      v * factor
 *   shift           v + shift * normal number, one for the whole channel
 *   contrast        (v - mean) * factor + mean, clipped to the range that the channel had before
 *   low_resolution  nearest voxels of a coarser grid, interpolated linearly back to the patch's grid
 *   gamma_inverted  -gamma(-v)
 *   gamma           ((v - min) / range) ^ exponent * range + min; then, with gamma_retain, scaled to the mean
 *                   and sd that the channel had before
 *
 * A patch that gets blur or low_resolution gets it in each channel with probability p_channel.
 *
 * Sources: the curve is the authors' ValueAugmentation layer (caffe_unet_3D v1.0), which works on values in
 * [0, 1]. The other changes are batchgeneratorsv2's transforms in the order of
 * nnUNetTrainer.get_training_transforms (nnU-Net v2; Isensee et al. 2021); factors are below 1 as often as
 * above 1, as in its BGContrast. There are two differences: each channel gets noise of its own, and the blur
 * is cut off at four standard deviations. */
#ifndef U3D_NET_GREY_H
#define U3D_NET_GREY_H

#include "net/sample/augment.h"

/* Size of `work` for u3d_grey_apply; 0 if no patch will ever be changed. */
uint64_t u3d_grey_bytes(const u3d_augment *a, const int64_t size[3], int32_t channels);

/* Changes the grey values of sample k, image [D,H,W,C], in place. Depends only on (seed, k). Finite values
 * stay finite. */
void u3d_grey_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t size[3], int32_t channels,
                    float *image, void *work);

/* ---- the changes, one by one, on the n = D * H * W values of one channel ---- */

enum { U3D_CURVE_POINTS = 256 };

/* Draws a rising curve on [0, 1]. Returns false if a thousand draws from the settings' ranges gave none. */
bool u3d_grey_curve(const u3d_augment_settings *s, u3d_rng *rng, float curve[U3D_CURVE_POINTS]);
void u3d_grey_apply_curve(const float curve[U3D_CURVE_POINTS], float *v, int64_t n);
void u3d_grey_noise(u3d_rng *rng, double sd, float *v, int64_t n);
/* sd: in voxels, per axis. The Gaussian is cut off at four sd, and the volume is mirrored at its borders.
 * work: n + the longest axis + 64 floats. */
void u3d_grey_blur(const double sd[3], const int64_t size[3], float *v, float *work);
void u3d_grey_contrast(double factor, float *v, int64_t n);
/* scale: coarse voxels per voxel for each axis, in (0, 1]. work: n + 3 * the longest axis floats. */
void u3d_grey_low_resolution(const double scale[3], const int64_t size[3], float *v, float *work);
void u3d_grey_gamma(double gamma, bool inverted, bool retain, float *v, int64_t n);

#endif
