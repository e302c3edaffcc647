/* The checked functions around a backend's table of methods.
 *
 * Argument checks, logging and the environment variables that apply to all backends are here, so that
 * backends need not repeat them. Only the backend that made a u3d_kernel knows its inside, so this file can
 * hand out its own record, `checked`, around the kernel of the backend. u3d_backend_run then knows the op
 * description, checks every span (it must have a buffer, be aligned, and overlap another only if the op
 * allows it), and names the op when the device reports an error. */
#include "engine/plan/backend.h"

#include <string.h>

#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

enum { TEXT_CAP = 256 };

/* What callers receive as a u3d_kernel. */
typedef struct checked {
    u3d_kernel *inner;
    u3d_op_desc desc;
    uint64_t work_bytes;
    uint32_t align;
    bool sync; /* U3D_SYNC: wait after each run, so that an error names the op that failed */
} checked;

/* The bytes that an op may read or write at one span. */
typedef struct extent {
    u3d_span span;
    uint64_t bytes;
} extent;

static bool backend_traced(void)
{
    return u3d_log_on(U3D_LOG_TRACE, "backend");
}

static uint32_t backend_align(const u3d_backend *b)
{
    u3d_caps caps;
    u3d_backend_caps(b, &caps);
    return caps.align ? caps.align : 1;
}

static u3d_status backend_check_span(u3d_span s, uint32_t align, const char *what, int index)
{
    if (!s.buf) return u3d_fail(U3D_E_ARG, "%s %d: the span has no buffer", what, index);
    if (s.off % align != 0)
        return u3d_fail(U3D_E_ARG, "%s %d: offset %llu is not a multiple of the device's %u bytes", what,
                        index, (unsigned long long)s.off, align);
    return U3D_OK;
}

static u3d_status backend_check_copy(const u3d_backend *b, u3d_span s, const void *host, uint64_t bytes,
                                     const char *what)
{
    U3D_TRY(backend_check_span(s, backend_align(b), what, 0));
    if (!host && bytes > 0)
        return u3d_fail(U3D_E_ARG, "%s: %llu bytes but no host memory", what, (unsigned long long)bytes);
    return U3D_OK;
}

static u3d_op backend_op_named(const char *name, size_t len)
{
    int op = 0;
    while (op < U3D_OP_COUNT) {
        const char *known = u3d_op_info_get((u3d_op)op)->name;
        if (strlen(known) == len && strncmp(known, name, len) == 0) break;
        op++;
    }
    return (u3d_op)op;
}

/* Finds the implementation of `op` with this name. *out is the backend's own string, which outlives every
 * description that points to it. */
static u3d_status backend_impl_named(const u3d_backend *b, u3d_op op, const char *name, size_t len,
                                     const char **out)
{
    char known[TEXT_CAP] = "";
    size_t used = 0;
    const char *impl;
    for (int i = 0; (impl = u3d_backend_impl(b, op, i)) != NULL; i++) {
        if (strlen(impl) == len && strncmp(impl, name, len) == 0) {
            *out = impl;
            return U3D_OK;
        }
        if (used + strlen(impl) + 3 < sizeof known) {
            memcpy(known + used, " ", 1);
            memcpy(known + used + 1, impl, strlen(impl) + 1);
            used += strlen(impl) + 1;
        }
    }
    return u3d_fail(U3D_E_ARG, "U3D_IMPL: backend %s has no implementation '%.*s' of %s; it has:%s",
                    b->vt->name, (int)len, name, u3d_op_info_get(op)->name, known);
}

/* The implementation that U3D_IMPL (for example "conv3d=direct,conv3d_dw=plain") names for `op`; NULL if it
 * names none. */
static u3d_status backend_impl_wanted(const u3d_backend *b, u3d_op op, const char **out)
{
    *out = NULL;
    const char *item = u3d_env_get(U3D_ENV_IMPL);
    while (item && *item) {
        size_t len = strcspn(item, ",");
        const char *equals = memchr(item, '=', len);
        u3d_op named = equals ? backend_op_named(item, (size_t)(equals - item)) : U3D_OP_COUNT;
        if (named == U3D_OP_COUNT)
            return u3d_fail(U3D_E_ARG,
                            "U3D_IMPL: '%.*s' is not op=implementation, or there is no op of that name",
                            (int)len, item);
        if (named == op)
            U3D_TRY(backend_impl_named(b, op, equals + 1, len - (size_t)(equals + 1 - item), out));
        item += len;
        if (*item == ',') item++;
    }
    return U3D_OK;
}

/* Copies the description and applies U3D_IMPL. If the implementation that U3D_IMPL names refuses this
 * description (for example a Winograd kernel for a 1x1x1 convolution), the best other one is used, and the
 * log says so. */
static u3d_status backend_force(const u3d_backend *b, const u3d_op_desc *d, u3d_op_desc *forced)
{
    *forced = *d;
    if (d->impl) return U3D_OK;
    U3D_TRY(backend_impl_wanted(b, d->op, &forced->impl));
    u3d_need need;
    if (forced->impl && b->vt->query(b, forced, &need) != U3D_OK) {
        U3D_DEBUG("backend", "U3D_IMPL: %s", u3d_error_text());
        forced->impl = NULL;
    }
    return U3D_OK;
}

u3d_status u3d_backend_refuse(const char *backend, const u3d_op_desc *d, bool known, const char *reason)
{
    char text[TEXT_CAP];
    if (!known)
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "%s: %s has no implementation '%s'; `u3d devices --ops` lists them", backend,
                        u3d_op_info_get(d->op)->name, d->impl);
    return u3d_fail(U3D_E_UNSUPPORTED, "%s: cannot run %s: %s", backend,
                    u3d_op_desc_text(d, text, sizeof text), reason);
}

u3d_status u3d_backend_check_work(const char *backend, const u3d_op_desc *d, const char *impl, uint64_t needs,
                                  uint64_t got)
{
    char text[TEXT_CAP];
    if (got >= needs) return U3D_OK;
    return u3d_fail(U3D_E_NOMEM, "%s: %s with '%s' needs %llu bytes of workspace but got %llu", backend,
                    u3d_op_desc_text(d, text, sizeof text), impl, (unsigned long long)needs,
                    (unsigned long long)got);
}

void u3d_backend_close(u3d_backend *b)
{
    if (b) b->vt->close(b);
}

void u3d_backend_caps(const u3d_backend *b, u3d_caps *out)
{
    memset(out, 0, sizeof *out);
    b->vt->caps(b, out);
}

u3d_status u3d_backend_alloc(u3d_backend *b, uint64_t bytes, u3d_buffer **out)
{
    *out = NULL;
    if (bytes == 0) return u3d_fail(U3D_E_ARG, "allocate on backend %s: 0 bytes requested", b->vt->name);
    U3D_TRY(b->vt->alloc(b, bytes, out));
    if (backend_traced())
        u3d_log(U3D_LOG_TRACE, "backend", "alloc %llu bytes -> %p", (unsigned long long)bytes, (void *)*out);
    return U3D_OK;
}

void u3d_backend_release(u3d_backend *b, u3d_buffer *buf)
{
    if (!buf) return;
    if (backend_traced()) u3d_log(U3D_LOG_TRACE, "backend", "release %p", (void *)buf);
    b->vt->release(b, buf);
}

uint64_t u3d_backend_peak_bytes(const u3d_backend *b)
{
    return b->vt->peak_bytes(b);
}

u3d_status u3d_backend_upload(u3d_backend *b, u3d_span dst, const void *src, uint64_t bytes)
{
    U3D_TRY(backend_check_copy(b, dst, src, bytes, "upload"));
    if (backend_traced())
        u3d_log(U3D_LOG_TRACE, "backend", "upload %llu bytes to %p + %llu", (unsigned long long)bytes,
                (void *)dst.buf, (unsigned long long)dst.off);
    return bytes ? b->vt->upload(b, dst, src, bytes) : U3D_OK;
}

u3d_status u3d_backend_download(u3d_backend *b, void *dst, u3d_span src, uint64_t bytes)
{
    U3D_TRY(backend_check_copy(b, src, dst, bytes, "download"));
    if (backend_traced())
        u3d_log(U3D_LOG_TRACE, "backend", "download %llu bytes from %p + %llu", (unsigned long long)bytes,
                (void *)src.buf, (unsigned long long)src.off);
    return bytes ? b->vt->download(b, dst, src, bytes) : U3D_OK;
}

u3d_status u3d_backend_zero(u3d_backend *b, u3d_span dst, uint64_t bytes)
{
    U3D_TRY(backend_check_span(dst, backend_align(b), "zero", 0));
    if (backend_traced())
        u3d_log(U3D_LOG_TRACE, "backend", "zero %llu bytes at %p + %llu", (unsigned long long)bytes,
                (void *)dst.buf, (unsigned long long)dst.off);
    return bytes ? b->vt->zero(b, dst, bytes) : U3D_OK;
}

static void backend_check_post(int slot, uint32_t bytes)
{
    U3D_ASSERT(slot >= 0 && slot < U3D_POST_SLOTS && bytes <= U3D_POST_BYTES, "slot %d, %u bytes", slot,
               bytes);
}

u3d_status u3d_backend_post(u3d_backend *b, u3d_span src, uint32_t bytes, int slot)
{
    backend_check_post(slot, bytes);
    U3D_TRY(backend_check_span(src, backend_align(b), "post", slot));
    return b->vt->post(b, src, bytes, slot);
}

u3d_status u3d_backend_collect(u3d_backend *b, int slot, void *dst, uint32_t bytes)
{
    backend_check_post(slot, bytes);
    return b->vt->collect(b, slot, dst, bytes);
}

const char *u3d_backend_impl(const u3d_backend *b, u3d_op op, int i)
{
    return b->vt->impl(b, op, i);
}

u3d_status u3d_backend_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out)
{
    memset(out, 0, sizeof *out);
    u3d_op_desc forced;
    U3D_TRY(backend_force(b, d, &forced));
    U3D_TRY(b->vt->query(b, &forced, out));
    U3D_ASSERT(out->work_min <= out->work_best, "%s: work_min %llu > work_best %llu", out->impl,
               (unsigned long long)out->work_min, (unsigned long long)out->work_best);
    return U3D_OK;
}

u3d_status u3d_backend_prepare(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out)
{
    *out = NULL;
    const char *sync = u3d_env_get(U3D_ENV_SYNC);
    checked *k = u3d_new(1, sizeof *k);
    if (!k) return U3D_E_NOMEM;
    k->work_bytes = work_bytes;
    k->align = backend_align(b);
    k->sync = sync && strcmp(sync, "0") != 0;

    u3d_status status;
    U3D_GO(backend_force(b, d, &k->desc));
    U3D_GO(b->vt->prepare(b, &k->desc, work_bytes, &k->inner));
    if (backend_traced()) {
        char text[TEXT_CAP];
        u3d_log(U3D_LOG_TRACE, "backend", "prepare %s, %llu bytes of work -> %p",
                u3d_op_desc_text(d, text, sizeof text), (unsigned long long)work_bytes, (void *)k);
    }
    *out = (u3d_kernel *)k;
    k = NULL;

done:
    u3d_free(k);
    return status;
}

void u3d_backend_discard(u3d_backend *b, u3d_kernel *kernel)
{
    checked *k = (checked *)kernel;
    if (!k) return;
    b->vt->discard(b, k->inner);
    u3d_free(k);
}

static bool backend_overlap(extent a, extent b)
{
    return a.span.buf == b.span.buf && a.span.off < b.span.off + b.bytes && b.span.off < a.span.off + a.bytes;
}

/* Checks that nothing that is written overlaps anything else. The exception is out[0] at exactly the place of
 * in[0], if the op allows this. `e` holds the n_in inputs, then the outputs and the workspace, which are
 * written. */
static u3d_status backend_check_overlap(const checked *k, const extent *e, int n_in, int n)
{
    bool in_place = u3d_op_info_get(k->desc.op)->in_place;
    for (int w = n_in; w < n; w++)
        for (int other = 0; other < w; other++) {
            bool allowed = in_place && w == n_in && other == 0 && e[w].span.off == e[0].span.off;
            if (!allowed && backend_overlap(e[w], e[other]))
                return u3d_fail(U3D_E_ARG,
                                "%s: operand %d overlaps operand %d (counting inputs, outputs, workspace)",
                                u3d_op_info_get(k->desc.op)->name, w, other);
        }
    return U3D_OK;
}

static u3d_status backend_check_run(const checked *k, const u3d_span *in, const u3d_span *out, u3d_span work)
{
    extent e[U3D_MAX_IN + U3D_MAX_OUT + 1];
    int n = 0;
    for (int i = 0; i < k->desc.n_in; i++) {
        U3D_TRY(backend_check_span(in[i], k->align, "input", i));
        e[n++] = (extent){in[i], u3d_type_bytes(&k->desc.in[i])};
    }
    for (int i = 0; i < k->desc.n_out; i++) {
        U3D_TRY(backend_check_span(out[i], k->align, "output", i));
        e[n++] = (extent){out[i], u3d_type_bytes(&k->desc.out[i])};
    }
    if (k->work_bytes > 0) {
        U3D_TRY(backend_check_span(work, k->align, "workspace", 0));
        e[n++] = (extent){work, k->work_bytes};
    }
    return backend_check_overlap(k, e, k->desc.n_in, n);
}

u3d_status u3d_backend_run(u3d_backend *b, u3d_kernel *kernel, const u3d_span *in, const u3d_span *out,
                           u3d_span work)
{
    const checked *k = (const checked *)kernel;
    const char *op = u3d_op_info_get(k->desc.op)->name;
    u3d_status status = backend_check_run(k, in, out, work);
    if (status != U3D_OK) return u3d_wrap(status, "run %s on backend %s", op, b->vt->name);
    if (backend_traced()) {
        char text[TEXT_CAP];
        u3d_log(U3D_LOG_TRACE, "backend", "run %s", u3d_op_desc_text(&k->desc, text, sizeof text));
    }
    status = b->vt->run(b, k->inner, in, out, work);
    if (status == U3D_OK && k->sync) status = b->vt->sync(b);
    return status == U3D_OK ? U3D_OK : u3d_wrap(status, "run %s on backend %s", op, b->vt->name);
}

u3d_status u3d_backend_sync(u3d_backend *b)
{
    return b->vt->sync(b);
}

u3d_status u3d_backend_peak(u3d_backend *b, double *gflops, double *gbytes_s)
{
    *gflops = *gbytes_s = 0;
    return b->vt->peak(b, gflops, gbytes_s);
}

u3d_status u3d_backend_tune(u3d_backend *b, double seconds, u3d_tune_say *say, void *user)
{
    if (!b->vt->tune)
        return u3d_fail(U3D_E_UNSUPPORTED,
                        "tune: backend %s has nothing to tune; its kernels adapt to the machine",
                        b->vt->name);
    return b->vt->tune(b, seconds, say, user);
}
