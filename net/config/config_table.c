/* The table of settings.
 *
 * A row says everything about a key: where it is stored, its default, its range and one line of help.
 * Reading, writing, --help and the copy inside a model all go through this table (config.c, config_json.c).
 * Relations between keys are checked in net/model/config_check.c. The words of the keys "augment" and "plane"
 * imply settings of other keys. The defaults are nnU-Net's network, loss and optimizer (Isensee et al. 2021);
 * presets change them (config_preset.c). */
#include <stddef.h>
#include <string.h>

#include "net/config/config_impl.h"
#include "net/config/config_value.h"

static const char *const words_double[] = {"before-pool", "at-start", NULL};
static const char *const words_norm[] = {"none", "batch", "instance", NULL};
static const char *const words_statistics[] = {"tile", "running", NULL};
static const char *const words_activation[] = {"relu", "leaky", NULL};
static const char *const words_padding[] = {"valid", "same", NULL};
static const char *const words_plane[] = {"off", "xy", "xz", "yz", NULL};
static const char *const words_plane_labels[] = {"all", "slices", NULL};
static const char *const words_loss[] = {"ce", "dice", "ce+dice", NULL};
static const char *const words_deep[] = {"off", "on", "all", NULL};
static const char *const words_post[] = {"none", "largest", "auto", NULL};
static const char *const words_intensity[] = {"auto", "zscore", "ct", "none", "rescale", "rgb", NULL};
static const char *const words_resample[] = {"off", "auto", NULL};
static const char *const words_resample_image[] = {"cubic", "linear", NULL};
static const char *const words_precision[] = {"fast", "strict", NULL};
static const char *const words_switch[] = {"auto", "on", "off", NULL};
static const char *const words_optimizer[] = {"sgd", "adam", NULL};
static const char *const words_schedule[] = {"constant", "step", "poly", "cosine", NULL};

static const char *const words_augment[] = {"off", "flips", "paper", "nnunet", NULL};
static const char *const words_scaling[] = {"same", "each", NULL};
static const char *const words_elastic[] = {"approximate", "interpolate", NULL};
static const char *const words_interpolation[] = {"linear", "cubic", NULL};

/* The settings that the words of key "augment" imply. Each word switches off what it does not use, and sets
 * the ranges of what it uses, because another word may have changed them before.
 *
 * paper: Cicek et al. 2016, section 2.1, names rotation, scaling, grey values and the deformation, and gives
 * numbers for the deformation only. The angles are from the example in the authors' release (caffe_unet_3D
 * v1.0). That example has no scaling, so the range of scaling is our choice. The curve is from Roth et al.
 * 2017 and the authors' Fiji plugin.
 *
 * nnunet: nnUNetTrainer.get_training_transforms of nnU-Net v2; scaling is log-uniform instead of uniform. */
#define NO_WARP "p_rotation=0", "p_scaling=0", "p_elastic=0", "translation=0"
#define NO_NNUNET_GREY                                                                                       \
    "p_noise=0", "p_blur=0", "p_brightness=0", "p_shift=0", "p_contrast=0", "p_low_resolution=0",            \
        "p_gamma_inverted=0", "p_gamma=0"
static const char *const augment_off[] = {"mirror=none", "turn=off", NO_WARP, "p_curve=0", NO_NNUNET_GREY,
                                          NULL};
static const char *const augment_flips[] = {"mirror=auto", "turn=auto",    NO_WARP,
                                            "p_curve=0",   NO_NNUNET_GREY, NULL};
static const char *const augment_paper[] = {
    "mirror=auto", "turn=auto", "p_rotation=1", "rotation=15", "rotation_in_plane=15", "p_scaling=1",
    "scaling=0.9,1.1", "p_elastic=1", "elastic_grid=32", "elastic_sd=4", "elastic_interpolation=approximate",
    "translation=0", "p_curve=1", "curve_black=-0.05,0.05", "curve_white=0.95,1.05", "curve_slope=0.8,1.2",
    NO_NNUNET_GREY, NULL};
static const char *const augment_nnunet[] = {
    "mirror=auto", "turn=auto", "p_rotation=0.2", "rotation=30", "rotation_in_plane=180", "p_scaling=0.2",
    "scaling=0.7,1.4", "scaling_axes=same", "p_elastic=0", "translation=0", "p_curve=0", "p_noise=0.1",
    "noise=0,0.1",
    "p_blur=0.2", "blur=0.5,1", "p_brightness=0.15", "brightness=0.75,1.25", "p_shift=0", "p_contrast=0.15",
    "contrast=0.75,1.25", "p_low_resolution=0.25", "low_resolution=0.5,1", "p_gamma_inverted=0.1",
    "p_gamma=0.3",
    "gamma=0.7,1.5", "gamma_retain=true", "p_channel=0.5", NULL};
static const char *const *const augment_implied[] = {augment_off, augment_flips, augment_paper,
                                                     augment_nnunet};

/* The settings that the words of key "plane" imply: kernel, pool and patch have size 1 across the plane. A
 * patch of 188 is 4 (mod 8), as the paper's sizes are. */
static const char *const plane_off[] = {NULL};
static const char *const plane_xy[] = {"kernel=3x3x1", "pool=2x2x1", "patch=188x188x1", NULL};
static const char *const plane_xz[] = {"kernel=3x1x3", "pool=2x1x2", "patch=188x1x188", NULL};
static const char *const plane_yz[] = {"kernel=1x3x3", "pool=1x2x2", "patch=1x188x188", NULL};
static const char *const *const plane_implied[] = {plane_off, plane_xy, plane_xz, plane_yz};

/* Accepts "auto", "none", or some of the axes x, y, z, each at most once. */
static u3d_status table_check_mirror(const char *text)
{
    if (strcmp(text, "auto") == 0 || strcmp(text, "none") == 0) return U3D_OK;
    size_t n = strlen(text);
    bool good = n >= 1 && strspn(text, "xyz") == n;
    for (size_t i = 0; good && i < n; i++) good = strchr(text + i + 1, text[i]) == NULL;
    return good ? U3D_OK : u3d_fail(U3D_E_ARG, "expected auto, none, or axes such as x or xyz");
}

/* Accepts "none", "auto", or one number >= 0 per label, not all of them 0. */
static u3d_status table_check_weights(const char *text)
{
    if (strcmp(text, "auto") == 0 || strcmp(text, "none") == 0) return U3D_OK;
    double weight[U3D_MAX_LABELS], sum = 0;
    int n = 0;
    if (u3d_parse_numbers(text, weight, U3D_MAX_LABELS, &n) != U3D_OK)
        return u3d_fail(U3D_E_ARG, "expected none, auto, or one number per label, such as 1,2,2");
    for (int i = 0; i < n; i++) {
        if (weight[i] < 0 || weight[i] > 1e6)
            return u3d_fail(U3D_E_ARG, "weight %d is %g; expected 0 to 1e6", i + 1, weight[i]);
        sum += weight[i];
    }
    return sum > 0 ? U3D_OK : u3d_fail(U3D_E_ARG, "all weights are 0");
}

static u3d_status table_check_spacing(const char *text)
{
    double zyx[3];
    return strcmp(text, "auto") == 0 ? U3D_OK : u3d_parse_spacing(text, zyx);
}

#define AT(member) offsetof(u3d_config, member)

/* Each row has two or three lines; clang-format would give every member a line of its own. */
/* clang-format off */
#define CHANCE(key, member, share, text)                                                                     \
    {.name = key, .kind = U3D_KEY_REAL, .offset = AT(augment.member), .value = share, .low = 0, .high = 1,   \
     .help = text}
#define RANGE(key, member, both, least, most, text)                                                          \
    {.name = key, .kind = U3D_KEY_RANGE, .offset = AT(augment.member), .value = both, .low = least,          \
     .high = most, .help = text}
const u3d_config_key u3d_config_keys[] = {
    {.group = "network",
     .name = "levels", .kind = U3D_KEY_INT, .offset = AT(levels), .value = "4", .low = 1,
     .high = U3D_MAX_LEVELS, .help = "number of resolution levels, including the finest"},
    {.name = "base", .kind = U3D_KEY_INT, .offset = AT(base), .value = "32", .low = 1, .high = 1024,
     .help = "channels of the first convolution; they double from level to level"},
    {.name = "convs", .kind = U3D_KEY_INT, .offset = AT(convs), .value = "2", .low = 1, .high = 8,
     .help = "convolutions per level, both on the way down and on the way up"},
    {.name = "max_width", .kind = U3D_KEY_INT, .offset = AT(max_width), .value = "320", .low = 0,
     .high = 65536, .help = "largest number of channels; 0: no limit"},
    {.name = "double", .kind = U3D_KEY_WORD, .offset = AT(doubling), .value = "at-start",
     .words = words_double,
     .help = "which convolution of a level doubles its channels: the last one (as in the paper) or the first"},
    {.name = "norm", .kind = U3D_KEY_WORD, .offset = AT(norm), .value = "instance", .words = words_norm,
     .help = "normalisation after each convolution"},
    {.name = "norm_statistics", .kind = U3D_KEY_WORD, .offset = AT(norm_statistics), .value = "tile",
     .words = words_statistics,
     .help = "norm=batch in prediction: statistics of the current tile (as in the paper) or running ones"},
    {.name = "norm_momentum", .kind = U3D_KEY_REAL, .offset = AT(norm_momentum), .value = "0.1", .low = 0,
     .high = 1, .help = "weight of the newest batch in running statistics"},
    {.name = "norm_eps", .kind = U3D_KEY_REAL, .offset = AT(norm_eps), .value = "1e-05", .low = 1e-12,
     .high = 1, .help = "small number that normalisation adds to the variance"},
    {.name = "activation", .kind = U3D_KEY_WORD, .offset = AT(activation), .value = "leaky",
     .words = words_activation, .help = "activation function after each normalisation"},
    {.name = "leaky_slope", .kind = U3D_KEY_REAL, .offset = AT(leaky_slope), .value = "0.01", .low = 0,
     .high = 1, .help = "activation=leaky: slope for values below 0"},
    {.name = "padding", .kind = U3D_KEY_WORD, .offset = AT(padding), .value = "same", .words = words_padding,
     .help = "valid: the output is smaller than the input (as in the paper); same: they have equal size"},
    {.name = "plane", .kind = U3D_KEY_WORD, .offset = AT(plane), .value = "off", .words = words_plane,
     .implied = plane_implied,
     .help = "2D network that learns from these slices (x: to the right, y: front, z: up); sets kernel, pool, patch"},
    {.name = "plane_labels", .kind = U3D_KEY_WORD, .offset = AT(plane_labels), .value = "all",
     .words = words_plane_labels,
     .help = "2D network: learn from every label, or only from whole slices of its plane, not from the lines "
             "where slices of other planes cross"},
    {.name = "kernel", .kind = U3D_KEY_AXES, .offset = AT(kernel), .value = "3x3x3", .low = 1, .high = 15,
     .count = U3D_MAX_LEVELS,
     .help = "convolution kernel x,y,z; or one per level, finest first, of which the last is repeated"},
    {.name = "pool", .kind = U3D_KEY_AXES, .offset = AT(pool), .value = "2x2x2", .low = 1, .high = 8,
     .count = U3D_MAX_LEVELS - 1, .help = "pooling x,y,z from each level to the next; or a list, as for kernel"},
    {.name = "labels", .kind = U3D_KEY_INT, .offset = AT(labels), .value = "0", .low = 0,
     .high = U3D_MAX_LABELS, .help = "number of classes; 0: taken from the data"},
    {.name = "channels", .kind = U3D_KEY_INT, .offset = AT(channels), .value = "0", .low = 0,
     .high = U3D_MAX_CHANNELS, .help = "number of image channels; 0: taken from the data"},
    {.group = "voxels",
     .name = "resample", .kind = U3D_KEY_WORD, .offset = AT(resample), .value = "off", .words = words_resample,
     .help = "auto: images are resampled to the voxel size `spacing`, and results back; off: never"},
    {.name = "spacing", .kind = U3D_KEY_TEXT, .offset = AT(spacing), .value = "auto",
     .count = sizeof(((u3d_config *)0)->spacing), .check = table_check_spacing,
     .help = "resample=auto: voxel size x,y,z in mm; auto: median of the training cases"},
    {.name = "resample_image", .kind = U3D_KEY_WORD, .offset = AT(resample_image), .value = "cubic",
     .words = words_resample_image,
     .help = "cubic: B-splines, but linear across slices that are far apart; linear: along all axes"},
    {.group = "patches",
     .name = "patch", .kind = U3D_KEY_SIZE, .offset = AT(patch), .value = "64x64x64", .low = 1, .high = 65536,
     .help = "size of the network's input in training, x,y,z in voxels"},
    {.name = "batch", .kind = U3D_KEY_INT, .offset = AT(batch), .value = "2", .low = 1, .high = 4096,
     .help = "patches per iteration"},
    {.name = "foreground_share", .kind = U3D_KEY_REAL, .offset = AT(foreground_share), .value = "0.33", .low = 0,
     .high = 1, .help = "share of patches around a foreground voxel; the others are around any labelled voxel"},
    {.name = "intensity", .kind = U3D_KEY_WORD, .offset = AT(intensity), .value = "auto",
     .words = words_intensity,
     .help = "zscore, rescale: per volume; ct: clip, mean and sd of the set; rgb: / 255; auto: by channel name"},
    /* Numbers without another source are nnU-Net v2's (nnUNetTrainer), except that p = 0. */
    {.group = "augmentation",
     .name = "augment", .kind = U3D_KEY_WORD, .offset = AT(augment.kind), .value = "flips",
     .words = words_augment, .implied = augment_implied,
     .help = "nothing, only flips and turns, as in the paper, or as in nnU-Net; sets most of the keys below"},
    {.name = "turn", .kind = U3D_KEY_WORD, .offset = AT(turn), .value = "auto", .words = words_switch,
     .help = "random 90 degree turns; auto: only if neither files nor label names tell directions apart"},
    {.name = "mirror", .kind = U3D_KEY_TEXT, .offset = AT(mirror), .value = "auto",
     .count = sizeof(((u3d_config *)0)->mirror), .check = table_check_mirror,
     .help = "random flips along axes such as xy; auto: except axes whose ends labels tell apart"},
    {.name = "image_interpolation", .kind = U3D_KEY_WORD, .offset = AT(augment.image_interpolation),
     .value = "linear", .words = words_interpolation,
     .help = "interpolation of images that are moved (paper: linear); labels use the nearest voxel"},
    CHANCE("p_rotation", p_rotation, "0",
           "chance of a rotation; angles are in space, for any spacing (nnU-Net: 0.2)"),
    {.name = "rotation", .kind = U3D_KEY_ANGLES, .offset = AT(augment.rotation), .value = "30", .low = 0,
     .high = 180, .help = "largest angle about x,y,z in degrees (nnU-Net: 30, the paper's authors: 15)"},
    {.name = "rotation_in_plane", .kind = U3D_KEY_REAL, .offset = AT(augment.rotation_in_plane),
     .value = "180", .low = 0, .high = 180,
     .help = "largest angle in degrees if rotation is in one plane only (nnU-Net: 180)"},
    {.name = "in_plane", .kind = U3D_KEY_WORD, .offset = AT(augment.in_plane), .value = "auto",
     .words = words_switch,
     .help = "move nothing across the coarsest axis; auto: if patch or spacing exceeds 3:1 (nnU-Net: patch)"},
    CHANCE("p_scaling", p_scaling, "0", "chance of scaling (nnU-Net: 0.2)"),
    RANGE("scaling", scaling, "0.7,1.4", 0.1, 10,
          "volume voxels per patch voxel, drawn log-uniformly; above 1 a patch shows more of the volume"),
    {.name = "scaling_axes", .kind = U3D_KEY_WORD, .offset = AT(augment.scaling_axes), .value = "same",
     .words = words_scaling, .help = "same: one factor for all axes (nnU-Net); each: one factor per axis"},
    CHANCE("p_elastic", p_elastic, "0",
           "chance of a deformation by random vectors on a grid (paper: 1, nnU-Net: 0)"),
    {.name = "elastic_grid", .kind = U3D_KEY_REAL, .offset = AT(augment.elastic_grid), .value = "32",
     .low = 2, .high = 1024, .help = "spacing of that grid, in voxels of the finest axis (paper: 32)"},
    {.name = "elastic_sd", .kind = U3D_KEY_REAL, .offset = AT(augment.elastic_sd), .value = "4", .low = 0,
     .high = 64, .help = "standard deviation of the vectors, in voxels of the finest axis (paper: 4)"},
    {.name = "elastic_interpolation", .kind = U3D_KEY_WORD, .offset = AT(augment.elastic_interpolation),
     .value = "approximate", .words = words_elastic,
     .help = "vectors are B-spline coefficients (as in the authors' code), or the spline's values"},
    {.name = "translation", .kind = U3D_KEY_INT, .offset = AT(augment.translation), .value = "0", .low = 0,
     .high = 1024, .help = "largest shift along each axis in voxels, added to the random choice of patches"},
    CHANCE("p_curve", p_curve, "0", "chance of a smooth rising curve of grey values (authors' code: 1)"),
    RANGE("curve_black", curve_black, "-0.05,0.05", -1, 1,
          "where the curve puts a patch's minimum, on a scale of 0 to 1 (Fiji plugin)"),
    RANGE("curve_white", curve_white, "0.95,1.05", 0, 2, "where the curve puts a patch's maximum"),
    RANGE("curve_slope", curve_slope, "0.8,1.2", 0, 10, "smallest and largest slope of the curve"),
    CHANCE("p_noise", p_noise, "0", "chance of Gaussian noise (nnU-Net: 0.1)"),
    RANGE("noise", noise, "0,0.1", 0, 10, "range of the noise's standard deviation"),
    CHANCE("p_blur", p_blur, "0", "chance of a Gaussian blur (nnU-Net: 0.2)"),
    RANGE("blur", blur, "0.5,1", 0.05, 8,
          "range of the blur's standard deviation in voxels, drawn for each axis"),
    CHANCE("p_brightness", p_brightness, "0", "chance of multiplying values by a factor (nnU-Net: 0.15)"),
    RANGE("brightness", brightness, "0.75,1.25", 0, 10, "range of that factor"),
    CHANCE("p_shift", p_shift, "0", "chance of adding one normal random number to all values (nnU-Net: 0)"),
    {.name = "shift", .kind = U3D_KEY_REAL, .offset = AT(augment.shift), .value = "0.5", .low = 0, .high = 10,
     .help = "standard deviation of that number (nnU-Net's trainer DA5)"},
    CHANCE("p_contrast", p_contrast, "0",
           "chance of multiplying differences from the mean by a factor, range kept (nnU-Net: 0.15)"),
    RANGE("contrast", contrast, "0.75,1.25", 0, 10, "range of that factor"),
    CHANCE("p_low_resolution", p_low_resolution, "0",
           "chance of sampling the patch coarsely and interpolating it back (nnU-Net: 0.25)"),
    RANGE("low_resolution", low_resolution, "0.5,1", 0.05, 1,
          "range of the number of coarse voxels per voxel along each axis"),
    CHANCE("p_gamma_inverted", p_gamma_inverted, "0",
           "chance of a gamma curve on the negated values (nnU-Net: 0.1)"),
    CHANCE("p_gamma", p_gamma, "0", "chance of a gamma curve over the patch's range (nnU-Net: 0.3)"),
    RANGE("gamma", gamma, "0.7,1.5", 0.05, 10, "range of the gamma curve's exponent"),
    {.name = "gamma_retain", .kind = U3D_KEY_BOOL, .offset = AT(augment.gamma_retain), .value = "true",
     .help = "true: gamma keeps mean and standard deviation (nnU-Net); false: it keeps the range"},
    CHANCE("p_channel", p_channel, "0.5",
           "chance that blur or low resolution changes a channel of the patch (nnU-Net: 0.5)"),
    {.group = "loss",
     .name = "loss", .kind = U3D_KEY_WORD, .offset = AT(loss), .value = "ce+dice", .words = words_loss,
     .help = "cross-entropy, soft Dice, or their sum"},
    {.name = "deep_supervision", .kind = U3D_KEY_WORD, .offset = AT(deep_supervision), .value = "off",
     .words = words_deep,
     .help = "also losses at coarser decoder levels; on: not at the coarsest (nnU-Net); needs padding=same"},
    {.name = "class_weights", .kind = U3D_KEY_TEXT, .offset = AT(class_weights), .value = "none",
     .count = U3D_LIST_CAP, .check = table_check_weights,
     .help = "none, auto (rare classes count more), or one number per label, background first: 1,2,2"},
    {.name = "pseudo_labels", .kind = U3D_KEY_WORD, .offset = AT(pseudo_labels), .value = "off",
     .words = words_switch,
     .help = "background that prediction and annotation agree on becomes a label; auto: if labels are sparse"},
    {.name = "pseudo_weight", .kind = U3D_KEY_REAL, .offset = AT(pseudo_weight), .value = "1", .low = 0.001,
     .high = 1000, .help = "weight of that loss; the loss on labelled voxels has the weight 1"},
    {.name = "pseudo_start", .kind = U3D_KEY_REAL, .offset = AT(pseudo_start), .value = "0.3", .low = 0,
     .high = 0.9, .help = "share of the iterations before training cases are first predicted for that"},
    {.group = "optimizer",
     .name = "optimizer", .kind = U3D_KEY_WORD, .offset = AT(optimizer), .value = "sgd",
     .words = words_optimizer, .help = "method that updates the weights"},
    {.name = "lr", .kind = U3D_KEY_REAL, .offset = AT(lr), .value = "0.01", .low = 1e-12, .high = 100,
     .help = "learning rate at the start, after the warm-up if there is one"},
    {.name = "momentum", .kind = U3D_KEY_REAL, .offset = AT(momentum), .value = "0.99", .low = 0,
     .high = 0.99999, .help = "momentum of sgd, beta1 of adam"},
    {.name = "beta2", .kind = U3D_KEY_REAL, .offset = AT(beta2), .value = "0.999", .low = 0,
     .high = 0.9999999, .help = "beta2 of adam"},
    {.name = "nesterov", .kind = U3D_KEY_BOOL, .offset = AT(nesterov), .value = "true",
     .help = "true: sgd uses Nesterov's form of momentum"},
    {.name = "weight_decay", .kind = U3D_KEY_REAL, .offset = AT(weight_decay), .value = "3e-05", .low = 0,
     .high = 1, .help = "decay of weights; it is never applied to biases and norms"},
    {.name = "schedule", .kind = U3D_KEY_WORD, .offset = AT(schedule), .value = "poly",
     .words = words_schedule, .help = "how the learning rate changes during a run"},
    {.name = "step_size", .kind = U3D_KEY_INT, .offset = AT(step_size), .value = "20000", .low = 1,
     .high = 1e9, .help = "schedule=step: iterations between drops of the learning rate"},
    {.name = "step_gamma", .kind = U3D_KEY_REAL, .offset = AT(step_gamma), .value = "0.1", .low = 1e-6,
     .high = 1, .help = "schedule=step: factor of each drop"},
    {.name = "warmup", .kind = U3D_KEY_INT, .offset = AT(warmup), .value = "0", .low = 0, .high = 1e9,
     .help = "iterations in which the learning rate rises linearly to lr; at most a tenth of the run"},
    {.name = "clip_norm", .kind = U3D_KEY_REAL, .offset = AT(clip_norm), .value = "12", .low = 0, .high = 1e9,
     .help = "largest norm of the gradient; larger gradients are scaled down to it; 0: off"},
    {.name = "average", .kind = U3D_KEY_REAL, .offset = AT(average), .value = "0.999", .low = 0,
     .high = 0.9999999, .help = "decay of the running average of the weights, which the model contains; 0: off"},
    {.name = "iterations", .kind = U3D_KEY_INT, .offset = AT(iterations), .value = "5000", .low = 1,
     .high = 1e9, .help = "number of iterations in a run"},
    {.group = "prediction",
     .name = "postprocess", .kind = U3D_KEY_WORD, .offset = AT(postprocess), .value = "none", .words = words_post,
     .help = "largest: each foreground class keeps its largest component; auto: what labels show to be one object"},
    {.group = "execution",
     .name = "precision", .kind = U3D_KEY_WORD, .offset = AT(precision), .value = "fast",
     .words = words_precision,
     .help = "fast: the fastest convolutions; strict: the fastest that are as exact as direct summation"},
    {.name = "fuse", .kind = U3D_KEY_WORD, .offset = AT(fuse), .value = "auto", .words = words_switch,
     .help = "join neighbouring operations if the backend can do it (auto, on), or never (off)"},
};
/* clang-format on */

const int u3d_config_n_keys = (int)(sizeof u3d_config_keys / sizeof u3d_config_keys[0]);

const u3d_config_key *u3d_config_find_key(const char *name)
{
    for (int i = 0; i < u3d_config_n_keys; i++)
        if (strcmp(u3d_config_keys[i].name, name) == 0) return &u3d_config_keys[i];
    return NULL;
}
