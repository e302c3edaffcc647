/* A model: settings, label table, facts about its training data, and weights. It is stored as one safetensors
 * file (model.safetensors) with the weights in PyTorch's names and axis order: [CO,CI,KD,KH,KW] for
 * convolutions, [CI,CO,KD,KH,KW] for up-convolutions. */
#ifndef U3D_NET_MODEL_H
#define U3D_NET_MODEL_H

#include "engine/run/params.h"
#include "io/checkpoint.h"
#include "net/volume/facts.h"
#include "net/volume/intensity.h"
#include "net/volume/labels.h"
#include "net/config/config.h"

/* The files of a RUN folder. */
#define U3D_RUN_MODEL      "model.safetensors"
#define U3D_RUN_CHECKPOINT "checkpoint.safetensors"
#define U3D_RUN_CONFIG     "config.json"
#define U3D_RUN_LOG        "log.csv"
enum { U3D_RUN_FILES = 4 };
extern const char *const u3d_run_files[U3D_RUN_FILES]; /* all of them */

typedef struct u3d_model {
    u3d_config config;
    u3d_labels labels;
    u3d_data_facts facts;
    u3d_intensity_stats intensity;
    bool keep_largest[U3D_MAX_LABELS]; /* classes that keep only their largest component; [0] is false */
    bool keep_foreground;              /* before that, so does the foreground as a whole               */
    char fingerprint[24];              /* xxh64 of the weights, hexadecimal                            */
    u3d_checkpoint *weights;           /* as loaded; NULL for a model in training                      */
} u3d_model;

/* Loads a model. `path`: a model file, or a RUN folder with a model.safetensors. U3D_E_IO, U3D_E_FORMAT. */
u3d_status u3d_model_load(const char *path, u3d_model **out);
void u3d_model_free(u3d_model *m);

/* Copies the weights to the device. U3D_E_FORMAT: one message lists every missing, extra and differently
 * shaped tensor. */
u3d_status u3d_model_to_params(const u3d_model *m, u3d_params *p);

/* Appends the parameters of a block to a checkpoint, converting the axis order, and reads them back. `prefix`
 * is put in front of the names: "" for values, "m/", "v/", "average/". `where` stands for the file in
 * messages. */
u3d_status u3d_params_to_checkpoint(u3d_params *p, u3d_block block, const char *prefix, u3d_checkpoint *c);
u3d_status u3d_params_from_checkpoint(const u3d_checkpoint *c, u3d_block block, const char *prefix,
                                      u3d_params *p, const char *where);
/* Writes settings, labels, facts, intensity statistics and post-processing as the metadata "u3d.config",
 * "u3d.labels", "u3d.data", "u3d.intensity" and "u3d.postprocess", and reads them back. "u3d.postprocess" is
 * {"keep_largest": [label values], "keep_foreground": true}; a file without it has no post-processing. */
u3d_status u3d_model_describe(const u3d_model *m, u3d_checkpoint *c);
u3d_status u3d_model_from_checkpoint(const u3d_checkpoint *c, const char *where, u3d_model *m);
/* Writes the values of p and the metadata, with the fingerprint of the weights as "u3d.fingerprint". */
u3d_status u3d_model_save(const char *path, const u3d_model *m, u3d_params *p);

#endif
