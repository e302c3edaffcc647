/* The training cases: read, checked, normalised, with an index of their labelled voxels; kept in memory
 * while a budget lasts, read again on demand beyond it. Thread-safe after opening. */
#ifndef U3D_NET_CASES_H
#define U3D_NET_CASES_H

#include "io/dataset.h"
#include "net/volume/facts.h"
#include "net/volume/intensity.h"
#include "net/volume/labels.h"
#include "net/volume/resample.h"

typedef struct u3d_cases_opts {
    bool unlabeled_given;
    int32_t unlabeled;    /* --unlabeled V */
    bool dense;           /* --dense: every voxel is labelled, nothing is guessed */
    bool slices_only;     /* of sparse labels, only the annotated slices across axis `across` (0 z, 1 y, 2 x) count */
    int across;
    uint64_t memory_cap;  /* bytes for resident volumes; 0: half of the machine's */
    uint64_t memory_limit; /* bytes that resampling one case may take; 0: the machine's */
    u3d_resampling resampling; /* voxels that all cases are brought to; spacing 0: u3d_resample_target of them */
} u3d_cases_opts;

typedef struct u3d_case_data {
    u3d_volume *image; /* f32 normalised                                             */
    u3d_volume *label; /* u8 classes, U3D_UNLABELED where unlabelled; NULL: none     */
} u3d_case_data;

typedef struct u3d_cases u3d_cases;

/* Reads every case of `which` (indices into d) once: checks grids, channels and values, decides about unlabelled
 * voxels, collects label table, class counts, facts and intensity statistics. Stops (U3D_E_ARG) where most slices of
 * a label volume are all zero, others are not, and nothing was said: asks for --unlabeled 0 or --dense.
 * Warns once about: no background voxel annotated, label values without a name, grids apart by more than 0.01 voxel. */
u3d_status u3d_cases_open(const u3d_dataset *d, const int *which, int n, u3d_intensity intensity,
                          const u3d_cases_opts *o, u3d_cases **out);
void u3d_cases_free(u3d_cases *c);

int u3d_cases_count(const u3d_cases *c);
const char *u3d_cases_id(const u3d_cases *c, int i);
const u3d_labels *u3d_cases_labels(const u3d_cases *c);
const u3d_data_facts *u3d_cases_facts(const u3d_cases *c);
const u3d_intensity_stats *u3d_cases_intensity(const u3d_cases *c);
/* Labelled voxels of class k in case i. */
int64_t u3d_cases_voxels(const u3d_cases *c, int i, int k);
/* After resampling, as the volumes that are borrowed. */
const int64_t *u3d_cases_size(const u3d_cases *c, int i);    /* z, y, x */
const double *u3d_cases_spacing(const u3d_cases *c, int i);  /* z, y, x */
uint64_t u3d_cases_resident_bytes(const u3d_cases *c);       /* planned: what will be kept in memory */
const u3d_resampling *u3d_cases_resampling(const u3d_cases *c);    /* with its target */
bool u3d_cases_is_resampled(const u3d_cases *c, int i);
const int64_t *u3d_cases_own_size(const u3d_cases *c, int i);      /* as in its files, z, y, x */
/* Most that reading and resampling one case takes for a moment beside the result. 0: none will be any more. */
uint64_t u3d_cases_loading_bytes(const u3d_cases *c);
uint64_t u3d_cases_opening_bytes(const u3d_cases *c); /* the same of every case, when it was read first */

/* The channels of one case, from one 4D file or one file per channel (same grid), as f32 [z,y,x,c], not normalised. */
u3d_status u3d_case_read_image(const u3d_case *c, u3d_volume **out);

bool u3d_cases_one_orientation(const u3d_cases *c);          /* all files store their anatomical axes in one order */

/* Borrow a case; give it back. */
u3d_status u3d_cases_acquire(u3d_cases *c, int i, const u3d_case_data **out);
void u3d_cases_release(u3d_cases *c, int i);

/* Classes u8 of a case on the grid of its files, header and all, read again; what was held out of training is there.
 * The caller's. U3D_E_ARG: the case has no labels. */
u3d_status u3d_cases_read_own(const u3d_cases *c, int i, u3d_volume **classes);

/* Position (z, y, x) of the r-th labelled voxel (class k, or any labelled one where k < 0), in storage order. */
u3d_status u3d_cases_locate(u3d_cases *c, int i, int k, int64_t r, int64_t pos[3]);

/* Set the last `n` cases aside for validation: from here on u3d_cases_count, and with it everything that samples,
 * ends before them; they can still be acquired, as cases count .. count + n - 1. n < count; before sampling starts. */
void u3d_cases_hold_last(u3d_cases *c, int n);

/* Hold out slices for validation where there is one volume: about `share` of the annotated slices of each orientation
 * (every n-th, in the middle of the annotated range) become unlabelled for training; *held is a u8 class volume that has only
 * them, on the grid of the case's files. Voxels where a held slice crosses a kept one count as held. U3D_E_UNSUPPORTED: too few annotated slices. */
u3d_status u3d_cases_hold_slices(u3d_cases *c, double share, u3d_volume **held, char *text, size_t cap);

#endif
