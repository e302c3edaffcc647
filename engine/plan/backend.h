/* The seam: what a compute device must offer, one op at a time.
 *
 * Ask (query), make ready (prepare), run. After prepare, run can fail only if the device
 * dies. The contract:
 *   - query is pure and cheap: no allocation, no compilation. It walks the backend's ordered list for
 *     d->op and takes the first entry that accepts d (or the one named by d->impl).
 *     U3D_E_UNSUPPORTED is a normal answer; its message says why.
 *   - run may be asynchronous; order of calls is order of effect; download waits.
 *   - inputs and outputs never overlap, except out[0] on in[0] where u3d_op_info.in_place says so.
 *   - with the accumulate bit clear an implementation must not read the output (it may hold NaN),
 *     except outputs in u3d_op_info.updates.
 *   - one thread drives one u3d_backend.
 * The wrappers below are the only callers of `vt`: they validate, log (U3D_LOG=backend:trace) and
 * apply U3D_IMPL. */
#ifndef U3D_ENGINE_BACKEND_H
#define U3D_ENGINE_BACKEND_H

#include "engine/ops/op.h"

#define U3D_BACKEND_API 1

typedef struct u3d_backend u3d_backend; /* one open device and its queue          */
typedef struct u3d_buffer u3d_buffer;   /* one device allocation                  */
typedef struct u3d_kernel u3d_kernel;   /* one op description made ready to run   */

/* Part of a buffer. `off` is in bytes and a multiple of caps.align. */
typedef struct u3d_span {
    u3d_buffer *buf;
    uint64_t off;
} u3d_span;

typedef struct u3d_caps {
    char device[128]; /* for people: "AMD EPYC 7763, avx2"                     */
    char driver[128];
    char platform[64];        /* of drivers with several; "" where there is none */
    char note[128];           /* why it is limited, or cannot be used; ""      */
    uint64_t mem_bytes;       /* total; 0 if unknown                           */
    uint64_t max_alloc_bytes; /* largest single buffer                         */
    uint64_t local_bytes;     /* memory that a work-group shares; 0: no such   */
    uint64_t staging_bytes;   /* at most so much more device memory do uploads pass through, in two equal parts */
    uint64_t page_bytes;      /* buffers of at least so many bytes take multiples of it; 0: no such */
    uint32_t align;           /* offsets must be a multiple; power of two      */
    int32_t compute_units;    /* threads on a CPU                              */
    double train_flops;       /* direct-convolution FLOP per second of training, roughly: to plan before measuring */
    bool host_memory;         /* buffers live in host memory                   */
    bool deterministic;       /* same inputs give same bits on every run       */
    bool gpu;
    bool usable; /* open() would take it                                       */
} u3d_caps;

typedef struct u3d_backend_opts {
    const char *device; /* NULL: best; else index or part of the name          */
    int32_t threads;    /* CPU: 0 means all cores                              */
} u3d_backend_opts;

/* What one op would need here. Filled by query(). */
typedef struct u3d_need {
    char impl[32];      /* which implementation would be used                  */
    uint64_t work_min;  /* bytes; below this prepare() refuses                 */
    uint64_t work_best; /* bytes; more than this is useless                    */
} u3d_need;

/* Gets a line of progress; false: stop, and keep what was found so far. */
typedef bool u3d_tune_say(void *user, const char *line);

typedef struct u3d_backend_vt {
    uint32_t api;      /* U3D_BACKEND_API                                      */
    const char *name;  /* "cpu", "opencl": the word after --backend=           */
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

    const char *(*impl)(const u3d_backend *b, u3d_op op, int i); /* i-th name, best first; NULL past the end */
    u3d_status (*query)(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out);
    u3d_status (*prepare)(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out);
    void (*discard)(u3d_backend *b, u3d_kernel *k);
    u3d_status (*run)(u3d_backend *b, u3d_kernel *k, const u3d_span *in, const u3d_span *out, u3d_span work);
    u3d_status (*sync)(u3d_backend *b);

    u3d_status (*peak)(u3d_backend *b, double *gflops, double *gbytes_s); /* measures for about a second */
    /* NULL: nothing to tune */
    u3d_status (*tune)(u3d_backend *b, double seconds, u3d_tune_say *say, void *user);
} u3d_backend_vt;

/* Every backend's own struct starts with this. */
struct u3d_backend {
    const u3d_backend_vt *vt;
};

void u3d_backend_close(u3d_backend *b); /* NULL is legal */
void u3d_backend_caps(const u3d_backend *b, u3d_caps *out);
u3d_status u3d_backend_alloc(u3d_backend *b, uint64_t bytes, u3d_buffer **out);
void u3d_backend_release(u3d_backend *b, u3d_buffer *buf);
uint64_t u3d_backend_peak_bytes(const u3d_backend *b); /* most device memory held at once; 0 where it is the host's */
u3d_status u3d_backend_upload(u3d_backend *b, u3d_span dst, const void *src, uint64_t bytes);
u3d_status u3d_backend_download(u3d_backend *b, void *dst, u3d_span src, uint64_t bytes);
u3d_status u3d_backend_zero(u3d_backend *b, u3d_span dst, uint64_t bytes);
/* A few bytes without waiting for what runs behind them: post remembers src as it is when everything that was run so
 * far is done; collect waits for that, and for nothing later. A slot holds the last post until it is collected. */
enum { U3D_POST_SLOTS = 8, U3D_POST_BYTES = 64 };
u3d_status u3d_backend_post(u3d_backend *b, u3d_span src, uint32_t bytes, int slot);
u3d_status u3d_backend_collect(u3d_backend *b, int slot, void *dst, uint32_t bytes);

const char *u3d_backend_impl(const u3d_backend *b, u3d_op op, int i);
u3d_status u3d_backend_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out);
u3d_status u3d_backend_prepare(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out);
void u3d_backend_discard(u3d_backend *b, u3d_kernel *k);
u3d_status u3d_backend_run(u3d_backend *b, u3d_kernel *k, const u3d_span *in, const u3d_span *out, u3d_span work);
u3d_status u3d_backend_sync(u3d_backend *b);

/* The device's ceilings, measured now: fused multiply-adds in 10^9 FLOP/s, memory bandwidth in 10^9 bytes/s. */
u3d_status u3d_backend_peak(u3d_backend *b, double *gflops, double *gbytes_s);

/* Measures settings for this device in about so many seconds and keeps the best for later runs. U3D_E_UNSUPPORTED where
 * there is nothing to tune. Later runs have the settings; this process has those that were tried last. */
u3d_status u3d_backend_tune(u3d_backend *b, double seconds, u3d_tune_say *say, void *user);

#endif
