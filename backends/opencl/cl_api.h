/* The OpenCL loader and CLBlast as tables of functions, which are filled when the program first asks for a
 * device. Without either library the program still starts and computes on the CPU. The functions have their
 * original names without the prefix: cl.EnqueueNDRangeKernel, clblast.Sgemm. */
#ifndef U3D_BACKENDS_OPENCL_CL_API_H
#define U3D_BACKENDS_OPENCL_CL_API_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <clblast_c.h>

#include "engine/base/status.h"

#define CL_API_LIST(X)                                                                                       \
    X(GetPlatformIDs)                                                                                        \
    X(GetPlatformInfo)                                                                                       \
    X(GetDeviceIDs)                                                                                          \
    X(GetDeviceInfo)                                                                                         \
    X(CreateContext)                                                                                         \
    X(ReleaseContext)                                                                                        \
    X(CreateCommandQueue)                                                                                    \
    X(ReleaseCommandQueue)                                                                                   \
    X(CreateBuffer)                                                                                          \
    X(CreateSubBuffer)                                                                                       \
    X(ReleaseMemObject)                                                                                      \
    X(CreateProgramWithSource)                                                                               \
    X(CreateProgramWithBinary)                                                                               \
    X(BuildProgram)                                                                                          \
    X(GetProgramInfo)                                                                                        \
    X(GetProgramBuildInfo)                                                                                   \
    X(ReleaseProgram)                                                                                        \
    X(CreateKernel)                                                                                          \
    X(ReleaseKernel)                                                                                         \
    X(SetKernelArg)                                                                                          \
    X(GetKernelWorkGroupInfo)                                                                                \
    X(EnqueueNDRangeKernel)                                                                                  \
    X(EnqueueReadBuffer)                                                                                     \
    X(EnqueueWriteBuffer)                                                                                    \
    X(EnqueueCopyBuffer)                                                                                     \
    X(EnqueueFillBuffer)                                                                                     \
    X(EnqueueMapBuffer)                                                                                      \
    X(EnqueueUnmapMemObject)                                                                                 \
    X(WaitForEvents)                                                                                         \
    X(GetEventInfo)                                                                                          \
    X(GetEventProfilingInfo)                                                                                 \
    X(ReleaseEvent)                                                                                          \
    X(Flush)                                                                                                 \
    X(Finish)

#define CLBLAST_API_LIST(X)                                                                                  \
    X(Sgemm)                                                                                                 \
    X(SgemmWithTempBuffer)                                                                                   \
    X(SGemmTempBufferSize)                                                                                   \
    X(OverrideParameters)                                                                                    \
    X(ClearCache)

typedef struct cl_api {
#define CL_API_FIELD(name) __typeof__(&cl##name) name;
    CL_API_LIST(CL_API_FIELD)
#undef CL_API_FIELD
} cl_api;

typedef struct clblast_api {
#define CLBLAST_API_FIELD(name) __typeof__(&CLBlast##name) name;
    CLBLAST_API_LIST(CLBLAST_API_FIELD)
#undef CLBLAST_API_FIELD
} clblast_api;

extern cl_api cl;           /* usable once cl_api_open has succeeded          */
extern clblast_api clblast; /* usable if clblast_missing() returns NULL       */

/* Opens the loader, once. U3D_E_DEVICE: it is not installed or too old; the message says what to install. */
u3d_status cl_api_open(void);

/* Opens CLBlast, once. Returns NULL on success, otherwise the reason in a few words. */
const char *clblast_missing(void);

/* Report a failed call: "what: CL_OUT_OF_RESOURCES (-5)". Codes for lack of memory become U3D_E_NOMEM, all
 * others U3D_E_DEVICE. */
u3d_status cl_fail(cl_int code, const char *fmt, ...);
u3d_status clblast_fail(CLBlastStatusCode code, const char *fmt, ...);

#endif
