/* Inside of fusion: drafts of changed nodes, which the backend is asked about together and which are applied
 * together or not at all. Shared by fuse.c (drafts, skip gradients, joins) and fuse_lazy.c. */
#ifndef U3D_ENGINE_FUSE_IMPL_H
#define U3D_ENGINE_FUSE_IMPL_H

#include "engine/rewrite/fuse.h"
#include "engine/graph/graph_impl.h"

enum { FUSE_MAX_MADE = 2 };

typedef enum fuse_kind { FUSE_CHANGE, FUSE_INSERT, FUSE_DROP } fuse_kind;

typedef struct fuse_draft {
    fuse_kind kind;
    int32_t at;    /* the node that is changed or dropped, or behind which `node` is inserted */
    u3d_node node; /* as it will be */
} fuse_draft;

typedef struct fuse_made { /* a value that the drafts need: its id will be the graph's n_values, then the next
                            */
    char name[U3D_NAME_CAP];
    u3d_type type;
} fuse_made;

typedef struct fusion {
    u3d_graph *g;
    const u3d_backend *backend;
    fuse_draft *drafts; /* [cap_drafts]: a draft per node, and one that is inserted */
    int32_t n_drafts, cap_drafts;
    fuse_made made[FUSE_MAX_MADE];
    int32_t n_made;
} fusion;

/* Forget the drafts and begin others. */
void fuse_begin(fusion *f);
/* The draft of node `at`, made as a copy of it at first. Good until fuse_apply. */
u3d_node *fuse_change(fusion *f, int32_t at);
void fuse_drop(fusion *f, int32_t at);
/* A copy of node `at` to be inserted behind node `behind`. */
u3d_node *fuse_insert(fusion *f, int32_t behind, int32_t at);
/* The id that the value base.suffix will have; U3D_NONE where the name is too long or taken. */
u3d_val fuse_make(fusion *f, const char *base, const char *suffix, u3d_type t);
bool fuse_name(const char *base, const char *suffix, char out[U3D_NAME_CAP]); /* false: too long */

/* Whether op rules and backend take this node; all drafts. Attributes are made canonical on the way. */
bool fuse_takes(const fusion *f, u3d_node *n);
bool fuse_takes_all(fusion *f);
/* Put the drafts into the graph. Dropped nodes do nothing from then on (no inputs, no outputs) and leave with
 * fuse_sweep. */
u3d_status fuse_apply(fusion *f);
/* Remove dropped nodes; producers and uses anew. */
void fuse_sweep(u3d_graph *g);

bool fuse_is_temp(const u3d_graph *g, u3d_val v);
/* Position of v among inputs or outputs, the first from `from` on; U3D_NONE: it is not there. */
int fuse_input_of(const u3d_node *n, u3d_val v, int from);
int fuse_output_of(const u3d_node *n, u3d_val v);
/* The next node from `from` on that reads v; U3D_NONE: no more. */
int32_t fuse_reader(const u3d_graph *g, u3d_val v, int32_t from);
/* Its only one; U3D_NONE: none, or several. */
int32_t fuse_only_reader(const u3d_graph *g, u3d_val v);

/* Lazy maps, and norm_back with the activation. */
u3d_status fuse_lazy_maps(fusion *f);

#endif
