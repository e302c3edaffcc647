/* The training cases in use: asking about them, borrowing them, finding their labelled voxels.
 *
 * Stations 1 to 2b of training for cases that are read again; before: opened cases (cases_open.c); after:
 * normalised and resampled image and classes of one case.
 *
 * A case is absent, being loaded by one thread, or ready. One lock guards this state. Files are read
 * without holding the lock, so that workers can load different cases at the same time. When the memory
 * budget is used up, cases that nobody borrows are dropped, the least recently used ones first. If all are
 * borrowed, the budget is exceeded until some are released, because a thread that waited might itself hold
 * the case it waits for. */
#include <string.h>

#include "engine/base/mem.h"
#include "net/cases/cases_impl.h"

int u3d_cases_count(const u3d_cases *c)
{
    return c->n;
}
const char *u3d_cases_id(const u3d_cases *c, int i)
{
    return c->entry[i].files.id;
}
const u3d_labels *u3d_cases_labels(const u3d_cases *c)
{
    return &c->labels;
}
const u3d_data_facts *u3d_cases_facts(const u3d_cases *c)
{
    return &c->facts;
}
const u3d_intensity_stats *u3d_cases_intensity(const u3d_cases *c)
{
    return &c->intensity;
}
const int64_t *u3d_cases_size(const u3d_cases *c, int i)
{
    return c->entry[i].size;
}
const double *u3d_cases_spacing(const u3d_cases *c, int i)
{
    return c->entry[i].spacing;
}
uint64_t u3d_cases_resident_bytes(const u3d_cases *c)
{
    uint64_t most = c->cap; /* a single case that is larger than the budget is kept nevertheless */
    for (int i = 0; i < c->n_all; i++)
        if (c->entry[i].bytes > most) most = c->entry[i].bytes;
    return c->total < most ? c->total : most;
}
const u3d_resampling *u3d_cases_resampling(const u3d_cases *c)
{
    return &c->resampling;
}
bool u3d_cases_is_resampled(const u3d_cases *c, int i)
{
    return c->entry[i].resampled;
}
const int64_t *u3d_cases_own_size(const u3d_cases *c, int i)
{
    return c->entry[i].own_size;
}
uint64_t u3d_cases_loading_bytes(const u3d_cases *c)
{
    uint64_t most = 0;
    for (int i = 0; i < c->n_all; i++) {
        const uint64_t bytes = u3d_case_loading_bytes(&c->entry[i], c->facts.channels);
        const bool again = c->total > c->cap || c->entry[i].state == U3D_CASE_ABSENT;
        if (again && bytes > most) most = bytes;
    }
    return most;
}
uint64_t u3d_cases_opening_bytes(const u3d_cases *c)
{
    uint64_t most = 0;
    for (int i = 0; i < c->n_all; i++) {
        const uint64_t bytes = u3d_case_loading_bytes(&c->entry[i], c->facts.channels);
        if (bytes > most) most = bytes;
    }
    return most;
}
bool u3d_cases_placed(const u3d_cases *c)
{
    return c->placed;
}

static void cases_drop_data(u3d_case_data *data)
{
    u3d_volume_free(data->image);
    u3d_volume_free(data->label);
    *data = (u3d_case_data){0};
}

void u3d_case_entry_done(u3d_case_entry *e)
{
    u3d_free(e->files.id);
    for (int i = 0; i < e->files.n_images; i++) u3d_free(e->files.image[i]);
    u3d_free(e->files.image);
    u3d_free(e->files.label);
    u3d_free(e->index.before);
    u3d_free(e->held[0]);
    u3d_free(e->slice);
    u3d_volume_free(e->pseudo);
    u3d_volume_free(e->pseudo_before);
    cases_drop_data(&e->data);
}

void u3d_cases_free(u3d_cases *c)
{
    if (!c) return;
    for (int i = 0; c->entry && i < c->n_all; i++) u3d_case_entry_done(&c->entry[i]);
    u3d_free(c->entry);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->loaded);
    u3d_free(c);
}

/* The row of the index for class k (for all classes if k < 0); NULL if the case has no such voxel. */
static const int64_t *cases_before(const u3d_case_index *index, int k)
{
    if (k < 0) return index->before;
    for (int i = 0; i < index->n; i++)
        if (index->class[i] == k) return index->before + (i + 1) * (index->planes + 1);
    return NULL;
}

int64_t u3d_cases_voxels(const u3d_cases *c, int i, int k)
{
    const int64_t *before = cases_before(&c->entry[i].index, k);
    return before ? before[c->entry[i].index.planes] : 0;
}

static u3d_status check_unchanged(const u3d_case_entry *e, const u3d_volume *v)
{
    if (memcmp(v->size, e->own_size, sizeof e->own_size) == 0) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT,
                    "the size of case '%s' differs from when it was first read; its files have been changed",
                    e->files.id);
}

/* Reads a case again and brings it into the state that it had after opening. */
static u3d_status cases_load(const u3d_cases *c, const u3d_case_entry *e, u3d_case_data *out)
{
    u3d_status status;
    *out = (u3d_case_data){0};
    U3D_GO(u3d_case_read_image(&e->files, &out->image));
    U3D_GO(check_unchanged(e, out->image));
    if (e->files.label) {
        U3D_GO(u3d_cases_read_classes(c, &e->files, out->image, &out->label));
        u3d_case_keep_slices(c, e, out->label);
        u3d_case_hide_held(e, out->label);
    }
    U3D_GO(u3d_intensity_normalise(out->image, &c->intensity));
    U3D_GO(u3d_case_resample(c, e, out->image, out->label));
done:
    if (status != U3D_OK) cases_drop_data(out);
    return status;
}

u3d_status u3d_cases_read_own(const u3d_cases *c, int i, u3d_volume **classes)
{
    const u3d_case_entry *e = &c->entry[i];
    u3d_volume *image;
    *classes = NULL;
    if (!e->files.label) return u3d_fail(U3D_E_ARG, "case '%s' has no labels", e->files.id);
    U3D_TRY(u3d_volume_probe(e->files.image[0], &image));
    u3d_status status = check_unchanged(e, image);
    if (status == U3D_OK) status = u3d_cases_read_classes(c, &e->files, image, classes);
    u3d_volume_free(image);
    return status;
}

/* Drops cases, the least recently used first, until `bytes` more fit. The caller holds the lock. */
static void cases_make_room(u3d_cases *c, uint64_t bytes)
{
    while (c->resident + bytes > c->cap) {
        u3d_case_entry *oldest = NULL;
        for (int i = 0; i < c->n_all; i++) {
            u3d_case_entry *e = &c->entry[i];
            if (e->state != U3D_CASE_READY || e->users > 0) continue;
            if (!oldest || e->last_use < oldest->last_use) oldest = e;
        }
        if (!oldest) return;
        cases_drop_data(&oldest->data);
        oldest->state = U3D_CASE_ABSENT;
        c->resident -= oldest->bytes;
    }
}

u3d_status u3d_cases_acquire(u3d_cases *c, int i, const u3d_case_data **out)
{
    u3d_case_entry *e = &c->entry[i];
    u3d_status status = U3D_OK;
    *out = NULL;
    pthread_mutex_lock(&c->lock);
    while (e->state == U3D_CASE_LOADING) pthread_cond_wait(&c->loaded, &c->lock);
    if (e->state == U3D_CASE_ABSENT) {
        u3d_case_data data;
        cases_make_room(c, e->bytes);
        c->resident += e->bytes;
        e->state = U3D_CASE_LOADING;
        pthread_mutex_unlock(&c->lock);
        status = cases_load(c, e, &data);
        pthread_mutex_lock(&c->lock);
        e->data = data;
        e->state = status == U3D_OK ? U3D_CASE_READY : U3D_CASE_ABSENT;
        if (status != U3D_OK) c->resident -= e->bytes;
        pthread_cond_broadcast(&c->loaded);
    }
    if (status == U3D_OK) {
        e->users++;
        e->last_use = ++c->clock;
        *out = &e->data;
    }
    pthread_mutex_unlock(&c->lock);
    return status;
}

void u3d_cases_release(u3d_cases *c, int i)
{
    pthread_mutex_lock(&c->lock);
    U3D_ASSERT(c->entry[i].users > 0, "case %d is not borrowed", i);
    c->entry[i].users--;
    pthread_mutex_unlock(&c->lock);
}

void u3d_cases_set_pseudo(u3d_cases *c, int i, u3d_volume *classes, int64_t from)
{
    u3d_case_entry *e = &c->entry[i];
    U3D_ASSERT(classes->dtype == U3D_U8 && memcmp(classes->size, e->size, sizeof e->size) == 0,
               "pseudo-labels of case %d: type %d, or another size", i, (int)classes->dtype);
    pthread_mutex_lock(&c->lock);
    for (int j = 0; j < c->n; j++) {
        u3d_volume_free(c->entry[j].pseudo_before);
        c->entry[j].pseudo_before = NULL;
    }
    e->pseudo_before = e->pseudo;
    e->pseudo = classes;
    e->pseudo_from = from;
    pthread_mutex_unlock(&c->lock);
}

const u3d_volume *u3d_cases_pseudo(u3d_cases *c, int i, int64_t k)
{
    const u3d_case_entry *e = &c->entry[i];
    pthread_mutex_lock(&c->lock);
    const u3d_volume *classes = k >= e->pseudo_from ? e->pseudo : e->pseudo_before;
    pthread_mutex_unlock(&c->lock);
    return classes;
}

u3d_status u3d_cases_locate(u3d_cases *c, int i, int k, int64_t r, int64_t pos[3])
{
    const u3d_case_index *index = &c->entry[i].index;
    const int64_t *before = cases_before(index, k);
    U3D_ASSERT(before && r >= 0 && r < before[index->planes], "rank %lld of class %d in case %d",
               (long long)r, k, i);

    /* 1. the plane: the last z with before[z] <= r */
    int64_t low = 0, high = index->planes - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (before[middle] <= r)
            low = middle;
        else
            high = middle - 1;
    }

    /* 2. the voxel in this plane */
    const u3d_case_data *data = NULL;
    U3D_TRY(u3d_cases_acquire(c, i, &data));
    const int64_t *size = c->entry[i].size;
    const uint8_t *plane = (const uint8_t *)data->label->data + low * size[1] * size[2];
    int64_t left = r - before[low], v = 0, area = size[1] * size[2];
    for (; v < area; v++) {
        bool counts = k < 0 ? plane[v] != U3D_UNLABELED : plane[v] == k;
        if (counts && left-- == 0) break;
    }
    u3d_cases_release(c, i);
    if (v == area)
        return u3d_fail(U3D_E_FORMAT,
                        "the labels of case '%s' differ from when they were first read; its files have been changed",
                        c->entry[i].files.id);
    pos[0] = low;
    pos[1] = v / size[2];
    pos[2] = v % size[2];
    return U3D_OK;
}
