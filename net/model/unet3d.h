/* The 3D U-Net of Cicek et al. 2016 (arXiv:1606.06650) and its family, as a layer graph. */
#ifndef U3D_NET_UNET3D_H
#define U3D_NET_UNET3D_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"
#include "net/config/config.h"

typedef struct u3d_unet3d {
    u3d_graph *graph;
    u3d_val image;        /* input f32 [N, D, H, W, channels]                                  */
    u3d_val logits;
    u3d_val label;        /* training: input u8 [N, d, h, w]                                   */
    u3d_val class_weight; /* training: input f32 [labels]                                      */
    u3d_val loss;         /* training: output scalar; with deep supervision the weighted sum   */
    u3d_val probability;  /* inference: output f32 [N, d, h, w, labels]                        */
    int n_heads;          /* levels with a head and a loss; 1 without deep supervision         */
    int64_t in[3], out[3]; /* z, y, x                                                          */
} u3d_unet3d;

typedef enum u3d_mode { U3D_MODE_INFER, U3D_MODE_TRAIN } u3d_mode;

/* Build the graph for inputs of size `in` (z, y, x). `skip_background`: Dice leaves class 0 out. Every graph that
 * is to be planned or run is built for its backend: its ops are fused as that takes them, unless the settings
 * say fuse=off. Without a backend (NULL) the graph is plain, to be counted or looked at.
 * U3D_E_SHAPE: the size does not fit; the nearest legal sizes are named. */
u3d_status u3d_unet3d_build(const u3d_config *c, const u3d_backend *b, u3d_mode mode, int64_t batch,
                            const int64_t in[3], bool skip_background, u3d_unet3d *out);
void u3d_unet3d_done(u3d_unet3d *net); /* frees the graph; zeroed struct is legal */

/* Is this the name of a parameter that training graphs alone have (heads for deep supervision, "dec1.head.weight")? */
bool u3d_unet3d_only_trained(const char *param);

/* Output size for an input size; U3D_E_SHAPE as above. */
u3d_status u3d_unet3d_output_size(const u3d_config *c, const int64_t in[3], int64_t out[3]);
/* Smallest legal input size >= `want` per axis. */
void u3d_unet3d_legal_size(const u3d_config *c, const int64_t want[3], int64_t in[3]);

#endif
