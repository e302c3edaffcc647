/* Bytes move in four ways: large uploads go through a staging buffer on the device, small uploads go directly
 * to their destination, downloads wait for their bytes, and posts are waited for only when they are
 * collected.
 *
 * A staging slot grows to the largest piece that passes through it. That happens in the first iterations of a
 * training; after them uploads allocate nothing. */
#include "backends/opencl/cl_transfer.h"

#include <string.h>

#include "engine/base/mem.h"

enum {
    N_STAGES = 2, /* one is under way while the other is filled */
    N_NOTES = 16, /* small uploads                               */
    NOTE_BYTES = 16 << 10,
    PIECE_BYTES = CL_STAGING_BYTES / N_STAGES /* longer transfers are cut into such pieces */
};

typedef struct pinned { /* host memory that the device reads and writes by itself */
    cl_mem mem;
    char *host;
    uint64_t bytes;
    cl_event done; /* the end of its last use; NULL: not in use */
} pinned;

typedef struct stage {
    pinned pin;
    cl_mem mem; /* on the device */
} stage;

struct cl_transfers {
    cl_host *host;
    cl_command_queue queue;
    stage stages[N_STAGES];
    pinned notes[N_NOTES], posts[U3D_POST_SLOTS], downloads;
    int next_stage, next_note;
};

/* ---- pinned memory ---- */

static u3d_status pinned_open(const cl_transfers *t, pinned *p, uint64_t bytes)
{
    cl_int code;
    p->mem = cl.CreateBuffer(t->host->context, CL_MEM_ALLOC_HOST_PTR, bytes, NULL, &code);
    if (code == CL_SUCCESS)
        p->host = cl.EnqueueMapBuffer(t->queue, p->mem, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0,
                                      NULL, NULL, &code);
    if (code != CL_SUCCESS)
        return cl_fail(code, "opencl: allocate %.3f MB of memory for transfers", (double)bytes * 1e-6);
    p->bytes = bytes;
    return U3D_OK;
}

/* Waits for the end of its last use. */
static u3d_status pinned_wait(pinned *p)
{
    if (!p->done) return U3D_OK;
    cl_int code = cl.WaitForEvents(1, &p->done);
    cl.ReleaseEvent(p->done);
    p->done = NULL;
    return code == CL_SUCCESS ? U3D_OK
                              : cl_fail(code, "opencl: a transfer, or work enqueued before it, failed");
}

static void pinned_close(const cl_transfers *t, pinned *p)
{
    if (p->done) (void)pinned_wait(p);
    if (p->host) (void)cl.EnqueueUnmapMemObject(t->queue, p->mem, p->host, 0, NULL, NULL);
    if (p->mem) cl.ReleaseMemObject(p->mem);
    *p = (pinned){0};
}

static u3d_status pinned_reserve(const cl_transfers *t, pinned *p, uint64_t bytes)
{
    U3D_TRY(pinned_wait(p));
    if (p->bytes >= bytes) return U3D_OK;
    pinned_close(t, p);
    return pinned_open(t, p, bytes);
}

static u3d_status stage_reserve(const cl_transfers *t, stage *s, uint64_t bytes)
{
    cl_int code;
    uint64_t before = s->pin.bytes;
    U3D_TRY(pinned_reserve(t, &s->pin, bytes));
    if (s->pin.bytes == before && s->mem) return U3D_OK;
    if (s->mem) {
        cl_host_count(t->host, 0, before);
        cl.ReleaseMemObject(s->mem);
        s->mem = NULL;
    }
    s->mem = cl.CreateBuffer(t->host->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code != CL_SUCCESS)
        return cl_fail(code, "opencl: allocate %.3f MB of staging memory", (double)bytes * 1e-6);
    cl_host_count(t->host, bytes, 0);
    return U3D_OK;
}

u3d_status cl_transfers_new(cl_host *h, cl_transfers **out)
{
    u3d_status status = U3D_OK;
    cl_int code;
    *out = NULL;
    cl_transfers *t = u3d_new(1, sizeof *t);
    if (!t) return U3D_E_NOMEM;
    t->host = h;
    t->queue = cl.CreateCommandQueue(h->context, h->dev.id, 0, &code);
    if (code != CL_SUCCESS) U3D_GO(cl_fail(code, "opencl: create a queue for transfers on %s", h->dev.name));
    for (int i = 0; i < N_NOTES; i++) U3D_GO(pinned_open(t, &t->notes[i], NOTE_BYTES));
    for (int i = 0; i < U3D_POST_SLOTS; i++) U3D_GO(pinned_open(t, &t->posts[i], U3D_POST_BYTES));
    *out = t;
    t = NULL;
done:
    cl_transfers_free(t);
    return status;
}

void cl_transfers_free(cl_transfers *t)
{
    if (!t) return;
    for (int i = 0; i < N_STAGES; i++) {
        pinned_close(t, &t->stages[i].pin);
        if (t->stages[i].mem) cl.ReleaseMemObject(t->stages[i].mem);
    }
    for (int i = 0; i < N_NOTES; i++) pinned_close(t, &t->notes[i]);
    for (int i = 0; i < U3D_POST_SLOTS; i++) pinned_close(t, &t->posts[i]);
    pinned_close(t, &t->downloads);
    if (t->queue) {
        (void)cl.Finish(t->queue);
        cl.ReleaseCommandQueue(t->queue);
    }
    u3d_free(t);
}

/* ---- uploads ---- */

static u3d_status upload_note(cl_transfers *t, u3d_span dst, const void *src, uint64_t bytes)
{
    pinned *p = &t->notes[t->next_note];
    t->next_note = (t->next_note + 1) % N_NOTES;
    U3D_TRY(pinned_wait(p));
    memcpy(p->host, src, bytes);
    cl_int code = cl.EnqueueWriteBuffer(t->host->compute, dst.buf->mem, CL_FALSE, dst.off, bytes, p->host, 0,
                                        NULL, &p->done);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "upload %llu bytes", (unsigned long long)bytes);
}

static u3d_status upload_piece(cl_transfers *t, u3d_span dst, const void *src, uint64_t bytes)
{
    cl_event arrived = NULL;
    stage *s = &t->stages[t->next_stage];
    t->next_stage = (t->next_stage + 1) % N_STAGES;
    U3D_TRY(stage_reserve(t, s, bytes));
    memcpy(s->pin.host, src, bytes);
    cl_int code = cl.EnqueueWriteBuffer(t->queue, s->mem, CL_FALSE, 0, bytes, s->pin.host, 0, NULL, &arrived);
    if (code == CL_SUCCESS) code = cl.Flush(t->queue);
    if (code == CL_SUCCESS)
        code = cl.EnqueueCopyBuffer(t->host->compute, s->mem, dst.buf->mem, 0, dst.off, bytes, 1, &arrived,
                                    &s->pin.done);
    if (arrived) cl.ReleaseEvent(arrived);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "upload %llu bytes", (unsigned long long)bytes);
}

u3d_status cl_upload(cl_transfers *t, u3d_span dst, const void *src, uint64_t bytes)
{
    if (bytes <= NOTE_BYTES) return upload_note(t, dst, src, bytes);
    for (uint64_t at = 0; at < bytes; at += PIECE_BYTES) {
        uint64_t piece = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        U3D_TRY(upload_piece(t, (u3d_span){dst.buf, dst.off + at}, (const char *)src + at, piece));
    }
    return U3D_OK;
}

/* ---- downloads ---- */

u3d_status cl_download(cl_transfers *t, void *dst, u3d_span src, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += PIECE_BYTES) {
        uint64_t piece = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        U3D_TRY(pinned_reserve(t, &t->downloads, piece));
        cl_int code = cl.EnqueueReadBuffer(t->host->compute, src.buf->mem, CL_TRUE, src.off + at, piece,
                                           t->downloads.host, 0, NULL, NULL);
        if (code != CL_SUCCESS) return cl_fail(code, "download %llu bytes", (unsigned long long)bytes);
        memcpy((char *)dst + at, t->downloads.host, piece);
    }
    return U3D_OK;
}

/* ---- posts ---- */

u3d_status cl_post(cl_transfers *t, u3d_span src, uint32_t bytes, int slot)
{
    pinned *p = &t->posts[slot];
    U3D_TRY(pinned_wait(p));
    cl_int code = cl.EnqueueReadBuffer(t->host->compute, src.buf->mem, CL_FALSE, src.off, bytes, p->host, 0,
                                       NULL, &p->done);
    if (code == CL_SUCCESS) code = cl.Flush(t->host->compute);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "post %u bytes", bytes);
}

u3d_status cl_collect(cl_transfers *t, int slot, void *dst, uint32_t bytes)
{
    U3D_TRY(pinned_wait(&t->posts[slot]));
    memcpy(dst, t->posts[slot].host, bytes);
    return U3D_OK;
}
