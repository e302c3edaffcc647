/* Private to net/predict: one or more networks that share one arena, and the tile that they work on. */
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
    const u3d_model *model;     /* the first one: settings, labels, facts                         */
    u3d_predictor_net *nets;    /* owned, n_nets of them; NULL after u3d_predictor_borrow         */
    int n_nets;
    u3d_exec *exec;             /* after u3d_predictor_borrow: the network to run; otherwise NULL */
    u3d_val image, probability; /* ids, the same in every network's graph                         */
    u3d_arena *arena;
    int64_t in[3], out[3];      /* size of a tile before and after the network, z, y, x           */
    int32_t channels, labels;
    int flips[8], n_flips;      /* bit a: mirrored along axis a (z, y, x); flips[0] is 0          */
    u3d_tensor *tile;           /* f32 [1, D, H, W, C]                                            */
    u3d_tensor *result;         /* f32 [1, d, h, w, K]: of one network and flip                   */
    float *mean;                /* over networks and flips; NULL if there is one of each          */
    uint64_t bytes;             /* planned peak without the volume                                */
};

/* Mean probability over networks and mirrored copies for the tile in p->tile. *probability points to the
 * result, f32 [d, h, w, K], which is valid until the next call. */
u3d_status u3d_predictor_run_tile(u3d_predictor *p, const float **probability);

#endif
