/* A crew of threads that share one counter, from which each thread takes the number of its next item, and one
 * record of the failure with the lowest item number. The lock covers both. */
#include "engine/base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

enum { THREAD_TEXT = 4096 };

typedef struct crew {
    pthread_mutex_t lock;
    int64_t next, n, failed_item;
    u3d_thread_work work;
    void *context;
    u3d_status status;
    char text[THREAD_TEXT]; /* message of the failed item, copied because messages are per thread */
} crew;

typedef struct member {
    crew *crew;
    int worker;
    pthread_t thread;
} member;

/* The number of the next item; -1 if no item is left or an item has failed. */
static int64_t crew_take(crew *c)
{
    pthread_mutex_lock(&c->lock);
    const int64_t item = c->status == U3D_OK && c->next < c->n ? c->next++ : -1;
    pthread_mutex_unlock(&c->lock);
    return item;
}

static void crew_fail(crew *c, int64_t item, u3d_status status)
{
    pthread_mutex_lock(&c->lock);
    if (c->status == U3D_OK || item < c->failed_item) {
        c->status = status;
        c->failed_item = item;
        (void)snprintf(c->text, sizeof c->text, "%s", u3d_error_text());
    }
    pthread_mutex_unlock(&c->lock);
}

static void *member_run(void *argument)
{
    const member *m = argument;
    for (int64_t item = crew_take(m->crew); item >= 0; item = crew_take(m->crew)) {
        const u3d_status status = m->crew->work(m->crew->context, m->worker, item);
        if (status != U3D_OK) crew_fail(m->crew, item, status);
    }
    return NULL;
}

u3d_status u3d_thread_each(int threads, int64_t n, u3d_thread_work work, void *context)
{
    crew c = {.n = n, .work = work, .context = context, .status = U3D_OK};
    member members[U3D_THREAD_MAX];
    int started = 1; /* the caller is member 0 */
    if (threads > n) threads = (int)n;
    if (threads > U3D_THREAD_MAX) threads = U3D_THREAD_MAX;
    pthread_mutex_init(&c.lock, NULL);
    members[0] = (member){.crew = &c};
    while (started < threads) {
        members[started] = (member){.crew = &c, .worker = started};
        if (pthread_create(&members[started].thread, NULL, member_run, &members[started]) != 0) break;
        started++;
    }
    member_run(&members[0]);
    for (int i = 1; i < started; i++) pthread_join(members[i].thread, NULL);
    pthread_mutex_destroy(&c.lock);
    return c.status == U3D_OK ? U3D_OK : u3d_fail(c.status, "%s", c.text);
}

int u3d_thread_count(void)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) return CPU_COUNT(&mask) > 0 ? CPU_COUNT(&mask) : 1;
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}
