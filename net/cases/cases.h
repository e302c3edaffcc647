/* The training cases. Opening them reads and checks every file, and builds an index of the labelled
 * voxels. After that, cases can be borrowed: normalised and resampled images with their classes. Volumes
 * stay in memory as far as a memory budget allows; the others are read again on demand. All functions are
 * thread-safe after opening, except those that leave data out (u3d_cases_drop_unlabelled, u3d_cases_hold,
 * u3d_cases_hold_slices). */
#ifndef U3D_NET_CASES_H
#define U3D_NET_CASES_H

#include "io/dataset.h"
#include "net/volume/facts.h"
#include "net/volume/intensity.h"
#include "net/volume/labels.h"
#include "net/volume/resample.h"

typedef struct u3d_cases_opts {
    bool unlabeled_given;
    int32_t unlabeled;         /* --unlabeled V: label value of voxels that nobody labelled */
    bool background_given;
    int32_t background;        /* --background V: label value that stands for the background       */
    bool dense;                /* --dense: every voxel is labelled, and no label value is suspected */
    bool resample_labels;      /* --resample-labels: labels on another grid get the nearest voxel's value */
    bool plane;                /* a 2D network, which sees slices across axis `across` */
    bool slices_only;          /* of sparse labels, only the annotated slices across axis `across` count */
    int across;                /* 0 z, 1 y, 2 x */
    uint64_t memory_cap;       /* bytes for volumes that stay in memory; 0: half of the machine's memory */
    uint64_t memory_limit;     /* bytes that resampling one case may take; 0: the machine's memory */
    const u3d_labels *labels;  /* the label table; NULL: made of the values in files and their names      */
    const u3d_intensity_stats *stats; /* how intensities are normalised; NULL: from the data              */
    double deadline; /* u3d_clock(); 0: none. Reading that takes longer is given up with U3D_E_ARG */
    int *failed; /* may be NULL; receives the place in `which` of the case that cannot be used, or -1 */
    u3d_resampling resampling; /* voxels of all cases; spacing 0: u3d_resample_target finds it */
} u3d_cases_opts;

typedef struct u3d_case_data {
    u3d_volume *image; /* f32, normalised                                                  */
    u3d_volume *label; /* u8 classes, U3D_UNLABELED if unlabelled; NULL: the case has none */
} u3d_case_data;

typedef struct u3d_cases u3d_cases;

/* Reads only the headers of a case and checks that its channels fit together. *grid has the case's number of
 * channels and no data. U3D_E_IO, U3D_E_FORMAT: the message names the case and the file. */
u3d_status u3d_case_probe(const u3d_case *c, u3d_volume **grid);
/* Does this for n cases; the message lists every case that fails. */
u3d_status u3d_cases_probe(const u3d_dataset *d, const int *which, int n);

/* Reads each of the n cases `which` (indices into d) once. Checks grids, channels and values, settles which
 * voxels are unlabelled, and collects label table, class counts, facts and intensity statistics.
 *
 * Labels that cover only a part of their image are placed in it; outside of them voxels are unlabelled, or 0
 * if o->dense. Labels on another grid are refused unless o->resample_labels.
 *
 * With U3D_INTENSITY_AUTO, each channel is normalised as its name in the data set says
 * (u3d_intensity_of_name); otherwise all channels in the same way.
 *
 * Warns about what is legal but unlikely to be meant, such as label values without a name, names without a
 * voxel, no annotated background, or grids of image and label that differ by more than 0.01 voxel.
 *
 * The background is the label that the options name, otherwise the one that the data set calls "background",
 * otherwise 0 if it is a label.
 *
 * U3D_E_ARG: there are label files, but no voxel is labelled in any of them.
 * U3D_E_ARG: a label file has a value that is not in the table of the options.
 * U3D_E_ARG: no label has the value that the options give as background, or that value means "unlabelled".
 * U3D_E_ARG: a label volume looks as if a value, often 0, meant "unlabelled", and neither the options nor the
 * data set say what it means. The message asks for --unlabeled or --dense (rules: cases_sparse.c). */
u3d_status u3d_cases_open(const u3d_dataset *d, const int *which, int n, u3d_intensity intensity,
                          const u3d_cases_opts *o, u3d_cases **out);
void u3d_cases_free(u3d_cases *c);

int u3d_cases_count(const u3d_cases *c);
const char *u3d_cases_id(const u3d_cases *c, int i);
const u3d_labels *u3d_cases_labels(const u3d_cases *c);
const u3d_data_facts *u3d_cases_facts(const u3d_cases *c);
const u3d_intensity_stats *u3d_cases_intensity(const u3d_cases *c);
/* Labelled voxels of class k in case i; of all classes if k < 0. */
int64_t u3d_cases_voxels(const u3d_cases *c, int i, int k);
/* Size and spacing (z, y, x) of the volumes that are borrowed, that is, after resampling. */
const int64_t *u3d_cases_size(const u3d_cases *c, int i);
const double *u3d_cases_spacing(const u3d_cases *c, int i);
/* Bytes of the volumes that will stay in memory. */
uint64_t u3d_cases_resident_bytes(const u3d_cases *c);
/* How cases are resampled, with the target spacing. */
const u3d_resampling *u3d_cases_resampling(const u3d_cases *c);
bool u3d_cases_is_resampled(const u3d_cases *c, int i);
/* Size (z, y, x) of the volumes in the case's files. */
const int64_t *u3d_cases_own_size(const u3d_cases *c, int i);
/* Most bytes that reading and resampling one case takes temporarily, in addition to its result. The first
 * function considers the cases that may be read again (0: there are none), the second one all cases, because
 * opening reads them all. */
uint64_t u3d_cases_loading_bytes(const u3d_cases *c);
uint64_t u3d_cases_opening_bytes(const u3d_cases *c);

/* Reads the channels of one case from one 4D file, or from one file per channel on the same grid, as f32
 * [z,y,x,c], not normalised. */
u3d_status u3d_case_read_image(const u3d_case *c, u3d_volume **out);
/* Reads the labels of any case as classes (u8) of the table of c, on the grid of its image (data are not
 * needed). They are brought there as those of the training cases. */
u3d_status u3d_cases_read_classes(const u3d_cases *c, const u3d_case *files, const u3d_volume *image,
                                  u3d_volume **classes);

/* Two classes of which one always lies on the same side of the other along an axis; -1: there are none. */
typedef struct u3d_side_pair {
    int first, second;
} u3d_side_pair;
/* side: axes z, y, x, as far as the cases (up to 32 of them, and at least 8) show it; foreground classes
 * only. */
u3d_status u3d_cases_sides(u3d_cases *c, u3d_side_pair side[3]);

/* Whether all images say where they lie in space, so that their axes x, y, z run to the right, front and top.
 */
bool u3d_cases_placed(const u3d_cases *c);

/* Borrows case i, reading it if necessary. Every successful call is paired with u3d_cases_release; until
 * then the data stay in memory and unchanged. */
u3d_status u3d_cases_acquire(u3d_cases *c, int i, const u3d_case_data **out);
void u3d_cases_release(u3d_cases *c, int i);

/* Gives case i pseudo-labels: u8 classes on the grid of the borrowed volumes, which the cases own from now
 * on. Samples from number `from` on learn from them; earlier ones, some of which may still be made, from
 * those that the case had before. All samples before the `from` of the previous call must have been made. */
void u3d_cases_set_pseudo(u3d_cases *c, int i, u3d_volume *classes, int64_t from);
/* The pseudo-labels of case i for sample k, or NULL. They are valid until the call after the next one of
 * u3d_cases_set_pseudo. */
const u3d_volume *u3d_cases_pseudo(u3d_cases *c, int i, int64_t k);

/* Reads the classes (u8) of case i again, on the grid of its image file and with its header. Labels that were
 * held out of training are included. The volume belongs to the caller. U3D_E_ARG: the case has no labels. */
u3d_status u3d_cases_read_own(const u3d_cases *c, int i, u3d_volume **classes);

/* Position (z, y, x) of the r-th voxel of class k in storage order, counted from 0; of the r-th labelled
 * voxel if k < 0. */
u3d_status u3d_cases_locate(u3d_cases *c, int i, int k, int64_t r, int64_t pos[3]);

/* Leaves out the cases without any labelled voxel, because nothing can be learned from them or scored on
 * them, and warns with their names. kept [count] receives which cases are kept. Call this before cases are
 * held out. U3D_E_ARG: no case would be left; the message names the files and says what to do. */
u3d_status u3d_cases_drop_unlabelled(u3d_cases *c, bool *kept);

/* Sets the cases i with held[i] aside for validation; at least one case must remain. Both the remaining cases
 * and those set aside keep their order. u3d_cases_count no longer includes the latter, so nothing is sampled
 * from them; they can still be borrowed as cases count, count + 1, ... Call this before sampling starts. */
u3d_status u3d_cases_hold(u3d_cases *c, const bool *held);

/* Holds out slices for validation when there is only one volume: about `share` of the annotated slices of
 * each orientation become unlabelled for training, never the first or the last one (rules: cases_hold.c). If
 * no orientation has annotated slices, a slab of slices is held out instead. *held is a u8 class volume on
 * the grid of the case's files that has only the labels that were held out; it belongs to the caller. Voxels
 * in which a held slice crosses a kept one count as held. `text` (cap bytes) says what was held out. Call
 * this before sampling starts.
 *
 * U3D_E_UNSUPPORTED: there are too few annotated slices, or there is not exactly one labelled case. */
u3d_status u3d_cases_hold_slices(u3d_cases *c, double share, u3d_volume **held, char *text, size_t cap);

#endif
