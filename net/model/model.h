/* A model: settings, label table, facts about its training data, weights. Stored as one safetensors file
 * (model.safetensors): weights in PyTorch's names and axis order ([CO,CI,KD,KH,KW]; [CI,CO,KD,KH,KW] for up-convolutions). */
#ifndef U3D_NET_MODEL_H
#define U3D_NET_MODEL_H

#include "engine/run/params.h"
#include "io/checkpoint.h"
#include "net/volume/facts.h"
#include "net/volume/intensity.h"
#include "net/volume/labels.h"
#include "net/config/config.h"

typedef struct u3d_model {
    u3d_config config;
    u3d_labels labels;
    u3d_data_facts facts;
    u3d_intensity_stats intensity;
    bool keep_largest[U3D_MAX_LABELS]; /* per class: prediction keeps only the largest component; never class 0 */
    char fingerprint[24];       /* xxh64 of the weights, hexadecimal        */
    u3d_checkpoint *weights;    /* as loaded; NULL for a model in training   */
} u3d_model;

/* RUN folder or file. U3D_E_IO, U3D_E_FORMAT. */
u3d_status u3d_model_load(const char *path, u3d_model **out);
void u3d_model_free(u3d_model *m);

/* Weights -> device: one message lists every missing, extra and differently shaped tensor. */
u3d_status u3d_model_to_params(const u3d_model *m, u3d_params *p);

/* Append the parameters of a block to a checkpoint, names prefixed ("" for values, "m/", "v/", "average/"), converting axis order; and back. */
u3d_status u3d_params_to_checkpoint(u3d_params *p, u3d_block block, const char *prefix, u3d_checkpoint *c);
u3d_status u3d_params_from_checkpoint(const u3d_checkpoint *c, u3d_block block, const char *prefix, u3d_params *p,
                                      const char *where);
/* Settings, labels, facts, intensity as metadata "u3d.config", "u3d.labels", "u3d.data", "u3d.intensity",
 * "u3d.postprocess" ({"keep_largest": [label values]}; without it nothing is done); and back. */
u3d_status u3d_model_describe(const u3d_model *m, u3d_checkpoint *c);
u3d_status u3d_model_from_checkpoint(const u3d_checkpoint *c, const char *where, u3d_model *m);
u3d_status u3d_model_save(const char *path, const u3d_model *m, u3d_params *p);

#endif
