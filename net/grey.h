/* Station 4b, last: random changes of a patch's grey values, in place. Each channel draws its own numbers.
 *
 * In this order, each with the chance p_* that the patch gets it:
 *
 *   curve           a smooth rising curve over the channel's range in the patch; black and white move a little. Authors'
 *                   ValueAugmentation layer (caffe_unet_3D v1.0), ranges of Roth et al. 2017 (arXiv:1704.06382)
 *   noise           + sd * normal. nnU-Net calls the same range a variance and uses it as sd, as here; it adds one
 *                   draw to all channels, this adds a new one to each
 *   blur            Gaussian, sd in voxels drawn for each axis; share p_channel of the channels
 *   brightness      * factor
 *   shift           + normal number of sd `shift`
 *   contrast        (v - mean) * factor + mean, kept within the range that was there
 *   low resolution  nearest voxels of a coarser grid, linear between them; share p_channel of the channels
 *   inverted gamma, gamma   ((v - min) / range) ^ exponent; mean and sd as before, or the range
 *
 * Source, but for the first: batchgeneratorsv2's transforms in the order of nnUNetTrainer.get_training_transforms
 * (nnU-Net v2; Isensee et al. 2021). Factors of brightness, contrast and gamma as its BGContrast: below 1 as often
 * as above. */
#ifndef U3D_NET_GREY_H
#define U3D_NET_GREY_H

#include "net/augment.h"

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
