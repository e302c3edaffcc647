/* The 3D U-Net of Cicek et al. 2016 (arXiv:1606.06650) and its family, as a layer graph. */
#ifndef U3D_NET_UNET3D_H
#define U3D_NET_UNET3D_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"
#include "net/config/config.h"

typedef struct u3d_unet3d {
    u3d_graph *graph;
    u3d_val image;         /* input f32 [N, D, H, W, channels]                                  */
    u3d_val logits;        /* f32 [N, d, h, w, labels], before softmax                          */
    u3d_val label;         /* training: input u8 [N, d, h, w]                                   */
    u3d_val pseudo;        /* training with pseudo-labels: input u8 like label; else U3D_NONE   */
    u3d_val class_weight;  /* training: input f32 [labels]                                      */
    u3d_val loss;          /* training: output scalar; the weighted sum with deep supervision   */
    u3d_val probability;   /* inference: output f32 [N, d, h, w, labels]                        */
    int n_heads;           /* levels with a head and a loss; 1 without deep supervision         */
    int64_t in[3], out[3]; /* input and output size in voxels, z, y, x                          */
} u3d_unet3d;

typedef enum u3d_mode { U3D_MODE_INFER, U3D_MODE_TRAIN } u3d_mode;

/* Builds the graph for inputs of size `in` (z, y, x).
 *
 *   b                the backend that the graph will be planned and run on: ops are fused as far as the
 *                    backend supports that, unless the settings say fuse=off. NULL: the graph stays plain,
 *                    which is enough to print it or to count its parameters and its arithmetic.
 *   skip_background  the Dice loss leaves class 0 out
 *
 * U3D_E_SHAPE: the size does not fit the network; the message names the nearest legal sizes. */
u3d_status u3d_unet3d_build(const u3d_config *c, const u3d_backend *b, u3d_mode mode, int64_t batch,
                            const int64_t in[3], bool skip_background, u3d_unet3d *out);
void u3d_unet3d_done(u3d_unet3d *net); /* frees the graph; a zeroed struct is legal */

/* Whether this is the name of a parameter that only training graphs have: those of the heads for deep
 * supervision, such as "dec1.head.weight". */
bool u3d_unet3d_only_trained(const char *param);

/* Output size for an input size. U3D_E_SHAPE: as for u3d_unet3d_build. */
u3d_status u3d_unet3d_output_size(const u3d_config *c, const int64_t in[3], int64_t out[3]);
/* Smallest legal input size that is at least `want` along each axis. An axis along which no length is legal
 * keeps `want`. */
void u3d_unet3d_legal_size(const u3d_config *c, const int64_t want[3], int64_t in[3]);

#endif
