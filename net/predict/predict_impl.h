/* Inside of prediction: one or more networks over one arena, and the tile they work on. */
#ifndef U3D_NET_PREDICT_IMPL_H
#define U3D_NET_PREDICT_IMPL_H

#include "net/predict/predict.h"

typedef struct u3d_predictor_net {
    u3d_unet3d net;
    u3d_plan *plan;
    u3d_params *params;
    u3d_exec *exec;
} u3d_predictor_net;

struct u3d_predictor {
    u3d_predict_opts o;
    const u3d_model *model;      /* the first one: settings, labels, facts           */
    u3d_predictor_net *nets;     /* owned, n_nets of them; none where borrowed       */
    int n_nets;
    u3d_exec *exec;              /* borrowed: the one network to run                 */
    u3d_val image, probability;  /* ids in every network's graph (built alike)       */
    u3d_arena *arena;
    int64_t in[3], out[3];       /* z, y, x                                          */
    int32_t channels, labels;
    int flips[8], n_flips;       /* bit a: mirrored along axis a (z, y, x); the first is 0 */
    u3d_tensor *tile;            /* f32 [1, D, H, W, C]                              */
    u3d_tensor *result;          /* f32 [1, d, h, w, K]: of one network and flip     */
    float *mean;                 /* of all networks and flips; NULL where there is one */
    uint64_t bytes;
};

/* Mean probability over networks and mirrored copies for the tile in p->tile; returns where it lies, f32 [d, h, w, K]. */
u3d_status u3d_predictor_run_tile(u3d_predictor *p, const float **probability);

#endif
