/* Jobs: an implementation lists its steps once; every run binds the operands' places and enqueues the steps.
 *
 * Each kernel step owns its cl_kernel, so that its number arguments are set once and only buffers and offsets
 * change from run to run. The queue is in order, so a step sees everything that earlier steps wrote. */
#include "backends/opencl/cl_job.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "backends/opencl/cl_gemm.h"
#include "engine/base/mem.h"

enum { MAX_OPERANDS = 12 };

typedef struct operand { /* of a kernel step */
    cl_place place;
    cl_uint arg;   /* index of the buffer's argument; the offset's is the next one */
    uint32_t unit; /* bytes of an element                                          */
} operand;

typedef struct step {
    enum { STEP_KERNEL, STEP_GEMM } kind;
    /* of a kernel */
    cl_kernel kernel;
    char name[48];
    size_t global[3], local[3];
    cl_uint n_args;
    int n_operands;
    operand operands[MAX_OPERANDS];
    /* of a matrix product */
    cl_gemm gemm;
} step;

struct u3d_kernel {
    const cl_host *host;
    u3d_op_desc desc;
    step *steps;
    int n_steps, cap;
};

/* ---- building ---- */

static bool failed(const cl_job *j)
{
    return j->status != U3D_OK;
}

static step *add_step(cl_job *j)
{
    struct u3d_kernel *k = j->kernel;
    if (failed(j)) return NULL;
    if (k->n_steps == k->cap) {
        int cap = k->cap ? 2 * k->cap : 4;
        step *more = u3d_new((size_t)cap, sizeof *more);
        if (!more) {
            j->status = U3D_E_NOMEM;
            return NULL;
        }
        if (k->steps) memcpy(more, k->steps, (size_t)k->n_steps * sizeof *more);
        u3d_free(k->steps);
        k->steps = more;
        k->cap = cap;
    }
    step *s = &k->steps[k->n_steps++];
    memset(s, 0, sizeof *s);
    return s;
}

/* The last step, which must be a kernel: arguments are added to it. */
static step *open_step(cl_job *j)
{
    if (failed(j)) return NULL;
    U3D_ASSERT(j->kernel->n_steps > 0, "an argument without a kernel in %s",
               u3d_op_info_get(j->desc->op)->name);
    step *s = &j->kernel->steps[j->kernel->n_steps - 1];
    U3D_ASSERT(s->kind == STEP_KERNEL, "an argument after a step that is not a kernel");
    return s;
}

void cl_define(cl_defines *d, const char *name, int64_t value)
{
    size_t used = strlen(d->text);
    int len = snprintf(d->text + used, sizeof d->text - used, " -D %s=%lld", name, (long long)value);
    U3D_ASSERT(len > 0 && (size_t)len < sizeof d->text - used, "no room for the define %s", name);
}

cl_range cl_range_1d(uint64_t n, uint32_t local)
{
    return (cl_range){{n, 1, 1}, {local, 1, 1}};
}

void cl_job_kernel(cl_job *j, const char *file, const char *name, const cl_defines *defines, cl_range range)
{
    step *s = add_step(j);
    if (!s) return;
    s->kind = STEP_KERNEL;
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    for (int axis = 0; axis < 3; axis++) {
        s->local[axis] = range.local[axis];
        s->global[axis] = cl_round_up(range.global[axis], range.local[axis]);
    }
    j->status =
        cl_programs_kernel(j->kernel->host->programs, file, name, defines ? defines->text : NULL, &s->kernel);
}

static void set_number(cl_job *j, size_t size, const void *value)
{
    step *s = open_step(j);
    if (!s) return;
    cl_int code = cl.SetKernelArg(s->kernel, s->n_args, size, value);
    if (code != CL_SUCCESS) j->status = cl_fail(code, "set argument %u of kernel %s", s->n_args, s->name);
    s->n_args++;
}

void cl_job_int(cl_job *j, int64_t value)
{
    if (!failed(j) && (value > INT_MAX || value < INT_MIN))
        j->status = u3d_fail(U3D_E_UNSUPPORTED,
                             "opencl: %s has a number beyond %lld, the largest that its kernels can count; "
                             "use a smaller patch or batch",
                             u3d_op_info_get(j->desc->op)->name, (long long)INT_MAX);
    cl_int number = (cl_int)value;
    set_number(j, sizeof number, &number);
}

void cl_job_float(cl_job *j, float value)
{
    set_number(j, sizeof value, &value);
}

void cl_job_size(cl_job *j, const int64_t size[3])
{
    for (int axis = 0; axis < 3; axis++) cl_job_int(j, size[axis]);
}

void cl_job_window(cl_job *j, const int32_t extent[3])
{
    for (int axis = 0; axis < 3; axis++) cl_job_int(j, extent[axis]);
}

static uint32_t unit_of(const u3d_op_desc *d, cl_place p)
{
    if (p.kind == CL_PLACE_IN && d->in[p.index].dtype == U3D_U8) return 1;
    if (p.kind == CL_PLACE_OUT && d->out[p.index].dtype == U3D_U8) return 1;
    return sizeof(float);
}

void cl_job_arg(cl_job *j, cl_place place)
{
    step *s = open_step(j);
    if (!s) return;
    U3D_ASSERT(s->n_operands < MAX_OPERANDS, "kernel %s has more than %d operands", s->name, MAX_OPERANDS);
    s->operands[s->n_operands++] = (operand){place, s->n_args, unit_of(j->desc, place)};
    s->n_args += 2;
}

void cl_job_gemm(cl_job *j, const cl_gemm *g)
{
    step *s = add_step(j);
    if (!s) return;
    s->kind = STEP_GEMM;
    s->gemm = *g;
}

u3d_status cl_kernel_new(const cl_host *h, const cl_entry *e, const u3d_op_desc *d, uint64_t work_bytes,
                         u3d_kernel **out)
{
    *out = NULL;
    u3d_kernel *k = u3d_new(1, sizeof *k);
    if (!k) return U3D_E_NOMEM;
    k->host = h;
    k->desc = *d;
    k->desc.impl = e->name; /* the caller's string may be gone before this kernel is */
    cl_job j = {.desc = &k->desc, .dev = &h->dev, .work_bytes = work_bytes, .kernel = k};
    e->prepare(&j);
    if (failed(&j)) {
        cl_kernel_free(k);
        return j.status;
    }
    *out = k;
    return U3D_OK;
}

void cl_kernel_free(u3d_kernel *k)
{
    if (!k) return;
    for (int i = 0; i < k->n_steps; i++)
        if (k->steps[i].kernel) cl.ReleaseKernel(k->steps[i].kernel);
    u3d_free(k->steps);
    u3d_free(k);
}

/* ---- running ---- */

typedef struct run {
    const cl_host *host;
    const u3d_span *in, *out;
    u3d_span work;
} run;

/* Resolves a place to a buffer and an offset in bytes. */
static u3d_span locate(const run *r, cl_place p)
{
    u3d_span s = p.kind == CL_PLACE_IN ? r->in[p.index] : p.kind == CL_PLACE_OUT ? r->out[p.index] : r->work;
    s.off += p.off;
    return s;
}

static u3d_status run_kernel(const run *r, const step *s)
{
    for (int i = 0; i < s->n_operands; i++) {
        const operand *o = &s->operands[i];
        u3d_span at = locate(r, o->place);
        cl_ulong element = at.off / o->unit;
        cl_int code = cl.SetKernelArg(s->kernel, o->arg, sizeof(cl_mem), &at.buf->mem);
        if (code == CL_SUCCESS) code = cl.SetKernelArg(s->kernel, o->arg + 1, sizeof element, &element);
        if (code != CL_SUCCESS) return cl_fail(code, "set operand %d of kernel %s", i, s->name);
    }
    cl_int code =
        cl.EnqueueNDRangeKernel(r->host->compute, s->kernel, 3, NULL, s->global, s->local, 0, NULL, NULL);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "start kernel %s on %s", s->name, r->host->dev.name);
}

static cl_gemm_at gemm_at(const run *r, cl_place p)
{
    u3d_span s = locate(r, p);
    return (cl_gemm_at){s.buf ? s.buf->mem : NULL, s.off / sizeof(float)};
}

static u3d_status run_gemm(const run *r, const cl_gemm *g)
{
    return cl_gemm_run(&r->host->dev, r->host->compute, g, gemm_at(r, g->a), gemm_at(r, g->b),
                       gemm_at(r, g->c), gemm_at(r, g->temp));
}

u3d_status cl_kernel_run(const cl_host *h, u3d_kernel *k, const u3d_span *in, const u3d_span *out,
                         u3d_span work)
{
    const run r = {h, in, out, work};
    for (int i = 0; i < k->n_steps; i++) {
        const step *s = &k->steps[i];
        switch (s->kind) {
        case STEP_KERNEL: U3D_TRY(run_kernel(&r, s)); break;
        case STEP_GEMM: U3D_TRY(run_gemm(&r, &s->gemm)); break;
        }
    }
    return U3D_OK;
}
