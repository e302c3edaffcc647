/* The interface between engine and devices: what a backend must offer, one op at a time.
 *
 * An op is first queried, then prepared, then run. Once it is prepared, run fails only if the device fails.
 * The contract:
 *   - query is pure and cheap: it does not allocate or compile. It goes through the backend's ordered list of
 *     implementations of d->op and chooses the first one that accepts d, or the one named by d->impl.
 *     U3D_E_UNSUPPORTED is a normal answer, and its message says why.
 *   - run may return before its work is done. Calls take effect in the order in which they are made, and
 *     download waits for everything before it.
 *   - inputs and outputs never overlap, except that out[0] may be in[0] if u3d_op_info.in_place says so.
 *   - if the accumulate bit of an output is clear, an implementation must not read that output, which may
 *     hold NaN. Outputs in u3d_op_info.updates are an exception.
 *   - one u3d_backend is used by only one thread.
 * The functions below are the only callers of these methods (except list and open, which backends/backends.c
 * calls). They check arguments, log (U3D_LOG=backend:trace), and apply U3D_IMPL and U3D_SYNC. */
#ifndef U3D_ENGINE_BACKEND_H
#define U3D_ENGINE_BACKEND_H

#include "engine/ops/op.h"

#define U3D_BACKEND_API 1

typedef struct u3d_backend u3d_backend; /* one open device and its queue            */
typedef struct u3d_buffer u3d_buffer;   /* one device allocation                    */
typedef struct u3d_kernel u3d_kernel;   /* an op description that is ready to run   */

/* Part of a buffer. `off` is in bytes and a multiple of caps.align. */
typedef struct u3d_span {
    u3d_buffer *buf;
    uint64_t off;
} u3d_span;

typedef struct u3d_caps {
    char device[128];         /* for people: "AMD EPYC 7763, avx2"                         */
    char driver[128];
    char platform[64];        /* for drivers that have several platforms, otherwise ""     */
    char note[128];           /* why the device is limited or cannot be used, otherwise "" */
    uint64_t mem_bytes;       /* total memory; 0 if unknown                                */
    uint64_t max_alloc_bytes; /* largest single buffer                                     */
    uint64_t local_bytes;     /* memory that a work-group shares; 0 if there is none       */
    uint64_t staging_bytes;   /* most device memory that uploads use in addition, in two equal parts */
    uint64_t page_bytes;      /* buffers of at least this size use multiples of it; 0: no rounding   */
    uint32_t align;           /* offsets must be multiples of this; a power of two         */
    int32_t compute_units;    /* on a CPU: threads                                         */
    double train_flops;       /* rough FLOP/s of training, counted as direct convolution; for estimates */
    bool host_memory;         /* buffers are in host memory                                */
    bool deterministic;       /* the same inputs give the same bits in every run           */
    bool gpu;
    bool usable;              /* open() would accept it                                    */
} u3d_caps;

typedef struct u3d_backend_opts {
    const char *device; /* NULL: the best one; otherwise an index or part of the name */
    int32_t threads;    /* CPU only; 0: all cores                                     */
} u3d_backend_opts;

/* What one op needs on this backend. Filled by query(). */
typedef struct u3d_need {
    char impl[32];      /* the implementation that would be used                       */
    uint64_t work_min;  /* bytes of workspace; with less, prepare() refuses            */
    uint64_t work_best; /* bytes of workspace; more than this gives no further benefit */
} u3d_need;

/* Called with a line of progress. If it returns false, tuning stops and keeps what it has found so far. */
typedef bool u3d_tune_say(void *user, const char *line);

typedef struct u3d_backend_vt {
    uint32_t api;      /* U3D_BACKEND_API                                      */
    const char *name;  /* "cpu", "opencl": the value of --backend              */
    const char *about; /* one line for `u3d devices`                           */

    u3d_status (*list)(u3d_caps *out, int cap, int *n);
    u3d_status (*open)(const u3d_backend_opts *o, u3d_backend **out);
    void (*close)(u3d_backend *b);
    void (*caps)(const u3d_backend *b, u3d_caps *out);

    u3d_status (*alloc)(u3d_backend *b, uint64_t bytes, u3d_buffer **out);
    void (*release)(u3d_backend *b, u3d_buffer *buf);
    uint64_t (*peak_bytes)(const u3d_backend *b);
    u3d_status (*upload)(u3d_backend *b, u3d_span dst, const void *src, uint64_t bytes);
    u3d_status (*download)(u3d_backend *b, void *dst, u3d_span src, uint64_t bytes);
    u3d_status (*zero)(u3d_backend *b, u3d_span dst, uint64_t bytes);
    u3d_status (*post)(u3d_backend *b, u3d_span src, uint32_t bytes, int slot);
    u3d_status (*collect)(u3d_backend *b, int slot, void *dst, uint32_t bytes);

    /* The name of the i-th implementation of an op, best first; NULL past the end. */
    const char *(*impl)(const u3d_backend *b, u3d_op op, int i);
    u3d_status (*query)(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out);
    u3d_status (*prepare)(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out);
    void (*discard)(u3d_backend *b, u3d_kernel *k);
    u3d_status (*run)(u3d_backend *b, u3d_kernel *k, const u3d_span *in, const u3d_span *out, u3d_span work);
    u3d_status (*sync)(u3d_backend *b);

    /* Measures for about a second. */
    u3d_status (*peak)(u3d_backend *b, double *gflops, double *gbytes_s);
    /* NULL if there is nothing to tune. */
    u3d_status (*tune)(u3d_backend *b, double seconds, u3d_tune_say *say, void *user);
} u3d_backend_vt;

/* The struct of every backend begins with this. */
struct u3d_backend {
    const u3d_backend_vt *vt;
};

/* Two answers that all backends give in the same words; `backend` is u3d_backend_vt.name. refuse fails with
 * U3D_E_UNSUPPORTED: no implementation accepts d, because of `reason`, or none has the name d->impl if `known`
 * is false. check_work fails with U3D_E_NOMEM if `impl` needs more bytes of workspace than it got. */
u3d_status u3d_backend_refuse(const char *backend, const u3d_op_desc *d, bool known, const char *reason);
u3d_status u3d_backend_check_work(const char *backend, const u3d_op_desc *d, const char *impl, uint64_t needs,
                                  uint64_t got);

void u3d_backend_close(u3d_backend *b); /* NULL is legal */
void u3d_backend_caps(const u3d_backend *b, u3d_caps *out);
u3d_status u3d_backend_alloc(u3d_backend *b, uint64_t bytes, u3d_buffer **out);
void u3d_backend_release(u3d_backend *b, u3d_buffer *buf);
/* The most device memory that was allocated at the same time; 0 if buffers are in host memory. */
uint64_t u3d_backend_peak_bytes(const u3d_backend *b);
u3d_status u3d_backend_upload(u3d_backend *b, u3d_span dst, const void *src, uint64_t bytes);
u3d_status u3d_backend_download(u3d_backend *b, void *dst, u3d_span src, uint64_t bytes);
u3d_status u3d_backend_zero(u3d_backend *b, u3d_span dst, uint64_t bytes);
/* These two bring a few bytes to the host without waiting for work that is started later. post copies src, as
 * it is when everything that was started before the post is done, into a slot. collect waits for this copy,
 * but for nothing that was started after the post. A slot holds its last post until it is collected. */
enum { U3D_POST_SLOTS = 8, U3D_POST_BYTES = 64 };
u3d_status u3d_backend_post(u3d_backend *b, u3d_span src, uint32_t bytes, int slot);
u3d_status u3d_backend_collect(u3d_backend *b, int slot, void *dst, uint32_t bytes);

const char *u3d_backend_impl(const u3d_backend *b, u3d_op op, int i);
u3d_status u3d_backend_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out);
u3d_status u3d_backend_prepare(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out);
void u3d_backend_discard(u3d_backend *b, u3d_kernel *k);
u3d_status u3d_backend_run(u3d_backend *b, u3d_kernel *k, const u3d_span *in, const u3d_span *out,
                           u3d_span work);
u3d_status u3d_backend_sync(u3d_backend *b);

/* Measures the limits of the device: fused multiply-adds in 10^9 FLOP/s, and memory bandwidth in 10^9
 * bytes/s. */
u3d_status u3d_backend_peak(u3d_backend *b, double *gflops, double *gbytes_s);

/* Measures settings for this device for about `seconds` seconds and stores the best ones, which later runs of
 * the program use. This process goes on with the settings that were tried last. U3D_E_UNSUPPORTED if there is
 * nothing to tune. */
u3d_status u3d_backend_tune(u3d_backend *b, double seconds, u3d_tune_say *say, void *user);

#endif
