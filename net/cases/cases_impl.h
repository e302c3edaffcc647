/* Private to net/cases/: what is stored about each training case, and the functions that the files share. */
#ifndef U3D_NET_CASES_IMPL_H
#define U3D_NET_CASES_IMPL_H

#include <pthread.h>

#include "net/cases/cases.h"
#include "net/volume/sparse.h"

/* Counts of the labelled voxels of a case by class and z plane. With them, the r-th voxel of a class is found
 * without a list of positions. */
typedef struct u3d_case_index {
    int n;              /* number of classes that are present                                    */
    uint8_t class[254]; /* these classes                                                         */
    int64_t planes;     /* number of planes along z                                              */
    int64_t *before;    /* [n + 1, planes + 1]: voxels in planes < z; row 0 counts all classes   */
} u3d_case_index;

typedef enum u3d_case_state { U3D_CASE_ABSENT, U3D_CASE_LOADING, U3D_CASE_READY } u3d_case_state;

typedef struct u3d_case_entry {
    u3d_case files;        /* owned copy of the data set's entry                                            */
    int64_t size[3];       /* z, y, x, in memory                                                            */
    double spacing[3];     /* z, y, x, in memory                                                            */
    int64_t own_size[3];   /* z, y, x, in the files                                                         */
    double own_spacing[3]; /* z, y, x, in the files                                                         */
    int64_t label_voxels;  /* in the file, which may have another grid than the image; 0: no labels         */
    bool resampled;        /* from own_size to size                                                         */
    uint64_t bytes;        /* of image and classes in memory                                                */
    u3d_case_index index;
    bool *held[3];         /* per axis: planes of the files' grid that are held out; NULL: none are         */
    bool *slice;           /* planes across u3d_cases.across that count, on the files' grid; NULL: all do   */
    u3d_case_data data;    /* this member and those below are guarded by u3d_cases.lock                     */
    u3d_case_state state;
    int users;
    uint64_t last_use;
    u3d_volume *pseudo, *pseudo_before; /* for samples from number pseudo_from on, and before */
    int64_t pseudo_from;
} u3d_case_entry;

struct u3d_cases {
    u3d_case_entry *entry;
    int n;     /* cases that training samples from                                             */
    int n_all; /* these, and after them the cases that u3d_cases_hold set aside         */
    u3d_labels labels;
    u3d_resampling resampling;
    u3d_data_facts facts;
    u3d_intensity_stats intensity;
    bool placed;                 /* all images say where they lie in space                      */
    bool dense, resample_labels; /* as in u3d_cases_opts                                        */
    int32_t outside;             /* with dense labels: the value of voxels that they do not cover */
    bool slices_only;            /* the same                                                    */
    int across;
    uint64_t limit;                /* bytes that resampling one case may take                     */
    uint64_t cap, resident, total; /* bytes: allowed, in memory or reserved now, of all cases     */
    uint64_t clock;                /* number of calls of u3d_cases_acquire so far                 */
    pthread_mutex_t lock;
    pthread_cond_t loaded;
};

/* ---- cases_read.c ---- */

enum { U3D_MATCHES = U3D_MATCH_NEAREST + 1 };

/* How the labels fit on the grids of their images, over all cases. */
typedef struct u3d_grid_report {
    int apart;    /* number of cases with more than 0.01 voxel */
    double worst; /* largest distance, voxels                  */
    const char *worst_id;
    int n[U3D_MATCHES]; /* number of cases; for U3D_MATCH_PART only those with an outside */
    const char *first[U3D_MATCHES];
    int unit_taken;             /* number of cases whose labels have the image's unit, or the other way round */
    char sizes[160]; /* of labels and image, in the first case of which labels cover only a part */
} u3d_grid_report;

/* Reads the labels of a case (i32, on a grid of their own) and finds out how they fit on that of its image
 * (no data needed). */
u3d_status u3d_case_read_label(const u3d_cases *c, const u3d_case *files, const u3d_volume *image,
                               u3d_volume **label, u3d_match *m);
/* Turns these labels into classes (u8) of a table and brings them onto the grid of the image. */
u3d_status u3d_case_classes(const u3d_cases *c, const u3d_labels *table, const u3d_case *files,
                            const u3d_volume *image, const u3d_volume *label, const u3d_match *m,
                            u3d_volume **classes);
/* Whether the image has voxels that the labels do not cover. */
bool u3d_match_has_outside(const u3d_match *m);
void u3d_grid_report_add(u3d_grid_report *r, const u3d_match *m, const char *id, const u3d_volume *image,
                         const u3d_volume *label);
void u3d_grid_report_tell(const u3d_grid_report *r, const u3d_cases *c);
/* Counts the classes of a u8 volume and replaces the contents of the index. On failure the index is
 * unchanged. */
u3d_status u3d_case_index_make(const u3d_volume *classes, u3d_case_index *index);
/* Frees what the entry owns. */
void u3d_case_entry_done(u3d_case_entry *e);
/* Makes every voxel on a plane that is held out unlabelled. `classes` are not resampled yet. */
void u3d_case_hide_held(const u3d_case_entry *e, u3d_volume *classes);

/* ---- cases_resample.c ---- */

/* Settles the target spacing of c: from `wanted`, or from the headers of all cases if `wanted` leaves it
 * open. */
u3d_status u3d_case_settle_spacing(u3d_cases *c, const u3d_resampling *wanted);
/* Stores the sizes and spacings of a case, those of its files and those after resampling. */
void u3d_case_place(const u3d_cases *c, u3d_case_entry *e, const u3d_volume *image);
/* Resamples the normalised image and the classes in place to the size of the case; either may be NULL. */
u3d_status u3d_case_resample(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *image,
                             u3d_volume *classes);
/* Bytes that reading and resampling a case takes temporarily, in addition to e->bytes. */
uint64_t u3d_case_loading_bytes(const u3d_case_entry *e, int32_t channels);
/* U3D_E_NOMEM: resampling the case would need more than the allowed memory. This is checked before
 * anything of that size is allocated. */
u3d_status u3d_case_check_resampled(const u3d_cases *c, const u3d_case_entry *e, int32_t channels);
/* Warns if resampling will merge annotated slices. `classes` are not resampled yet. */
u3d_status u3d_case_check_slices(const u3d_cases *c, const u3d_case_entry *e, const u3d_volume *classes);
void u3d_case_report_resampling(const u3d_cases *c);

/* ---- cases_sparse.c ---- */

/* Checks whether some value of a label volume (i32) probably means "unlabelled", for data sets and options
 * that do not say which value does. `zero_named`: the data set says what 0 means. U3D_E_ARG: there is such
 * a value; the message asks for --unlabeled or --dense. */
u3d_status u3d_case_sparse_check(const u3d_case *files, const u3d_volume *label, bool zero_named);

/* ---- cases_planes.c ---- */

/* Finds the annotated slices among the n planes of one orientation, from the number of labelled voxels in
 * each. Writes their positions in order into at [n] and returns their number; 0: labels are not sparse in
 * this orientation. They are sparse if the median plane has less than half as many labelled voxels as the
 * fullest plane. A plane is then annotated if it has more labelled voxels than the mean of these two
 * planes. */
int64_t u3d_case_annotated(const int64_t *count, int64_t n, int64_t *at);

/* The only plane of a volume in which a class occurs. axis -1: the class occurs in several planes or in
 * none, or the volume has a single plane. */
typedef struct u3d_only_plane {
    int axis;   /* 0 z, 1 y, 2 x of the file */
    int64_t at; /* in the file               */
} u3d_only_plane;
void u3d_case_only_planes(const u3d_volume *classes, int n, u3d_only_plane *only);

/* If only annotated slices count, finds those of the case. U3D_E_ARG: its labels are sparse, but it has no
 * annotated slice across the axis. */
u3d_status u3d_case_find_slices(const u3d_cases *c, const u3d_volume *classes, u3d_case_entry *e);
/* Makes every voxel unlabelled that lies in none of these slices. `classes` are not resampled yet. */
void u3d_case_keep_slices(const u3d_cases *c, const u3d_case_entry *e, u3d_volume *classes);

/* ---- cases_leave.c ---- */

/* Fails with U3D_E_ARG and a message for cases of which none has a labelled voxel. `found` has the label
 * values of the files. */
u3d_status u3d_case_none_labelled(const u3d_cases *c, const u3d_labels *found);

/* ---- cases_labels.c ---- */

/* Adds to `found` every value of a label volume, except found->unlabeled. U3D_E_FORMAT: there are more than
 * U3D_MAX_LABELS values. */
u3d_status u3d_case_values(const u3d_volume *label, u3d_labels *found);
/* Adds one value. */
u3d_status u3d_case_add_value(u3d_labels *found, int32_t value);
/* The label value that is the background if it occurs (rules: u3d_cases_open). */
typedef struct u3d_background {
    bool known; /* false: no label can be the background, because 0 means "unlabelled" */
    bool given; /* by the options, so that it must occur                               */
    int32_t value;
} u3d_background;
/* `found` says which value means "unlabelled". U3D_E_ARG: the options name that value. */
u3d_status u3d_case_background(const u3d_dataset *d, const u3d_cases_opts *o, const u3d_labels *found,
                               u3d_background *out);
/* Makes the label table of the values that were found and those that the data set names. Warns about anything
 * unusual in it. U3D_E_ARG: the background was given, but no label has its value. */
u3d_status u3d_case_table(const u3d_dataset *d, const u3d_labels *found, const u3d_background *background,
                          u3d_labels *table);

/* U3D_E_ARG: a value that was found is not in the table. */
u3d_status u3d_case_table_check(const u3d_labels *found, const u3d_labels *table);

/* ---- cases_ct.c ---- */

/* A sample of the foreground intensities of all cases. */
typedef struct u3d_ct_sample {
    float *value; /* [channels, cap]  */
    int64_t n, cap;
    int64_t per_case;
    int32_t channels;
} u3d_ct_sample;

u3d_status u3d_ct_sample_new(int32_t channels, int n_cases, u3d_ct_sample *s);
void u3d_ct_sample_done(u3d_ct_sample *s);
/* Adds evenly spaced labelled voxels of one case, but not those of class `background` (-1: there is none). */
void u3d_ct_sample_add(u3d_ct_sample *s, const u3d_volume *image, const u3d_volume *classes, int background);
/* Sets the statistics of the channels whose kind is CT. U3D_E_FORMAT: no foreground voxel was seen. */
u3d_status u3d_ct_sample_stats(u3d_ct_sample *s, u3d_intensity_stats *out);

#endif
