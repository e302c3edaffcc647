/* Private to net/cases*.c: one training case, and how it is read. */
#ifndef U3D_NET_CASES_IMPL_H
#define U3D_NET_CASES_IMPL_H

#include <pthread.h>

#include "net/cases/cases.h"

/* Labelled voxels of a case by class and plane, so that the r-th one is found without a list of positions. */
typedef struct u3d_case_index {
    int n;              /* classes present                                                    */
    uint8_t class[254]; /* which, increasing                                                 */
    int64_t planes;     /* along z                                                            */
    int64_t *before;    /* [n + 1, planes + 1]: voxels in planes < z; row 0: of any class     */
} u3d_case_index;

typedef enum u3d_case_state { U3D_CASE_ABSENT, U3D_CASE_LOADING, U3D_CASE_READY } u3d_case_state;

typedef struct u3d_case_entry {
    u3d_case files;      /* owned copy of the data set's                                     */
    int64_t size[3];     /* z, y, x, in memory                                               */
    double spacing[3];   /* z, y, x                                                          */
    int64_t own_size[3]; /* z, y, x, as in the files                                         */
    double own_spacing[3];
    bool resampled; /* from own_size to size                                            */
    uint64_t bytes; /* image and classes in memory                                      */
    u3d_case_index index;
    bool *held[3]; /* per axis, planes of the files' grid that u3d_cases_hold_slices took; NULL: none     */
    bool *slice;        /* planes across u3d_cases.across that count, on the files' grid; NULL: all    */
    u3d_case_data data; /* from here on guarded by u3d_cases.lock                           */
    u3d_case_state state;
    int users;
    uint64_t last_use;
} u3d_case_entry;

struct u3d_cases {
    u3d_case_entry *entry;
    int n;     /* cases that training samples from                                    */
    int n_all; /* with those that u3d_cases_hold_last set aside behind them           */
    u3d_labels labels;
    u3d_resampling resampling;
    u3d_data_facts facts;
    u3d_intensity_stats intensity;
    bool one_orientation;
    bool slices_only; /* as u3d_cases_opts */
    int across;
    uint64_t limit;                /* bytes that resampling one case may take                */
    uint64_t cap, resident, total; /* bytes: allowed, in memory now, of all cases            */
    uint64_t clock;                /* acquires so far                                        */
    pthread_mutex_t lock;
    pthread_cond_t loaded;
};

/* ---- cases_read.c ---- */

/* How far image and label grids lie apart, over all cases. */
typedef struct u3d_grid_report {
    int apart;    /* cases above 0.01 voxel */
    double worst; /* voxels                 */
    const char *worst_id;
} u3d_grid_report;

/* Files of one case -> image f32 [z,y,x,channels] (single-channel files interleaved) and label i32 (NULL
 * where the case has none), on one grid. `grids` may be NULL. */
u3d_status u3d_case_read(const u3d_case *files, u3d_grid_report *grids, u3d_volume **image,
                         u3d_volume **label);
/* Counts the classes of a u8 volume; replaces what the index had. On failure it is as before. */
u3d_status u3d_case_index_make(const u3d_volume *classes, u3d_case_index *index);
/* Makes every voxel on a held plane unlabelled; before resampling. */
void u3d_case_hide_held(const u3d_case_entry *e, u3d_volume *classes);

/* ---- cases_resample.c ---- */

/* The target: what is wanted, or from the headers of all cases. */
u3d_status u3d_case_settle_spacing(u3d_cases *c, const u3d_resampling *wanted);
/* Sizes and spacings of a case, own and after resampling. */
void u3d_case_place(const u3d_cases *c, u3d_case_entry *e, const u3d_volume *image);
/* Image (normalised) and classes, either may be NULL, in place to the case's size. */
u3d_status u3d_case_resample(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *image,
                             u3d_volume *classes);
/* Bytes that reading and resampling a case take for a moment beside e->bytes. */
uint64_t u3d_case_loading_bytes(const u3d_case_entry *e, int32_t channels);
/* U3D_E_NOMEM where the resampled case cannot fit into the memory; before anything of that size is made. */
u3d_status u3d_case_check_resampled(const u3d_cases *c, const u3d_case_entry *e, int32_t channels);
/* Warns where annotated slices will become one; `classes` not resampled yet. */
u3d_status u3d_case_check_slices(const u3d_cases *c, const u3d_case_entry *e, const u3d_volume *classes);
void u3d_case_report_resampling(const u3d_cases *c);

/* ---- cases_sparse.c ---- */

/* Label value that most likely means "nobody painted here", judged from one label volume (i32), when nothing
 * was said about it: U3D_E_ARG asks for --unlabeled or --dense. `zero_named`: the data set says what 0 means.
 */
u3d_status u3d_case_sparse_check(const u3d_case *files, const u3d_volume *label, bool zero_named);

/* ---- cases_planes.c ---- */

/* Labelled voxels of each plane. */
typedef struct u3d_plane_counts {
    int64_t *of[3];   /* per axis z, y, x                               */
    int64_t *scratch; /* as long as the three together; for the caller */
    int64_t all;      /* in the volume                                  */
} u3d_plane_counts;
/* Voxels that differ from `unlabeled` in a label volume (i32, or u8 of classes). */
u3d_status u3d_plane_counts_make(const u3d_volume *label, int32_t unlabeled, u3d_plane_counts *out);
void u3d_plane_counts_free(u3d_plane_counts *counts);

/* Annotated planes of n, in order, into at [n]; returns how many, 0 where labels are not sparse in this
 * orientation. Sparse: the median plane has less than half as many labelled voxels as the fullest; annotated:
 * a plane has more than the middle between the two. */
int64_t u3d_case_annotated(const int64_t *count, int64_t n, int64_t *at);

/* The one plane of a volume that shows a class; axis -1: several do, or none, or the volume has no other. */
typedef struct u3d_only_plane {
    int axis;
    int64_t at;
} u3d_only_plane;
void u3d_case_only_planes(const u3d_volume *classes, int n, u3d_only_plane *only);

/* Where only annotated slices count: finds the case's. U3D_E_ARG: its labels are sparse and it has none across the axis. */
u3d_status u3d_case_find_slices(const u3d_cases *c, const u3d_volume *classes, u3d_case_entry *e);
/* Makes every voxel that lies in none of them unlabelled; before resampling. */
void u3d_case_keep_slices(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *classes);

/* ---- cases_labels.c ---- */

/* Adds every value of a label volume but found's unlabeled one to `found`. U3D_E_FORMAT: more than
 * U3D_MAX_LABELS. */
u3d_status u3d_case_values(const u3d_volume *label, u3d_labels *found);
/* The table: what was found and what the data set names. Warns of what is odd about it. */
u3d_status u3d_case_table(const u3d_dataset *d, const u3d_labels *found, u3d_labels *table);

/* ---- cases_ct.c ---- */

/* A sample of foreground intensities over all cases. */
typedef struct u3d_ct_sample {
    float *value; /* [channels, cap]  */
    int64_t n, cap;
    int64_t per_case;
    int32_t channels;
} u3d_ct_sample;

u3d_status u3d_ct_sample_new(int32_t channels, int n_cases, u3d_ct_sample *s);
void u3d_ct_sample_done(u3d_ct_sample *s);
/* Evenly spaced labelled voxels of `classes` other than class `background` (-1: none). */
void u3d_ct_sample_add(u3d_ct_sample *s, const u3d_volume *image, const u3d_volume *classes, int background);
/* U3D_E_FORMAT: no foreground voxel was seen. */
u3d_status u3d_ct_sample_stats(u3d_ct_sample *s, u3d_intensity_stats *out);

#endif
