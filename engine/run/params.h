/* Flat parameter blocks: one device block each for values, gradients, moments and the
 * running average, all in the same order; plus a small block of untrained state.
 * Parameters under weight decay come first, so that the optimizer sees two segments. */
#ifndef U3D_ENGINE_PARAMS_H
#define U3D_ENGINE_PARAMS_H

#include "engine/plan/backend.h"
#include "engine/graph/graph.h"
#include "engine/base/tensor.h"

typedef struct u3d_params u3d_params;

typedef enum u3d_block { U3D_BLOCK_VALUE, U3D_BLOCK_GRAD, U3D_BLOCK_M, U3D_BLOCK_V, U3D_BLOCK_AVERAGE, U3D_BLOCK_COUNT } u3d_block;

typedef struct u3d_param_info {
    char name[U3D_NAME_CAP]; /* "enc0.conv1.weight" */
    u3d_type type;
    uint64_t off;            /* element offset in the flat blocks, or in the state block  */
    bool decay;
    bool state;              /* lives in the state block (value only; averaged never)     */
} u3d_param_info;

/* Create blocks for every PARAM and STATE value of the graph and initialise values
 * (a parameter's numbers depend only on seed and its name). `blocks`: bit per u3d_block. */
u3d_status u3d_params_new(u3d_backend *b, const u3d_graph *g, uint32_t blocks, uint64_t seed, u3d_params **out);
void u3d_params_free(u3d_params *p);
int u3d_params_count(const u3d_params *p);
const u3d_param_info *u3d_params_info(const u3d_params *p, int i);
int u3d_params_find(const u3d_params *p, const char *name); /* -1 if absent */
uint64_t u3d_params_bytes(const u3d_params *p);
uint64_t u3d_params_planned_bytes(const u3d_graph *g, uint32_t blocks); /* before anything is allocated */
bool u3d_params_has(const u3d_params *p, u3d_block block);

/* One tensor of one block, in the engine's layout. For `state` entries only U3D_BLOCK_VALUE is legal. */
u3d_status u3d_params_download(u3d_params *p, u3d_block block, int i, u3d_tensor *t);
u3d_status u3d_params_upload(u3d_params *p, u3d_block block, int i, const u3d_tensor *t);

/* Where a whole block (segment -1), its decayed segment (0) or the other (1) lies; elems in *n (NULL is legal). */
u3d_span u3d_params_span(const u3d_params *p, u3d_block block, int segment, int64_t *n);
/* Where one tensor of a block lies now: after u3d_params_swap_average it is elsewhere. */
u3d_span u3d_params_at(const u3d_params *p, u3d_block block, int i);
u3d_backend *u3d_params_backend(const u3d_params *p);

/* Exchange values and averages (for validation and saving with averaged weights; call twice). Without averages
 * nothing happens. */
void u3d_params_swap_average(u3d_params *p);

#endif
