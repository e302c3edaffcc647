/* The settings of a network and its training. A single table (config_table.c: name, type, default, range,
 * help) defines them. It is used for setting files, --set, --help, validation, and the copy inside every
 * model. The presets ("paper", "paper-bn", "paper2d", "auto") are lists of settings. */
#ifndef U3D_NET_CONFIG_H
#define U3D_NET_CONFIG_H

#include <cjson/cJSON.h>

#include "engine/run/optim.h"
#include "net/config/config_value.h"

enum { U3D_MAX_LEVELS = 7, U3D_MAX_LABELS = 254, U3D_MAX_CHANNELS = 64, U3D_LIST_CAP = 256 };

typedef enum u3d_double { U3D_DOUBLE_BEFORE_POOL, U3D_DOUBLE_AT_START } u3d_double;
typedef enum u3d_norm_kind { U3D_NORM_NONE, U3D_NORM_BATCH, U3D_NORM_INSTANCE } u3d_norm_kind;
typedef enum u3d_norm_statistics { U3D_STAT_TILE, U3D_STAT_RUNNING } u3d_norm_statistics;
typedef enum u3d_activation { U3D_ACT_RELU, U3D_ACT_LEAKY } u3d_activation;
typedef enum u3d_padding { U3D_PAD_VALID, U3D_PAD_SAME } u3d_padding;
typedef enum u3d_loss_kind { U3D_LOSS_CE, U3D_LOSS_DICE, U3D_LOSS_CE_DICE } u3d_loss_kind;
typedef enum u3d_plane { U3D_PLANE_OFF, U3D_PLANE_XY, U3D_PLANE_XZ, U3D_PLANE_YZ } u3d_plane;
typedef enum u3d_plane_labels { U3D_PLANE_LABELS_ALL, U3D_PLANE_LABELS_SLICES } u3d_plane_labels;
typedef enum u3d_deep { U3D_DEEP_OFF, U3D_DEEP_ON, U3D_DEEP_ALL } u3d_deep;
typedef enum u3d_post { U3D_POST_NONE, U3D_POST_LARGEST, U3D_POST_AUTO } u3d_post;
typedef enum u3d_intensity {
    U3D_INTENSITY_AUTO,
    U3D_INTENSITY_ZSCORE,
    U3D_INTENSITY_CT,
    U3D_INTENSITY_NONE,
    U3D_INTENSITY_RESCALE,
    U3D_INTENSITY_RGB
} u3d_intensity;
typedef enum u3d_resample { U3D_RESAMPLE_OFF, U3D_RESAMPLE_AUTO } u3d_resample;
typedef enum u3d_resample_how { U3D_RESAMPLE_CUBIC, U3D_RESAMPLE_LINEAR } u3d_resample_how;
typedef enum u3d_precision { U3D_PRECISION_FAST, U3D_PRECISION_STRICT } u3d_precision;
typedef enum u3d_switch { U3D_SWITCH_AUTO, U3D_SWITCH_ON, U3D_SWITCH_OFF } u3d_switch;
typedef enum u3d_augment_kind {
    U3D_AUGMENT_OFF,
    U3D_AUGMENT_FLIPS,
    U3D_AUGMENT_PAPER,
    U3D_AUGMENT_NNUNET
} u3d_augment_kind;
typedef enum u3d_scaling_axes { U3D_SCALING_SAME, U3D_SCALING_EACH } u3d_scaling_axes;
typedef enum u3d_elastic { U3D_ELASTIC_APPROXIMATE, U3D_ELASTIC_INTERPOLATE } u3d_elastic;
typedef enum u3d_interpolation { U3D_INTERPOLATE_LINEAR, U3D_INTERPOLATE_CUBIC } u3d_interpolation;

/* Random changes of patches other than flips and turns. p_* is the chance that a patch is changed; pairs are
 * (low, high). net/sample/warp.h (space) and net/sample/grey.h (grey values) define each change. */
typedef struct u3d_augment_settings {
    u3d_augment_kind kind;                    /* key "augment"; setting it sets many of the others */
    double p_rotation, rotation[3];           /* largest angle about z, y, x, degrees; text x,y,z  */
    double rotation_in_plane;                 /* degrees; used if only one plane is rotated        */
    u3d_switch in_plane;
    double p_scaling, scaling[2];
    u3d_scaling_axes scaling_axes;
    double p_elastic, elastic_grid, elastic_sd; /* voxels of the finest axis                       */
    u3d_elastic elastic_interpolation;
    int64_t translation;                      /* voxels                                            */
    u3d_interpolation image_interpolation;
    double p_curve, curve_black[2], curve_white[2], curve_slope[2];
    double p_noise, noise[2];
    double p_blur, blur[2];
    double p_brightness, brightness[2];
    double p_shift, shift;
    double p_contrast, contrast[2];
    double p_low_resolution, low_resolution[2];
    double p_gamma_inverted, p_gamma, gamma[2];
    bool gamma_retain;
    double p_channel;
} u3d_augment_settings;

typedef struct u3d_config {
    /* network */
    int64_t levels, base, convs, max_width;   /* max_width: most channels (nnU-Net: 320); 0: no limit */
    u3d_double doubling;                      /* key "double" */
    u3d_norm_kind norm;
    u3d_norm_statistics norm_statistics;
    double norm_momentum, norm_eps;
    u3d_activation activation;
    double leaky_slope;
    u3d_padding padding;
    u3d_plane plane;                          /* the plane of a 2D network; OFF: the network is 3D */
    u3d_plane_labels plane_labels;            /* which labels a 2D network learns from */
    int32_t kernel[U3D_MAX_LEVELS][3];        /* z, y, x; text: "3x3x3", or "3x3x1,3x3x3", finest first */
    int32_t pool[U3D_MAX_LEVELS - 1][3];      /* z, y, x; pool[l] leads from level l to l+1 */
    int64_t labels, channels;                 /* 0: taken from the data */
    /* voxels */
    u3d_resample resample;                    /* AUTO: to `spacing`, see net/volume/resample.h */
    char spacing[96];                         /* x,y,z, or "auto"; a trained model always has numbers */
    u3d_resample_how resample_image;
    /* patches */
    int64_t patch[3];                         /* network input, z, y, x; text x,y,z */
    int64_t batch;
    double foreground_share;                  /* share of patches that are centred on a foreground class */
    u3d_switch turn;                          /* random turns by 90 degrees */
    char mirror[16];                          /* random flips: auto, none, or axes: x, y, z, xy, ... */
    u3d_augment_settings augment;
    u3d_intensity intensity;
    /* loss */
    u3d_loss_kind loss;
    u3d_deep deep_supervision;                /* additional heads and losses at coarser decoder levels */
    char class_weights[U3D_LIST_CAP];         /* "none", "auto" (from frequencies), or one number per label */
    u3d_switch pseudo_labels;                 /* also learn from predictions of what nobody labelled; AUTO: if
                                                 labels are sparse, and OFF until that is known */
    double pseudo_weight, pseudo_start;       /* of that loss; share of the run without it */
    /* optimizer */
    u3d_optim_kind optimizer;
    double lr, momentum, beta2, weight_decay, clip_norm, average;
    bool nesterov;
    u3d_schedule schedule;
    int64_t step_size, warmup;
    double step_gamma;
    int64_t iterations;
    /* prediction */
    u3d_post postprocess;                     /* which foreground classes keep only their largest component */
    /* execution */
    u3d_precision precision;
    u3d_switch fuse;
} u3d_config;

/* One row of the table, for help, completion and `u3d settings`. All texts are static. */
typedef struct u3d_setting {
    const char *key, *group, *help;
    const char *type;         /* integer, number, range, angles, boolean, word, text, size or axes */
    const char *value;        /* default, as u3d_config_set reads it                               */
    bool ranged;              /* `low` and `high` hold the smallest and the largest legal number   */
    double low, high;
    const char *const *words; /* all legal values, then NULL; NULL if the setting is not a word    */
} u3d_setting;

/* The setting in row i of the table; false if there are no more than i rows. */
bool u3d_config_setting(int i, u3d_setting *out);

/* Sets every key to its default from the table. */
void u3d_config_default(u3d_config *c);
/* Sets the defaults and then the keys of a preset ("paper", "paper-bn", "paper2d", "auto") or of a JSON file.
 * "auto" is only a starting point; u3d_autoplan adds what depends on the data. U3D_E_ARG: `net` is neither a
 * preset nor a file; the message names the presets. */
u3d_status u3d_config_preset(u3d_config *c, const char *net);
/* Whether one of n texts "key=value" sets this key. */
bool u3d_config_sets(const char *const *set, int n, const char *key);
/* The axis perpendicular to the slices of a 2D network: 0 z, 1 y, 2 x; -1: the network is not 2D. */
int u3d_config_across(const u3d_config *c);
/* Whether a 2D network learns only from the annotated slices of its plane. */
bool u3d_config_slices_only(const u3d_config *c);
/* Sets one key from the text "key=value". The keys "augment" and "plane" also set other keys; to change
 * one of these, set it afterwards. U3D_E_ARG: the key is unknown (the message suggests the nearest one),
 * or the value is not legal. */
u3d_status u3d_config_set(u3d_config *c, const char *key_value);
u3d_status u3d_config_set_key(u3d_config *c, const char *key, const char *value);
/* pseudo_labels=auto becomes on or off. */
void u3d_config_settle_pseudo(u3d_config *c, bool sparse, bool background);
/* Checks relations between keys, for example whether the patch fits levels, kernels, padding and pools
 * (the message names the next legal size). It is defined in net/model/config_check.c, because it asks the
 * network. */
u3d_status u3d_config_check(const u3d_config *c);
/* All keys as a JSON object of numbers, booleans and strings, and back. Keys that the object does not have
 * keep their values; after an error, all keys do. `where` names the source in error messages. */
u3d_status u3d_config_to_json(const u3d_config *c, cJSON **out);
u3d_status u3d_config_from_json(u3d_config *c, const cJSON *json, const char *where);
/* A key's value as text, owned by the caller; NULL: unknown key, or out of memory. */
char *u3d_config_value_text(const u3d_config *c, const char *key);

#endif
