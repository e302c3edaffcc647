/* An OpenCL device as a backend: its memory, its queues, and how a description becomes a job.
 *
 * One in-order queue computes, so that calls take effect in the order in which they were made; transfers have
 * a queue of their own (cl_transfer.c). Only alloc, release, download, collect, sync and close wait for the
 * device; an upload waits only if its staging slot is still in use. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "backends/opencl/cl_device.h"
#include "backends/opencl/cl_peak.h"
#include "backends/opencl/cl_transfer.h"
#include "backends/opencl/cl_tune.h"
#include "backends/opencl/cl_tuned.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

extern const u3d_backend_vt u3d_backend_opencl; /* defined at the end of this file */

typedef struct cl_backend {
    u3d_backend base;
    cl_host host;
    cl_transfers *transfers;
} cl_backend;

static cl_backend *self(u3d_backend *b)
{
    return (cl_backend *)b;
}

static const cl_device *device_of(const u3d_backend *b)
{
    return &((const cl_backend *)b)->host.dev;
}

/* ---- the device ---- */

static u3d_status cl_device_list(u3d_caps *out, int cap, int *n)
{
    cl_device all[CL_MAX_DEVICES];
    U3D_TRY(cl_devices(all, cap < CL_MAX_DEVICES ? cap : CL_MAX_DEVICES, n));
    for (int i = 0; i < *n; i++) cl_device_caps(&all[i], &out[i]);
    return U3D_OK;
}

static void cl_close(u3d_backend *base)
{
    cl_backend *b = self(base);
    if (b->host.compute) (void)cl.Finish(b->host.compute);
    cl_transfers_free(b->transfers);
    /* Otherwise CLBlast would keep the programs of this context until the process ends, when the driver may
     * already be gone. */
    if (b->host.context && clblast.ClearCache) (void)clblast.ClearCache();
    cl_programs_free(b->host.programs);
    if (b->host.compute) cl.ReleaseCommandQueue(b->host.compute);
    if (b->host.context) cl.ReleaseContext(b->host.context);
    u3d_free(b);
}

static u3d_status open_host(cl_host *h)
{
    cl_int code;
    h->context = cl.CreateContext(NULL, 1, &h->dev.id, NULL, NULL, &code);
    if (code == CL_SUCCESS) h->compute = cl.CreateCommandQueue(h->context, h->dev.id, 0, &code);
    if (code != CL_SUCCESS) return cl_fail(code, "open %s", h->dev.name);
    h->dev.queue = h->compute;
    cl_tuned_apply(&h->dev);
    return cl_programs_new(h->context, &h->dev, &h->programs);
}

static u3d_status cl_open(const u3d_backend_opts *o, u3d_backend **out)
{
    *out = NULL;
    u3d_status status;
    cl_backend *b = u3d_new(1, sizeof *b);
    if (!b) return U3D_E_NOMEM;
    b->base.vt = &u3d_backend_opencl;
    U3D_GO(cl_device_pick(o ? o->device : NULL, &b->host.dev));
    U3D_GO(open_host(&b->host));
    U3D_GO(cl_transfers_new(&b->host, &b->transfers));
    *out = &b->base;
    return U3D_OK;
done:
    cl_close(&b->base);
    return u3d_wrap(status, "open backend 'opencl' (or use --backend=cpu)");
}

static void cl_caps(const u3d_backend *b, u3d_caps *out)
{
    cl_device_caps(device_of(b), out);
    out->staging_bytes = CL_STAGING_BYTES;
}

/* ---- memory ---- */

/* Drivers promise memory and look for it only at its first use. Using it at once makes the failure appear
 * here, where it can be reported as a lack of memory. */
static cl_int commit(const cl_host *h, cl_mem mem, uint64_t bytes)
{
    const cl_uchar zero = 0;
    cl_int code = cl.EnqueueFillBuffer(h->compute, mem, &zero, sizeof zero, bytes - 1, 1, 0, NULL, NULL);
    return code == CL_SUCCESS ? cl.Finish(h->compute) : code;
}

static u3d_status cl_alloc(u3d_backend *base, uint64_t bytes, u3d_buffer **out)
{
    *out = NULL;
    cl_host *h = &self(base)->host;
    if (bytes > h->dev.max_alloc_bytes)
        return u3d_fail(U3D_E_NOMEM, "allocate %.3f GB on %s: its largest buffer is %.3f GB",
                        (double)bytes * 1e-9, h->dev.name, (double)h->dev.max_alloc_bytes * 1e-9);
    u3d_buffer *buf = u3d_new(1, sizeof *buf);
    if (!buf) return U3D_E_NOMEM;
    cl_int code;
    buf->bytes = bytes;
    buf->mem = cl.CreateBuffer(h->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code == CL_SUCCESS) code = commit(h, buf->mem, bytes);
    if (code == CL_SUCCESS) {
        cl_host_count(h, bytes, 0);
        *out = buf;
        return U3D_OK;
    }
    if (buf->mem) cl.ReleaseMemObject(buf->mem);
    u3d_free(buf);
    if (code == CL_OUT_OF_RESOURCES) code = CL_MEM_OBJECT_ALLOCATION_FAILURE; /* NVIDIA's code for that */
    return cl_fail(code, "allocate %.3f GB on %s", (double)bytes * 1e-9, h->dev.name);
}

static void cl_release(u3d_backend *base, u3d_buffer *buf)
{
    cl_host *h = &self(base)->host;
    (void)cl.Finish(h->compute); /* enqueued work may still use the buffer */
    cl_host_count(h, 0, buf->bytes);
    cl.ReleaseMemObject(buf->mem);
    u3d_free(buf);
}

static uint64_t cl_peak_bytes(const u3d_backend *b)
{
    return ((const cl_backend *)b)->host.peak_bytes;
}

static u3d_status cl_to_device(u3d_backend *b, u3d_span dst, const void *src, uint64_t bytes)
{
    return cl_upload(self(b)->transfers, dst, src, bytes);
}

static u3d_status cl_to_host(u3d_backend *b, void *dst, u3d_span src, uint64_t bytes)
{
    return cl_download(self(b)->transfers, dst, src, bytes);
}

static u3d_status cl_zero(u3d_backend *base, u3d_span dst, uint64_t bytes)
{
    const cl_uint zero = 0;
    const cl_host *h = &self(base)->host;
    size_t pattern = bytes % sizeof zero == 0 ? sizeof zero : 1;
    cl_int code =
        cl.EnqueueFillBuffer(h->compute, dst.buf->mem, &zero, pattern, dst.off, bytes, 0, NULL, NULL);
    return code == CL_SUCCESS
               ? U3D_OK
               : cl_fail(code, "clear %llu bytes on %s", (unsigned long long)bytes, h->dev.name);
}

static u3d_status cl_post_scalar(u3d_backend *b, u3d_span src, uint32_t bytes, int slot)
{
    return cl_post(self(b)->transfers, src, bytes, slot);
}

static u3d_status cl_collect_scalar(u3d_backend *b, int slot, void *dst, uint32_t bytes)
{
    return cl_collect(self(b)->transfers, slot, dst, bytes);
}

/* ---- work ---- */

static const char *cl_impl_name(const u3d_backend *b, u3d_op op, int i)
{
    (void)b;
    for (int at = 0; cl_list[op][at]; at++)
        if (at == i) return cl_list[op][at]->name;
    return NULL;
}

/* Whether all arrays are small enough: kernels count the elements of an array with an int. */
static bool is_countable(const u3d_op_desc *d)
{
    for (int i = 0; i < d->n_in; i++)
        if (u3d_type_elems(&d->in[i]) > INT_MAX) return false;
    for (int i = 0; i < d->n_out; i++)
        if (u3d_type_elems(&d->out[i]) > INT_MAX) return false;
    return true;
}

/* The first entry that accepts `d`, or the one that d->impl names. */
static u3d_status pick_entry(const cl_device *dev, const u3d_op_desc *d, const cl_entry **out)
{
    const char *reason = "no implementation";
    bool named = false;
    if (!is_countable(d)) return u3d_backend_refuse("opencl", d, true, "an array has 2^31 elements or more");
    for (const cl_entry *const *e = cl_list[d->op]; *e; e++) {
        if (d->impl && strcmp(d->impl, (*e)->name) != 0) continue;
        named = true;
        const char *refusal = (*e)->refuses ? (*e)->refuses(dev, d) : NULL;
        if (!refusal) {
            *out = *e;
            return U3D_OK;
        }
        reason = refusal;
    }
    return u3d_backend_refuse("opencl", d, !d->impl || named, reason);
}

static void ask_work(const cl_device *dev, const cl_entry *e, const u3d_op_desc *d, uint64_t *min,
                     uint64_t *best)
{
    *min = *best = 0;
    if (e->work) e->work(dev, d, min, best);
}

static u3d_status cl_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out)
{
    const cl_entry *e;
    *out = (u3d_need){0};
    U3D_TRY(pick_entry(device_of(b), d, &e));
    (void)snprintf(out->impl, sizeof out->impl, "%s", e->name);
    ask_work(device_of(b), e, d, &out->work_min, &out->work_best);
    return U3D_OK;
}

static u3d_status cl_prepare(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out)
{
    *out = NULL;
    const cl_entry *e;
    uint64_t min, best;
    U3D_TRY(pick_entry(device_of(b), d, &e));
    ask_work(device_of(b), e, d, &min, &best);
    U3D_TRY(u3d_backend_check_work("opencl", d, e->name, min, work_bytes));
    return cl_kernel_new(&self(b)->host, e, d, work_bytes < best ? work_bytes : best, out);
}

static void cl_discard(u3d_backend *b, u3d_kernel *k)
{
    (void)b;
    cl_kernel_free(k);
}

static u3d_status cl_run(u3d_backend *b, u3d_kernel *k, const u3d_span *in, const u3d_span *out,
                         u3d_span work)
{
    return cl_kernel_run(&self(b)->host, k, in, out, work);
}

static u3d_status cl_sync(u3d_backend *b)
{
    cl_int code = cl.Finish(self(b)->host.compute);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "wait for %s", device_of(b)->name);
}

static u3d_status cl_peak(u3d_backend *b, double *gflops, double *gbytes_s)
{
    return cl_peak_measure(&self(b)->host, gflops, gbytes_s);
}

static u3d_status cl_tune_device(u3d_backend *b, double seconds, u3d_tune_say *say, void *user)
{
    return cl_tune(&self(b)->host, seconds, say, user);
}

const u3d_backend_vt u3d_backend_opencl = {
    .api = U3D_BACKEND_API,
    .name = "opencl",
    .about = "GPUs of any vendor; matrix products by CLBlast",
    .list = cl_device_list,
    .open = cl_open,
    .close = cl_close,
    .caps = cl_caps,
    .alloc = cl_alloc,
    .release = cl_release,
    .peak_bytes = cl_peak_bytes,
    .upload = cl_to_device,
    .download = cl_to_host,
    .zero = cl_zero,
    .post = cl_post_scalar,
    .collect = cl_collect_scalar,
    .impl = cl_impl_name,
    .query = cl_query,
    .prepare = cl_prepare,
    .discard = cl_discard,
    .run = cl_run,
    .sync = cl_sync,
    .peak = cl_peak,
    .tune = cl_tune_device,
};
