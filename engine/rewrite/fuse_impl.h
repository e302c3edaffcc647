/* Private to engine/rewrite: drafts of changed nodes. The backend is asked about all drafts of a group, and
 * they are applied together or not at all. fuse.c (drafts, skip gradients, joins) and fuse_lazy.c share this;
 * recompute.c uses the functions that search the graph. */
#ifndef U3D_ENGINE_FUSE_IMPL_H
#define U3D_ENGINE_FUSE_IMPL_H

#include "engine/rewrite/fuse.h"
#include "engine/graph/graph_impl.h"

enum { FUSE_MAX_MADE = 2 };

typedef enum fuse_kind { FUSE_CHANGE, FUSE_INSERT, FUSE_DROP } fuse_kind;

typedef struct fuse_draft {
    fuse_kind kind;
    int32_t at;    /* the node that is changed or dropped, or after which `node` is inserted */
    u3d_node node; /* the node as it will be                                                 */
} fuse_draft;

/* A new value that the drafts need. Once the drafts are applied, made[i] is value n_values + i of the
 * graph. */
typedef struct fuse_made {
    char name[U3D_NAME_CAP];
    u3d_type type;
} fuse_made;

typedef struct fusion {
    u3d_graph *g;
    const u3d_backend *backend;
    fuse_draft *drafts; /* [cap_drafts]; a group can change every node and insert others */
    int32_t n_drafts, cap_drafts;
    fuse_made made[FUSE_MAX_MADE];
    int32_t n_made;
} fusion;

/* Begins a new group: forgets all drafts and new values. */
void fuse_begin(fusion *f);
/* Returns the draft of node `at`, which begins as a copy of the node. The pointer is valid until
 * fuse_apply. */
u3d_node *fuse_change(fusion *f, int32_t at);
/* Adds a draft that drops node `at`. */
void fuse_drop(fusion *f, int32_t at);
/* Returns a draft that begins as a copy of node `at` and will be inserted after node `behind`. */
u3d_node *fuse_insert(fusion *f, int32_t behind, int32_t at);
/* Adds a new value base.suffix to the drafts and returns the index that it will have; U3D_NONE if the name is
 * too long or exists already. */
u3d_val fuse_make(fusion *f, const char *base, const char *suffix, u3d_type t);
/* Writes base.suffix into `out`; false if it is too long. */
bool fuse_name(const char *base, const char *suffix, char out[U3D_NAME_CAP]);

/* Whether the op's shape rule and the backend accept this node, or all drafts. The attributes become those
 * that the shape rule has cleaned. */
bool fuse_takes(const fusion *f, u3d_node *n);
bool fuse_takes_all(fusion *f);
/* Puts the drafts into the graph. Dropped nodes stay in the list without inputs and outputs until fuse_sweep
 * removes them. */
u3d_status fuse_apply(fusion *f);
/* Removes dropped nodes, and sets the producers and the number of uses of all values again. */
void fuse_sweep(u3d_graph *g);

bool fuse_is_temp(const u3d_graph *g, u3d_val v);
/* The first position of v among the inputs from `from` on, or among the outputs; U3D_NONE if it is not
 * there. */
int fuse_input_of(const u3d_node *n, u3d_val v, int from);
int fuse_output_of(const u3d_node *n, u3d_val v);
/* The first node from `from` on that reads v; U3D_NONE if there is none. */
int32_t fuse_reader(const u3d_graph *g, u3d_val v, int32_t from);
/* The only node that reads v; U3D_NONE if there is none or more than one. */
int32_t fuse_only_reader(const u3d_graph *g, u3d_val v);

/* The step for lazy maps, which also gives norm_back the gradient of the activation. */
u3d_status fuse_lazy_maps(fusion *f);

#endif
