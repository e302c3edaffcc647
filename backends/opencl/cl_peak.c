/* Measures the peak arithmetic rate and the memory bandwidth of a device (kernels/peak.cl). */
#include "backends/opencl/cl_peak.h"

#include "engine/base/clock.h"

enum { GROUP = 256, GROUPS_PER_UNIT = 64, LANES = 64, ARRAYS = 3, REPEAT = 4 };

static const uint64_t ARRAY_BYTES = 64U << 20; /* three such arrays exceed the cache of most devices */
static const double LEAST_S = 0.03;            /* seconds of one timing: far above the cost of a start */

typedef struct bench { /* a kernel and its number of work-items n */
    const cl_host *h;
    cl_kernel kernel;
    size_t n;
} bench;

static cl_int set_array(cl_kernel k, cl_uint arg, cl_mem mem)
{
    const cl_ulong at = 0;
    const cl_int code = cl.SetKernelArg(k, arg, sizeof mem, &mem);
    return code == CL_SUCCESS ? cl.SetKernelArg(k, arg + 1, sizeof at, &at) : code;
}

/* The seconds that this number of runs takes, one after the other. */
static u3d_status time_runs(const bench *b, int runs, double *seconds)
{
    const size_t local = GROUP;
    cl_int code = CL_SUCCESS;
    const double begin = u3d_clock();
    for (int i = 0; i < runs && code == CL_SUCCESS; i++)
        code = cl.EnqueueNDRangeKernel(b->h->compute, b->kernel, 1, NULL, &b->n, &local, 0, NULL, NULL);
    if (code == CL_SUCCESS) code = cl.Finish(b->h->compute);
    *seconds = u3d_clock() - begin;
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "measure the peak of %s", b->h->dev.name);
}

/* The best time of one run, in seconds. Each timing covers enough runs to last LEAST_S. */
static u3d_status time_best(const bench *b, double *best)
{
    int runs = 1;
    double seconds;
    U3D_TRY(time_runs(b, 1, &seconds));
    for (*best = 1e30; seconds < LEAST_S && runs < 1 << 16; runs *= 2)
        U3D_TRY(time_runs(b, 2 * runs, &seconds));
    for (int i = 0; i < REPEAT; i++) {
        U3D_TRY(time_runs(b, runs, &seconds));
        if (seconds / runs < *best) *best = seconds / runs;
    }
    return U3D_OK;
}

static u3d_status measure_fma(const cl_host *h, cl_mem out, uint64_t bytes, double *gflops)
{
    u3d_status status;
    const cl_int rounds = 512;
    const cl_float factor = 0.999F, term = 0.001F;
    const uint64_t wanted = (uint64_t)h->dev.compute_units * GROUPS_PER_UNIT,
                   room = bytes / (GROUP * sizeof(float));
    bench b = {.h = h, .n = (size_t)(wanted < room ? wanted : room) * GROUP};
    double seconds = 1;
    U3D_GO(cl_programs_kernel(h->programs, "peak", "peak_fma", NULL, &b.kernel));
    cl_int code = set_array(b.kernel, 0, out);
    if (code == CL_SUCCESS) code = cl.SetKernelArg(b.kernel, 2, sizeof rounds, &rounds);
    if (code == CL_SUCCESS) code = cl.SetKernelArg(b.kernel, 3, sizeof factor, &factor);
    if (code == CL_SUCCESS) code = cl.SetKernelArg(b.kernel, 4, sizeof term, &term);
    status = code == CL_SUCCESS ? time_best(&b, &seconds) : cl_fail(code, "set the arguments of peak_fma");
    *gflops = 2.0 * LANES * rounds * (double)b.n / seconds * 1e-9;
done:
    if (b.kernel) cl.ReleaseKernel(b.kernel);
    return status;
}

static u3d_status fill(const cl_host *h, cl_mem array, uint64_t bytes)
{
    u3d_status status;
    const cl_int n = (cl_int)(bytes / sizeof(float));
    double seconds;
    bench b = {.h = h, .n = (size_t)cl_round_up((uint64_t)n, GROUP)};
    U3D_GO(cl_programs_kernel(h->programs, "peak", "peak_fill", NULL, &b.kernel));
    cl_int code = set_array(b.kernel, 0, array);
    if (code == CL_SUCCESS) code = cl.SetKernelArg(b.kernel, 2, sizeof n, &n);
    status =
        code == CL_SUCCESS ? time_runs(&b, 1, &seconds) : cl_fail(code, "set the arguments of peak_fill");
done:
    if (b.kernel) cl.ReleaseKernel(b.kernel);
    return status;
}

static u3d_status measure_triad(const cl_host *h, const cl_mem *array, uint64_t bytes, double *gbytes_s)
{
    u3d_status status;
    const cl_int n = (cl_int)(bytes / sizeof(cl_float4));
    const cl_float factor = 0.5F;
    double seconds = 1;
    bench b = {.h = h, .n = (size_t)cl_round_up((uint64_t)n, GROUP)};
    U3D_GO(cl_programs_kernel(h->programs, "peak", "peak_triad", NULL, &b.kernel));
    cl_int code = CL_SUCCESS;
    for (cl_uint i = 0; i < ARRAYS && code == CL_SUCCESS; i++) code = set_array(b.kernel, 2 * i, array[i]);
    if (code == CL_SUCCESS) code = cl.SetKernelArg(b.kernel, 6, sizeof n, &n);
    if (code == CL_SUCCESS) code = cl.SetKernelArg(b.kernel, 7, sizeof factor, &factor);
    status = code == CL_SUCCESS ? time_best(&b, &seconds) : cl_fail(code, "set the arguments of peak_triad");
    *gbytes_s = (double)ARRAYS * (double)bytes / seconds * 1e-9;
done:
    if (b.kernel) cl.ReleaseKernel(b.kernel);
    return status;
}

u3d_status cl_peak_measure(const cl_host *h, double *gflops, double *gbytes_s)
{
    u3d_status status = U3D_OK;
    cl_mem array[ARRAYS] = {NULL};
    cl_int code = CL_SUCCESS;
    uint64_t bytes = ARRAY_BYTES;
    while (bytes > h->dev.max_alloc_bytes || ARRAYS * bytes > h->dev.mem_bytes / 8) bytes /= 2;
    for (int i = 0; i < ARRAYS && code == CL_SUCCESS; i++)
        array[i] = cl.CreateBuffer(h->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code != CL_SUCCESS) {
        status = cl_fail(code, "allocate %llu bytes to measure the peak of %s",
                         (unsigned long long)(ARRAYS * bytes), h->dev.name);
        goto done;
    }
    U3D_GO(measure_fma(h, array[0], bytes, gflops));
    for (int i = 0; i < ARRAYS; i++) U3D_GO(fill(h, array[i], bytes));
    U3D_GO(measure_triad(h, array, bytes, gbytes_s));
done:
    for (int i = 0; i < ARRAYS; i++)
        if (array[i]) cl.ReleaseMemObject(array[i]);
    return status;
}
