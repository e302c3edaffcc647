/* Station 5 of training; before: samples from sample.c; after: batches in order.
 *
 * Batch k lives in slot k % depth. Workers claim batch numbers in order and fill the slots at the same time:
 *
 *   FREE --claim--> FILLING --done--> READY --next--> LENT --return--> FREE
 *
 * One lock guards the states; slots are filled without holding it. A worker that fails leaves its status and
 * message in the slot, where the reader of that batch finds them. So failures also come in order and do not
 * depend on timing. */
#include "net/sample/feeder.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "net/sample/sample.h"

enum { FEEDER_TEXT_CAP = 1024 };

typedef enum feeder_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_LENT } feeder_state;

typedef struct feeder_slot {
    u3d_patch patch;
    feeder_state state;
    u3d_status status;
    char text[FEEDER_TEXT_CAP];
} feeder_slot;

typedef struct feeder_worker {
    u3d_feeder *feeder;
    pthread_t thread;
    u3d_sampler *sampler;
} feeder_worker;

struct u3d_feeder {
    u3d_cases *cases;
    u3d_feeder_opts o;
    int32_t channels;
    feeder_slot *slot;
    feeder_worker *worker;
    int n_started;
    pthread_mutex_t lock;
    pthread_cond_t change;
    int64_t claim, deliver; /* numbers of the next batch to fill and of the next one to lend */
    bool stop;
    double waited; /* seconds, without the first batch, which could not be prepared ahead */
};

static int64_t feeder_voxels(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

uint64_t u3d_feeder_bytes(const u3d_feeder_opts *o, int32_t channels)
{
    uint64_t sample = (uint64_t)feeder_voxels(o->patch.in) * (uint64_t)channels * sizeof(float) +
                      (uint64_t)feeder_voxels(o->patch.out) * (o->patch.pseudo ? 2 : 1);
    return (uint64_t)o->depth * (uint64_t)o->batch * sample +
           (uint64_t)o->workers * u3d_sampler_bytes(&o->patch, &o->augment, channels);
}

static void feeder_fill(u3d_feeder *f, feeder_slot *slot, int64_t k, u3d_sampler *sampler)
{
    int64_t image = feeder_voxels(f->o.patch.in) * f->channels, label = feeder_voxels(f->o.patch.out);
    u3d_patch *p = &slot->patch;
    p->index = k;
    slot->status = U3D_OK;
    for (int64_t n = 0; n < f->o.batch && slot->status == U3D_OK; n++)
        slot->status =
            u3d_sampler_fill(sampler, f->cases, f->o.seed, k * f->o.batch + n,
                             u3d_tensor_f32(p->image) + n * image, u3d_tensor_u8(p->label) + n * label,
                             p->pseudo ? u3d_tensor_u8(p->pseudo) + n * label : NULL, NULL, NULL);
    if (slot->status != U3D_OK) (void)snprintf(slot->text, sizeof slot->text, "%s", u3d_error_text());
}

static void *feeder_work(void *arg)
{
    feeder_worker *w = arg;
    u3d_feeder *f = w->feeder;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        feeder_slot *slot = &f->slot[f->claim % f->o.depth];
        if (slot->state != SLOT_FREE) {
            pthread_cond_wait(&f->change, &f->lock);
            continue;
        }
        int64_t k = f->claim++;
        slot->state = SLOT_FILLING;
        pthread_mutex_unlock(&f->lock);
        feeder_fill(f, slot, k, w->sampler);
        pthread_mutex_lock(&f->lock);
        slot->state = SLOT_READY;
        pthread_cond_broadcast(&f->change);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static u3d_status feeder_new_slots(u3d_feeder *f)
{
    const int64_t *in = f->o.patch.in, *out = f->o.patch.out;
    u3d_type image = u3d_type_map(f->o.batch, in, f->channels);
    u3d_type label = u3d_type_of(U3D_U8, 4, (const int64_t[]){f->o.batch, out[0], out[1], out[2]});
    for (int i = 0; i < f->o.depth; i++) {
        U3D_TRY(u3d_tensor_new("image", image, &f->slot[i].patch.image));
        U3D_TRY(u3d_tensor_new("label", label, &f->slot[i].patch.label));
        if (f->o.patch.pseudo) U3D_TRY(u3d_tensor_new("pseudo", label, &f->slot[i].patch.pseudo));
    }
    return U3D_OK;
}

static u3d_status feeder_start_worker(u3d_feeder *f, feeder_worker *w)
{
    w->feeder = f;
    U3D_TRY(u3d_sampler_new(&f->o.patch, &f->o.augment, f->channels, &w->sampler));
    int code = pthread_create(&w->thread, NULL, feeder_work, w);
    if (code != 0)
        return u3d_fail(U3D_E_NOMEM, "starting a thread that prepares patches: %s", strerror(code));
    f->n_started++;
    return U3D_OK;
}

static u3d_status feeder_check(const u3d_cases *c, const u3d_feeder_opts *o)
{
    int64_t labelled = 0;
    U3D_ASSERT(o->workers >= 1 && o->depth > o->workers && o->batch >= 1, "%d workers, depth %d, batch %lld",
               o->workers, o->depth, (long long)o->batch);
    for (int a = 0; a < 3; a++)
        U3D_ASSERT(o->patch.out[a] >= 1 && o->patch.in[a] >= o->patch.out[a], "axis %d: %lld -> %lld", a,
                   (long long)o->patch.in[a], (long long)o->patch.out[a]);
    for (int i = 0; i < u3d_cases_count(c); i++) labelled += u3d_cases_voxels(c, i, -1);
    if (labelled > 0) return U3D_OK;
    return u3d_fail(U3D_E_ARG, "none of the %d training cases has a labelled voxel", u3d_cases_count(c));
}

u3d_status u3d_feeder_open(u3d_cases *c, const u3d_feeder_opts *o, u3d_feeder **out)
{
    *out = NULL;
    U3D_TRY(feeder_check(c, o));
    u3d_feeder *f = u3d_new(1, sizeof *f);
    if (!f) return U3D_E_NOMEM;
    f->cases = c;
    f->o = *o;
    f->channels = u3d_cases_facts(c)->channels;
    f->claim = f->deliver = o->first;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->change, NULL);
    f->slot = u3d_new((size_t)o->depth, sizeof *f->slot);
    f->worker = u3d_new((size_t)o->workers, sizeof *f->worker);
    u3d_status status = f->slot && f->worker ? feeder_new_slots(f) : U3D_E_NOMEM;
    for (int i = 0; i < o->workers && status == U3D_OK; i++) status = feeder_start_worker(f, &f->worker[i]);
    if (status == U3D_OK)
        *out = f;
    else
        u3d_feeder_close(f);
    return status;
}

void u3d_feeder_close(u3d_feeder *f)
{
    if (!f) return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->change);
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < f->n_started; i++) pthread_join(f->worker[i].thread, NULL);
    for (int i = 0; f->worker && i < f->o.workers; i++) u3d_sampler_free(f->worker[i].sampler);
    for (int i = 0; f->slot && i < f->o.depth; i++) {
        u3d_tensor_free(f->slot[i].patch.image);
        u3d_tensor_free(f->slot[i].patch.label);
        u3d_tensor_free(f->slot[i].patch.pseudo);
    }
    u3d_free(f->slot);
    u3d_free(f->worker);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->change);
    u3d_free(f);
}

u3d_status u3d_feeder_next(u3d_feeder *f, u3d_patch **out)
{
    *out = NULL;
    pthread_mutex_lock(&f->lock);
    feeder_slot *slot = &f->slot[f->deliver % f->o.depth];
    U3D_ASSERT(slot->state != SLOT_LENT, "all %d batches are lent: return one before asking for batch %lld",
               f->o.depth, (long long)f->deliver);
    const double begin = slot->state == SLOT_READY ? 0.0 : u3d_clock();
    while (slot->state != SLOT_READY) pthread_cond_wait(&f->change, &f->lock);
    if (begin > 0.0 && f->deliver > f->o.first) f->waited += u3d_clock() - begin;
    /* A failed batch is never skipped: the next call returns the same failure. */
    u3d_status status = slot->status;
    if (status == U3D_OK) {
        slot->state = SLOT_LENT;
        f->deliver++;
        *out = &slot->patch;
    }
    pthread_mutex_unlock(&f->lock);
    return status == U3D_OK ? U3D_OK : u3d_fail(status, "%s", slot->text);
}

double u3d_feeder_waited(const u3d_feeder *f)
{
    return f->waited;
}

void u3d_feeder_return(u3d_feeder *f, u3d_patch *p)
{
    feeder_slot *slot = &f->slot[p->index % f->o.depth];
    U3D_ASSERT(&slot->patch == p, "batch %lld is not this feeder's", (long long)p->index);
    pthread_mutex_lock(&f->lock);
    U3D_ASSERT(slot->state == SLOT_LENT, "batch %lld is not lent", (long long)p->index);
    slot->state = SLOT_FREE;
    pthread_cond_broadcast(&f->change);
    pthread_mutex_unlock(&f->lock);
}
