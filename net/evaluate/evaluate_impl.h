/* Private to net/evaluate/: the parts of an evaluation, which are pairs of files, the counts of each pair,
 * and the report. */
#ifndef U3D_NET_EVALUATE_IMPL_H
#define U3D_NET_EVALUATE_IMPL_H

#include "io/dataset.h"
#include "io/volume.h"
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
    int n_unpredicted;       /* references without a prediction */
    u3d_dataset *references; /* NULL for two files */
    bool has_unlabeled;      /* a value of the references means "unlabelled", or may mean it, see `certain` */
    int32_t unlabeled;
    bool certain; /* the options or the data set say so; otherwise only the model does */
    int32_t background;
    bool background_known; /* something says so; otherwise it is 0 because it is 0 in most files */
    bool zero_too;         /* 0 is background as well, because predictions have it in place of `background` */
} u3d_pairs;

typedef struct u3d_tally { /* one label value in one case */
    int32_t value;
    int64_t both, predicted, reference; /* voxels */
    u3d_surface_scores surface;         /* NaN if not measured */
} u3d_tally;

typedef struct u3d_tallies {
    u3d_tally *item; /* sorted by value */
    int n, cap;
    bool blank;                 /* voxels with u3d_pairs.unlabeled do not count in this case */
    char *question;             /* what the user must say before the case can be scored; NULL: nothing */
    int64_t counted, unlabeled; /* voxels that count, and voxels that do not */
    double voxel;               /* volume of one voxel, mm^3 */
    bool unit_unknown;          /* the header does not give its unit, which is taken for mm */
} u3d_tallies;

/* Finds out which files belong together. The caller frees `p` with u3d_pairs_free, also after a failure. */
u3d_status u3d_pairs_find(const u3d_evaluate_opts *o, u3d_pairs *p);
void u3d_pairs_free(u3d_pairs *p);
/* Notes why a pair cannot be scored: the message of the last failure. */
u3d_status u3d_pair_fail(u3d_pair *pair);

/* Whether the model or the data set of the references say that a value is a label. */
bool u3d_pairs_is_label(const u3d_evaluate_opts *o, const u3d_pairs *p, int32_t value);
/* Decides whether p->unlabeled means "unlabelled" in the reference of pair c. *question becomes NULL, or, if
 * some value looks as if it did and nothing says so, a sentence that asks; the caller frees it. */
u3d_status u3d_pair_blank(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_pair *c,
                          const u3d_volume *prediction, const u3d_volume *reference, bool *blank,
                          char **question);
/* Looks for values that are never predicted and may mean "unlabelled"; `values` has sums over all cases.
 * Warns, or asks with U3D_E_ARG. */
u3d_status u3d_unpredicted_check(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_tallies *values);

/* Makes the report. t[p->n] has the counts of each case, `values` every label value that occurs in any
 * case. */
u3d_status u3d_evaluate_report(const u3d_evaluate_opts *o, const u3d_pairs *p, const u3d_tallies *t,
                               const u3d_tallies *values, cJSON **out);

#endif
