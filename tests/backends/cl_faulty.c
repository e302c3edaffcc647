/* A replacement for the OpenCL loader that fails on demand; U3D_CL_LIBRARY names it. It is linked with the
 * real loader, which provides all functions except these two:
 *
 *   CL_FAULTY_BYTES=n   clCreateBuffer returns CL_MEM_OBJECT_ALLOCATION_FAILURE for more than n bytes
 *   CL_FAULTY_RUNS=n    clEnqueueNDRangeKernel returns CL_OUT_OF_RESOURCES after the first n calls, like the
 *                       driver of a device that is lost */
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Finds the function of that name in the libraries that come after this one, and stores its address in the
 * function pointer at `pointer`. */
static void find_real(const char *name, void *pointer)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    memcpy(pointer, &function, sizeof function);
}

static unsigned long long limit_of(const char *variable)
{
    const char *text = getenv(variable);
    return text ? strtoull(text, NULL, 10) : ~0ULL;
}

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *code)
{
    static cl_mem (*real)(cl_context, cl_mem_flags, size_t, void *, cl_int *);
    if (bytes > limit_of("CL_FAULTY_BYTES")) {
        if (code) *code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
        return NULL;
    }
    if (!real) find_real("clCreateBuffer", &real);
    return real(context, flags, bytes, host, code);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint axes, const size_t *offset,
                              const size_t *global, const size_t *local, cl_uint n_wait, const cl_event *wait,
                              cl_event *event)
{
    static cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *,
                          const size_t *, cl_uint, const cl_event *, cl_event *);
    static unsigned long long n_runs;
    if (n_runs++ >= limit_of("CL_FAULTY_RUNS")) return CL_OUT_OF_RESOURCES;
    if (!real) find_real("clEnqueueNDRangeKernel", &real);
    return real(queue, kernel, axes, offset, global, local, n_wait, wait, event);
}
