/* Parameters in flat blocks: one device block each for values, gradients, moments and the running average of
 * the values, all with the same layout, and a small block for states, which are not trained. Parameters that
 * are subject to weight decay come first, so that a block has two segments and the optimizer needs one step
 * per segment. */
#ifndef U3D_ENGINE_PARAMS_H
#define U3D_ENGINE_PARAMS_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"
#include "engine/base/tensor.h"

typedef struct u3d_params u3d_params;

typedef enum u3d_block {
    U3D_BLOCK_VALUE,
    U3D_BLOCK_GRAD,
    U3D_BLOCK_M, /* first moment of Adam, or velocity of SGD */
    U3D_BLOCK_V, /* second moment of Adam                    */
    U3D_BLOCK_AVERAGE,
    U3D_BLOCK_COUNT
} u3d_block;

typedef struct u3d_param_info {
    char name[U3D_NAME_CAP]; /* "enc0.conv1.weight" */
    u3d_type type;
    uint64_t off;            /* offset in elements, in the flat blocks or the state block      */
    bool decay;              /* subject to weight decay                                        */
    bool state;              /* stored in the state block: it has a value but no other block   */
} u3d_param_info;

/* Creates the blocks for all values of roles PARAM and STATE of the graph, and initialises the values and
 * averages; the other blocks are zero. The initial numbers of a parameter depend only on `seed` and its name.
 * `blocks` has one bit per u3d_block; the values are always created. */
u3d_status u3d_params_new(u3d_backend *b, const u3d_graph *g, uint32_t blocks, uint64_t seed,
                          u3d_params **out);
void u3d_params_free(u3d_params *p);
int u3d_params_count(const u3d_params *p);
const u3d_param_info *u3d_params_info(const u3d_params *p, int i);
int u3d_params_find(const u3d_params *p, const char *name); /* index of a parameter or state; -1: not found */
uint64_t u3d_params_bytes(const u3d_params *p); /* of all blocks */
/* Estimates u3d_params_bytes, without padding, before anything is allocated. */
uint64_t u3d_params_planned_bytes(const u3d_graph *g, uint32_t blocks);
bool u3d_params_has(const u3d_params *p, u3d_block block);

/* Copy one tensor of one block, in the engine's layout. A state has only U3D_BLOCK_VALUE. */
u3d_status u3d_params_download(u3d_params *p, u3d_block block, int i, u3d_tensor *t);
u3d_status u3d_params_upload(u3d_params *p, u3d_block block, int i, const u3d_tensor *t);

/* The span of a whole block (segment -1), of its segment with weight decay (0), or of the one without (1); *n
 * is the number of elements (NULL is legal). */
u3d_span u3d_params_span(const u3d_params *p, u3d_block block, int segment, int64_t *n);
/* The span of one tensor of a block. It is valid until u3d_params_swap_average. */
u3d_span u3d_params_at(const u3d_params *p, u3d_block block, int i);
u3d_backend *u3d_params_backend(const u3d_params *p);

/* Exchanges values and averages, for validating and saving with averaged weights; a second call restores
 * them. Does nothing if there are no averages. */
void u3d_params_swap_average(u3d_params *p);

#endif
