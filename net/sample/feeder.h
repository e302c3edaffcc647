/* Station 5 of training: worker threads that prepare batches ahead of the network. Batch number k depends
 * only on (seed, k), not on the number of workers, and batches come out in order. Nothing is allocated after
 * opening. */
#ifndef U3D_NET_FEEDER_H
#define U3D_NET_FEEDER_H

#include "net/sample/augment.h"
#include "engine/base/tensor.h"
#include "net/sample/choose.h"

/* A batch of patches, cut and augmented. */
typedef struct u3d_patch {
    int64_t index;     /* number of the batch: 0, 1, ...              */
    u3d_tensor *image; /* f32 [N, D, H, W, C]                         */
    u3d_tensor *label; /* u8  [N, d, h, w], the network's output size */
    u3d_tensor *pseudo; /* the same with pseudo-labels; NULL without patch.pseudo */
} u3d_patch;

typedef struct u3d_feeder_opts {
    u3d_patch_opts patch;
    u3d_augment augment;
    int64_t batch; /* samples per batch, N                                 */
    uint64_t seed;
    int64_t first; /* number of the first batch; not 0 in a resumed run    */
    int workers;   /* threads; >= 1                                        */
    int depth;     /* batches held in memory; >= workers + 1               */
} u3d_feeder_opts;

typedef struct u3d_feeder u3d_feeder;
/* Starts the workers. The cases are borrowed. U3D_E_ARG: no case has a labelled voxel. */
u3d_status u3d_feeder_open(u3d_cases *c, const u3d_feeder_opts *o, u3d_feeder **out);
void u3d_feeder_close(u3d_feeder *f); /* joins the workers; NULL is legal */
/* Waits for the next batch and lends it; a failure of the worker that made it is returned here. */
u3d_status u3d_feeder_next(u3d_feeder *f, u3d_patch **out);
void u3d_feeder_return(u3d_feeder *f, u3d_patch *p); /* gives a lent batch back */
/* Seconds spent waiting in u3d_feeder_next, without the first batch. */
double u3d_feeder_waited(const u3d_feeder *f);
/* Memory that a feeder with these options will take. */
uint64_t u3d_feeder_bytes(const u3d_feeder_opts *o, int32_t channels);

#endif
