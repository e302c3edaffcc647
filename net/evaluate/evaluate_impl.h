/* Private to net/evaluate/: the parts of an evaluation, which are pairs of files, the counts of each pair,
 * and the report. */
#ifndef U3D_NET_EVALUATE_IMPL_H
#define U3D_NET_EVALUATE_IMPL_H

#include "net/evaluate/evaluate.h"
#include "net/evaluate/surface.h"

typedef struct u3d_pair {
    char *id, *prediction, *reference;
    char *image;   /* file of the first channel; NULL: unknown */
    char *failure; /* why it cannot be scored; NULL: nothing is known against it */
} u3d_pair;

typedef struct u3d_pairs {
    u3d_pair *item; /* [n]; when all are scored, those that could not be are set apart: [n_failed] follow */
    int n, n_failed;
    bool folder;
    int n_unpredicted; /* references without a prediction */
    bool has_unlabeled;
    int32_t unlabeled, background;
} u3d_pairs;

typedef struct u3d_tally { /* one label value in one case */
    int32_t value;
    int64_t both, predicted, reference; /* voxels */
    u3d_surface_scores surface;         /* NaN if not measured */
} u3d_tally;

typedef struct u3d_tallies {
    u3d_tally *item; /* sorted by value */
    int n, cap;
    int64_t counted, unlabeled; /* voxels that count, and voxels that do not */
    double voxel;               /* volume of one voxel, mm^3 */
    bool unit_unknown;          /* the header does not give its unit, which is taken for mm */
} u3d_tallies;

/* Finds out which files belong together. The caller frees `p` with u3d_pairs_free, also after a failure. */
u3d_status u3d_pairs_find(const u3d_evaluate_opts *o, u3d_pairs *p);
void u3d_pairs_free(u3d_pairs *p);
/* Notes why a pair cannot be scored: the message of the last failure. */
u3d_status u3d_pair_fail(u3d_pair *pair);

/* Makes the report. t[p->n] has the counts of each case, `values` every label value that occurs in any
 * case. */
u3d_status u3d_evaluate_report(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_tallies *t,
                               const u3d_tallies *values, cJSON **out);

#endif
