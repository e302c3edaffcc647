/* Station 4b, last: random changes of a patch's grey values, in place. Each channel draws its own numbers.
 *
 * In this order, each with the chance p_* that the patch gets it:
 *
 *   curve           a smooth rising curve over the channel's range; black and white move a little
 *   noise           + sd * normal number; nnU-Net calls the range of sd a variance
 *   blur            Gaussian, sd in voxels drawn for each axis; share p_channel of the channels
 *   brightness      * factor
 *   shift           + one normal number
 *   contrast        (v - mean) * factor + mean, kept within the range that was there
 *   low_resolution  nearest voxels of a coarser grid, straight lines between them; share p_channel
 *   gamma_inverted  -gamma(-v)
 *   gamma           ((v - min) / range) ^ exponent * range + min; gamma_retain: then mean, sd as before
 *
 * Source: the curve is the authors' ValueAugmentation layer (caffe_unet_3D v1.0), there on values in [0, 1].
 * The others are batchgeneratorsv2's transforms in the order of nnUNetTrainer.get_training_transforms (nnU-Net
 * v2; Isensee et al. 2021), factors below 1 as often as above as its BGContrast. Unlike there, each channel
 * gets noise of its own, and the blur is cut off at four standard deviations. */
#ifndef U3D_NET_GREY_H
#define U3D_NET_GREY_H

#include "net/sample/augment.h"

/* Of `work` for u3d_grey_apply; 0 where no patch will ever be changed. */
uint64_t u3d_grey_bytes(const u3d_augment *a, const int64_t size[3], int32_t channels);

/* image [D,H,W,C], in place. Depends on (seed, k) only. Finite values stay finite. */
void u3d_grey_apply(const u3d_augment *a, uint64_t seed, int64_t k, const int64_t size[3], int32_t channels,
                    float *image, void *work);

/* ---- the changes, one by one, on the n = D * H * W values of one channel ---- */

enum { U3D_CURVE_POINTS = 256 };

/* A rising curve on [0, 1]: false where the settings' ranges gave none in a thousand draws. */
bool u3d_grey_curve(const u3d_augment_settings *s, u3d_rng *rng, float curve[U3D_CURVE_POINTS]);
void u3d_grey_apply_curve(const float curve[U3D_CURVE_POINTS], float *v, int64_t n);
void u3d_grey_noise(u3d_rng *rng, double sd, float *v, int64_t n);
/* sd per axis; cut off at four of them. Mirrored at the borders. work: n + the longest axis + 64 floats. */
void u3d_grey_blur(const double sd[3], const int64_t size[3], float *v, float *work);
void u3d_grey_contrast(double factor, float *v, int64_t n);
/* scale per axis, in (0, 1]. work: n + 3 times the longest axis, floats. */
void u3d_grey_low_resolution(const double scale[3], const int64_t size[3], float *v, float *work);
void u3d_grey_gamma(double gamma, bool inverted, bool retain, float *v, int64_t n);

#endif
