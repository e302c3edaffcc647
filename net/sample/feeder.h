/* Station 5: worker threads that prepare batches ahead. Batch number k depends only on (seed, k), whatever
 * the number of workers; batches come out in order. Nothing is allocated after opening. */
#ifndef U3D_NET_FEEDER_H
#define U3D_NET_FEEDER_H

#include "net/sample/augment.h"
#include "engine/base/tensor.h"
#include "net/sample/choose.h"

/* A batch of patches, cut and augmented. */
typedef struct u3d_patch {
    int64_t index;      /* which batch: 0, 1, ...                        */
    u3d_tensor *image;  /* f32 [N, D, H, W, C]                           */
    u3d_tensor *label;  /* u8  [N, d, h, w], the network's output size   */
} u3d_patch;

typedef struct u3d_feeder_opts {
    u3d_patch_opts patch;
    u3d_augment augment;
    int64_t batch;
    uint64_t seed;
    int64_t first; /* number of the first batch (a resumed run) */
    int workers;   /* threads; >= 1 */
    int depth;     /* batches held: >= workers + 1 */
} u3d_feeder_opts;

typedef struct u3d_feeder u3d_feeder;
u3d_status u3d_feeder_open(u3d_cases *c, const u3d_feeder_opts *o, u3d_feeder **out);
void u3d_feeder_close(u3d_feeder *f);                       /* joins the workers; NULL is legal */
u3d_status u3d_feeder_next(u3d_feeder *f, u3d_patch **out); /* waits; a worker's failure comes out here */
void u3d_feeder_return(u3d_feeder *f, u3d_patch *p);
double u3d_feeder_waited(const u3d_feeder *f); /* seconds in u3d_feeder_next, all batches but the first */
uint64_t u3d_feeder_bytes(const u3d_feeder_opts *o, int32_t channels); /* memory it will take */

#endif
