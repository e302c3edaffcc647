/* Opening the training cases: every file is read once, checked, and kept in memory as far as the budget
 * allows.
 *
 *   1. The values that mean "unlabelled" and "background" are settled (from the options or the data
 *      set; there may be none).
 *   2. The spacing that voxels are resampled to is settled (cases_resample.c).
 *   3. For each case, image and labels are read. Its classes are counted with preliminary numbers, which are
 *      made from the values of this case only, because the values of later cases are not known yet.
 *   4. The label table is made, and the preliminary numbers are replaced by its classes.
 *   5. Images are normalised. This is done in step 3 already, unless a channel is CT, whose statistics are
 *      complete only now. Normalisation comes before resampling (as in nnU-Net), so CT cases that must be
 *      resampled are not kept in memory by opening; they are read again when they are needed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "net/cases/cases_impl.h"

/* What is needed only while opening. */
typedef struct open_scan {
    const u3d_dataset *d;
    u3d_labels found;                       /* label values seen so far */
    u3d_background background;
    bool samples_ct;                        /* CT statistics are made from these cases */
    int32_t (*values)[U3D_MAX_LABELS];      /* [n]: the values of each case, increasing */
    int *n_values;                          /* [n] */
    u3d_only_plane (*only)[U3D_MAX_LABELS]; /* [n]: for each of these values, the only plane that shows it */
    u3d_intensity wanted;                   /* of all channels, or AUTO */
    const u3d_intensity_stats *stats;       /* given, or NULL */
    u3d_ct_sample sample;
    u3d_grid_report grids;
    bool must_ask;                          /* neither options nor data set say what is unlabelled */
    bool zero_named;                        /* the data set says what 0 means */
    int64_t unlabeled;                      /* number of unlabelled voxels */
    int unplaced;                           /* number of images that do not say where they lie in space */
    char file_axis[3];                      /* what the first file calls axes z, y, x */
    double *column;                         /* [n] scratch for medians */
} open_scan;

static u3d_status open_copy_files(const u3d_case *from, u3d_case *to)
{
    to->id = u3d_strdup(from->id);
    to->image = u3d_new((size_t)from->n_images, sizeof *to->image);
    if (!to->id || !to->image) return U3D_E_NOMEM;
    for (; to->n_images < from->n_images; to->n_images++) {
        to->image[to->n_images] = u3d_strdup(from->image[to->n_images]);
        if (!to->image[to->n_images]) return U3D_E_NOMEM;
    }
    if (from->label) to->label = u3d_strdup(from->label);
    return from->label && !to->label ? U3D_E_NOMEM : U3D_OK;
}

/* Step 1. */
static u3d_status open_settle_unlabeled(const u3d_dataset *d, const u3d_cases_opts *o, open_scan *scan)
{
    if (o->unlabeled_given && o->dense)
        return u3d_fail(
            U3D_E_ARG,
            "--unlabeled %d says that some voxels are unlabelled, --dense says that none are; give only one of them",
            (int)o->unlabeled);
    if (o->unlabeled_given && d->has_unlabeled && o->unlabeled != d->unlabeled)
        return u3d_fail(
            U3D_E_ARG, "--unlabeled %d contradicts '%s', which says that %d means unlabelled; omit --unlabeled",
            (int)o->unlabeled, d->path, (int)d->unlabeled);
    scan->found.has_unlabeled = o->unlabeled_given || d->has_unlabeled;
    scan->found.unlabeled = o->unlabeled_given ? o->unlabeled : d->has_unlabeled ? d->unlabeled : 0;
    scan->must_ask = !scan->found.has_unlabeled && !o->dense;
    for (int i = 0; i < d->n_labels; i++) scan->zero_named = scan->zero_named || d->labels[i].value == 0;
    if (!o->labels) return u3d_case_background(d, o, &scan->found, &scan->background);
    scan->background = (u3d_background){.known = o->labels->background, .value = o->labels->value[0]};
    return U3D_OK;
}

/* Settles how each channel is normalised. Names that do not match the channels one by one still count if all
 * of them mean the same. */
static void open_settle_intensity(const u3d_dataset *d, const open_scan *scan, u3d_intensity_stats *s)
{
    const int n = d->n_channel_names;
    const u3d_intensity first = n > 0 ? u3d_intensity_of_name(d->channel_names[0]) : U3D_INTENSITY_ZSCORE;
    bool same = true;
    for (int i = 1; i < n; i++) same = same && u3d_intensity_of_name(d->channel_names[i]) == first;
    if (scan->wanted == U3D_INTENSITY_AUTO && !same && n != s->channels)
        U3D_WARN(
            "cases",
            "'%s' names %d channels, but the images have %d; the names are ignored, and every channel is "
            "normalised by zscore; set intensity=... if that is wrong",
            d->path, n, (int)s->channels);
    for (int32_t ch = 0; ch < s->channels; ch++) {
        s->kind[ch] = scan->wanted != U3D_INTENSITY_AUTO ? scan->wanted
                      : same                             ? first
                      : n == s->channels                 ? u3d_intensity_of_name(d->channel_names[ch])
                                                         : U3D_INTENSITY_ZSCORE;
    }
}

static u3d_status open_check_channels(u3d_cases *c, open_scan *scan, int i, const u3d_volume *image)
{
    const char *id = c->entry[i].files.id;
    if (i > 0 && image->channels != c->facts.channels)
        return u3d_fail(U3D_E_FORMAT,
                        "case '%s' has %d channels, but case '%s' has %d; all cases must have the same number",
                        id, (int)image->channels, c->entry[0].files.id, (int)c->facts.channels);
    if (image->channels > U3D_MAX_CHANNELS)
        return u3d_fail(U3D_E_FORMAT, "case '%s' has %d channels; at most %d are supported", id,
                        (int)image->channels, (int)U3D_MAX_CHANNELS);
    c->facts.channels = c->intensity.channels = image->channels;
    if (i > 0) return U3D_OK;
    /* Otherwise the data changed, which training notices. */
    const bool given = scan->stats && scan->stats->channels == image->channels;
    if (given)
        c->intensity = *scan->stats;
    else
        open_settle_intensity(scan->d, scan, &c->intensity);
    scan->samples_ct = !given && u3d_intensity_has(&c->intensity, U3D_INTENSITY_CT);
    return U3D_OK;
}

/* Images with a place in space have been turned to RAS+; the others are as stored. */
static void open_note_orientation(u3d_cases *c, const u3d_volume *image, open_scan *scan)
{
    static const int right_front_top[3] = {1, 2, 3};
    for (int a = 0; a < 3 && !scan->file_axis[a]; a++)
        (void)u3d_volume_file_plane(image, a, 0, &scan->file_axis[a]);
    if (u3d_volume_has_place(image))
        memcpy(c->facts.orientation, right_front_top, sizeof right_front_top);
    else
        scan->unplaced++;
}

/* Turns the labels (i32) of case i into classes (u8) on the grid of the image with preliminary numbers:
 * positions in scan->values[i]. */
static u3d_status open_scan_labels(const u3d_cases *c, u3d_case_entry *e, const u3d_volume *image,
                                   const u3d_volume *label, const u3d_match *m, open_scan *scan, int i,
                                   u3d_volume **classes)
{
    const bool background = c->dense && u3d_match_has_outside(m);
    u3d_labels own = {.has_unlabeled = scan->found.has_unlabeled, .unlabeled = scan->found.unlabeled};
    if (scan->must_ask) U3D_TRY(u3d_case_sparse_check(&e->files, label, scan->zero_named));
    U3D_TRY(u3d_case_values(label, &own));
    U3D_TRY(u3d_case_values(label, &scan->found));
    if (background) U3D_TRY(u3d_case_add_value(&own, c->outside));
    /* A background that was given must occur, so that a mistyped one is noticed. */
    if (background && (c->outside == 0 || !scan->background.given))
        U3D_TRY(u3d_case_add_value(&scan->found, c->outside));
    memcpy(scan->values[i], own.value, sizeof own.value);
    scan->n_values[i] = own.n;
    U3D_TRY(u3d_case_classes(c, &own, &e->files, image, label, m, classes));
    if (own.has_unlabeled || u3d_match_has_outside(m)) u3d_case_only_planes(*classes, own.n, scan->only[i]);
    U3D_TRY(u3d_case_find_slices(c, *classes, e));
    u3d_case_keep_slices(c, e, *classes);
    return U3D_OK;
}

/* Resamples the classes to the grid that training sees, and makes their index. */
static u3d_status open_index_labels(u3d_cases *c, u3d_case_entry *e, const int32_t *values, int n_values,
                                    u3d_volume *classes)
{
    U3D_TRY(u3d_case_check_slices(c, e, classes));
    U3D_TRY(u3d_case_resample(c, e, NULL, classes));
    U3D_TRY(u3d_case_index_make(classes, &e->index));
    for (int k = 0, at = 0; k < n_values; k++) {
        const bool left = at < e->index.n && e->index.class[at] == k;
        at += left;
        if (!left && e->resampled)
            U3D_WARN(
                "cases",
                "case '%s': label %d is too small for voxels of %.4gx%.4gx%.4g and disappears in resampling",
                e->files.id, values[k], e->spacing[2], e->spacing[1], e->spacing[0]);
    }
    return U3D_OK;
}

/* Preliminary number of the background in case i; -1 if the case does not have it. */
static int open_background(const open_scan *scan, int i)
{
    for (int k = 0; k < scan->n_values[i]; k++)
        if (scan->background.known && scan->values[i][k] == scan->background.value) return k;
    return -1;
}

static int64_t unlabelled(const u3d_volume *classes)
{
    const uint8_t *v = classes->data;
    int64_t n = u3d_volume_voxels(classes), count = 0;
    for (int64_t i = 0; i < n; i++) count += v[i] == U3D_UNLABELED;
    return count;
}

static u3d_status open_normalise(const u3d_case_entry *e, u3d_volume *image, const u3d_intensity_stats *s)
{
    const u3d_status status = u3d_intensity_normalise(image, s);
    return status == U3D_OK ? status : u3d_wrap(status, "case '%s'", e->files.id);
}

/* Step 3. */
static u3d_status open_scan_case(u3d_cases *c, int i, open_scan *scan)
{
    u3d_case_entry *e = &c->entry[i];
    bool ct;
    u3d_volume *image = NULL, *label = NULL, *classes = NULL;
    u3d_match match;
    u3d_status status;
    U3D_GO(u3d_case_read_image(&e->files, &image));
    if (e->files.label) U3D_GO(u3d_case_read_label(c, &e->files, image, &label, &match));
    U3D_GO(open_check_channels(c, scan, i, image));
    ct = scan->samples_ct;
    open_note_orientation(c, image, scan);
    u3d_case_place(c, e, image);
    U3D_GO(u3d_case_check_resampled(c, e, image->channels));
    e->bytes =
        (uint64_t)(e->size[0] * e->size[1] * e->size[2]) * (4 * (uint64_t)image->channels + (label ? 1 : 0));
    c->total += e->bytes;
    if (label) {
        e->label_voxels = u3d_volume_voxels(label);
        u3d_grid_report_add(&scan->grids, &match, e->files.id, image, label);
        status = open_scan_labels(c, e, image, label, &match, scan, i, &classes);
        if (status == U3D_E_FORMAT) u3d_wrap(status, "case '%s', labels '%s'", e->files.id, e->files.label);
        if (status != U3D_OK) goto done;
        scan->unlabeled += unlabelled(classes);
    }
    if (ct) {
        if (!scan->sample.value) U3D_GO(u3d_ct_sample_new(image->channels, c->n, &scan->sample));
        if (classes) u3d_ct_sample_add(&scan->sample, image, classes, open_background(scan, i));
    }
    u3d_volume_free(label);
    label = NULL;
    if (classes) U3D_GO(open_index_labels(c, e, scan->values[i], scan->n_values[i], classes));
    if (c->resident + e->bytes > c->cap || (ct && e->resampled)) goto done;
    if (!ct) U3D_GO(open_normalise(e, image, &c->intensity));
    U3D_GO(u3d_case_resample(c, e, image, NULL));
    c->resident += e->bytes;
    e->data = (u3d_case_data){.image = image, .label = classes};
    e->state = U3D_CASE_READY;
    image = classes = NULL;
done:
    u3d_volume_free(image);
    u3d_volume_free(label);
    u3d_volume_free(classes);
    return status;
}

/* Step 4: replaces the preliminary numbers of a case by the classes of the table. */
static void open_renumber(u3d_case_entry *e, const int32_t *values, int n_values, const u3d_labels *table)
{
    uint8_t class[256];
    memset(class, U3D_UNLABELED, sizeof class);
    for (int i = 0; i < n_values; i++) {
        int k = 0;
        while (table->value[k] != values[i]) k++;
        class[i] = (uint8_t)k;
    }
    for (int i = 0; i < e->index.n; i++) e->index.class[i] = class[e->index.class[i]];
    if (!e->data.label) return;
    uint8_t *v = e->data.label->data;
    int64_t n = u3d_volume_voxels(e->data.label);
    for (int64_t i = 0; i < n; i++) v[i] = class[v[i]];
}

/* Step 5 for CT. */
static u3d_status open_normalise_ct(u3d_cases *c, open_scan *scan)
{
    U3D_TRY(u3d_ct_sample_stats(&scan->sample, &c->intensity));
    for (int i = 0; i < c->n; i++)
        if (c->entry[i].data.image)
            U3D_TRY(open_normalise(&c->entry[i], c->entry[i].data.image, &c->intensity));
    return U3D_OK;
}

static void open_facts(u3d_cases *c, double *column)
{
    for (int a = 0; a < 3; a++) {
        for (int i = 0; i < c->n; i++) column[i] = c->entry[i].spacing[a];
        c->facts.spacing[a] = c->resampling.on ? c->resampling.spacing[a] : u3d_median(column, c->n);
        for (int i = 0; i < c->n; i++) column[i] = (double)c->entry[i].size[a];
        c->facts.size[a] = u3d_median(column, c->n);
    }
    double labelled = 0, voxels = 0;
    for (int i = 0; i < c->n; i++) {
        const int64_t *size = c->entry[i].size;
        labelled += (double)u3d_cases_voxels(c, i, -1);
        voxels += (double)size[0] * (double)size[1] * (double)size[2];
    }
    c->facts.sparse = 2 * labelled < voxels;
}

/* Warns of classes that occur in a single slice of all cases, if labels are sparse: from that slice a network
 * cannot learn how far the class extends across it. */
static void open_warn_single(const u3d_cases *c, const open_scan *scan)
{
    for (int k = 0; k < c->labels.n; k++) {
        const u3d_only_plane *seen = NULL;
        int cases = 0, where = 0;
        for (int i = 0; i < c->n; i++)
            for (int j = 0; j < scan->n_values[i]; j++)
                if (scan->values[i][j] == c->labels.value[k]) {
                    seen = &scan->only[i][j];
                    where = i;
                    cases++;
                }
        if (cases != 1 || seen->axis < 0) continue;
        U3D_WARN("cases",
                 "label %d%s%s is annotated in one slice only (%c = %lld of case '%s', counted from 0), so the "
                 "network cannot learn how far it extends beyond that slice; label it in a second slice, "
                 "preferably in another orientation",
                 (int)c->labels.value[k], c->labels.name[k][0] ? " " : "", c->labels.name[k],
                 "zyx"[seen->axis], (long long)seen->at, c->entry[where].files.id);
    }
}

/* A 2D network sees slices across an axis in memory, which may be another one than in the files. */
static void open_warn_plane(const u3d_cases *c, const u3d_cases_opts *o, const open_scan *scan)
{
    if (!o->plane) return;
    const char across = "zyx"[c->across], *in_file = scan->file_axis;
    if (in_file[c->across] != across)
        U3D_WARN("cases",
                 "the 2D network sees slices across %c (x runs to the right, y to the front, z up), which is axis "
                 "%c of file '%s'; plane=xy, xz and yz are across its axes %c, %c and %c",
                 across, in_file[c->across], c->entry[0].files.image[0], in_file[0], in_file[1], in_file[2]);
}

/* Says how channels are normalised if their names decide it. */
static void open_say_intensity(const u3d_cases *c, const open_scan *scan)
{
    char text[600] = "";
    const u3d_dataset *d = scan->d;
    if (scan->wanted != U3D_INTENSITY_AUTO || d->n_channel_names != c->intensity.channels) return;
    for (int32_t ch = 0; ch < c->intensity.channels; ch++) {
        const size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s %s", ch ? ", " : "", d->channel_names[ch],
                       u3d_intensity_word(c->intensity.kind[ch]));
    }
    U3D_INFO("cases", "normalisation of the channels by their names: %s", text);
}

static void open_report(const u3d_cases *c, const open_scan *scan, const u3d_cases_opts *o)
{
    u3d_grid_report_tell(&scan->grids, c);
    if (o->unlabeled_given && scan->unlabeled == 0)
        U3D_WARN("cases",
                 "--unlabeled %d was given, but no voxel has that value, so every voxel counts as labelled",
                 (int)o->unlabeled);
    if (scan->unlabeled > 0) open_warn_single(c, scan);
    open_warn_plane(c, o, scan);
    if (scan->unplaced > 0 && scan->unplaced < c->n)
        U3D_WARN(
            "cases",
            "%d of %d images do not say where they lie in space; their axes are used as stored, those of the "
            "others run to the right, front and top",
            scan->unplaced, c->n);
    U3D_INFO("cases", "cases %d, channels %d, labels %d; %.3g GB, of which %.3g GB stay in memory", c->n,
             (int)c->facts.channels, (int)c->labels.n, (double)c->total * 1e-9,
             (double)u3d_cases_resident_bytes(c) * 1e-9);
    open_say_intensity(c, scan);
    u3d_case_report_resampling(c);
}

static u3d_status open_new(const u3d_dataset *d, const int *which, int n, const u3d_cases_opts *o,
                           u3d_cases **out)
{
    u3d_cases *c = u3d_new(1, sizeof *c);
    if (!c) return U3D_E_NOMEM;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->loaded, NULL);
    c->dense = o->dense;
    c->resample_labels = o->resample_labels;
    c->slices_only = o->slices_only;
    c->across = o->across;
    c->cap = o->memory_cap ? o->memory_cap : u3d_mem_machine() / 2;
    if (c->cap == 0) c->cap = UINT64_MAX;
    c->limit = o->memory_limit ? o->memory_limit : u3d_mem_machine();
    c->entry = u3d_new((size_t)n, sizeof *c->entry);
    u3d_status status = c->entry ? U3D_OK : U3D_E_NOMEM;
    for (; status == U3D_OK && c->n_all < n; c->n_all++) {
        int i = which[c->n_all];
        U3D_ASSERT(i >= 0 && i < d->n_cases, "case %d of %d", i, d->n_cases);
        status = open_copy_files(&d->cases[i], &c->entry[c->n_all].files);
    }
    c->n = c->n_all;
    *out = c;
    return status;
}

static u3d_status open_table(u3d_cases *c, const u3d_cases_opts *o, const open_scan *scan)
{
    if (!o->labels) return u3d_case_table(scan->d, &scan->found, &scan->background, &c->labels);
    c->labels = *o->labels;
    return u3d_case_table_check(&scan->found, &c->labels);
}

/* Gives up if reading goes on after the deadline, so that nobody waits hours for a run that cannot be. */
static u3d_status open_check_time(const u3d_cases_opts *o, double began, int done, int n)
{
    const double now = u3d_clock();
    if (o->deadline <= 0 || now < o->deadline) return U3D_OK;
    const double took = now - began, all = took / done * n;
    return u3d_fail(
        U3D_E_ARG,
        "reading %d of %d volumes took %.1f s, and the time that --time gives is over; all of them will "
        "take about %.0f s; give at least --time %.0fm",
        done, n, took, all, ceil((3 * all + 30) / 60));
}

static u3d_status open_scan_all(u3d_cases *c, const u3d_cases_opts *o, open_scan *scan)
{
    const double began = u3d_clock();
    for (int i = 0; i < c->n; i++) {
        const u3d_status status = open_scan_case(c, i, scan);
        if (status != U3D_OK && o->failed) *o->failed = i;
        U3D_TRY(status);
        if (i + 1 < c->n) U3D_TRY(open_check_time(o, began, i + 1, c->n));
    }
    if (scan->found.n == 0) {
        bool any = false;
        for (int i = 0; i < c->n; i++) any = any || c->entry[i].files.label;
        if (any) return u3d_case_none_labelled(c, &scan->found);
    }
    U3D_TRY(open_table(c, o, scan));
    for (int i = 0; i < c->n; i++)
        open_renumber(&c->entry[i], scan->values[i], scan->n_values[i], &c->labels);
    if (scan->samples_ct) U3D_TRY(open_normalise_ct(c, scan));
    c->placed = scan->unplaced == 0;
    open_facts(c, scan->column);
    open_report(c, scan, o);
    return U3D_OK;
}

u3d_status u3d_cases_open(const u3d_dataset *d, const int *which, int n, u3d_intensity intensity,
                          const u3d_cases_opts *o, u3d_cases **out)
{
    *out = NULL;
    if (o->failed) *o->failed = -1;
    if (n < 1) return u3d_fail(U3D_E_ARG, "no case of '%s' is left to open", d->path ? d->path : "the data");
    u3d_cases *c = NULL;
    open_scan *scan = u3d_new(1, sizeof *scan);
    if (!scan) return U3D_E_NOMEM;
    scan->d = d;
    u3d_status status;
    U3D_GO(open_settle_unlabeled(d, o, scan));
    U3D_GO(open_new(d, which, n, o, &c));
    if (scan->background.known) c->outside = scan->background.value;
    U3D_GO(u3d_case_settle_spacing(c, &o->resampling));
    scan->wanted = intensity;
    scan->stats = o->stats;
    scan->values = u3d_new((size_t)n, sizeof *scan->values);
    scan->n_values = u3d_new((size_t)n, sizeof *scan->n_values);
    scan->only = u3d_new((size_t)n, sizeof *scan->only);
    scan->column = u3d_new((size_t)n, sizeof *scan->column);
    status = scan->values && scan->n_values && scan->only && scan->column ? U3D_OK : U3D_E_NOMEM;
    if (status == U3D_OK) status = open_scan_all(c, o, scan);
    if (status != U3D_OK) goto done;
    *out = c;
    c = NULL;
done:
    u3d_cases_free(c);
    u3d_free(scan->values);
    u3d_free(scan->n_values);
    u3d_free(scan->only);
    u3d_free(scan->column);
    u3d_ct_sample_done(&scan->sample);
    u3d_free(scan);
    return status;
}
