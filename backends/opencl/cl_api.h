/* The OpenCL loader and CLBlast as tables of functions, filled when the first device is asked for: the
 * program starts and computes on the CPU where neither is installed. Written like the originals:
 * cl.EnqueueNDRangeKernel, clblast.Sgemm. */
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

extern cl_api cl;           /* usable after cl_api_open succeeded            */
extern clblast_api clblast; /* usable where clblast_missing() returns NULL   */

/* Opens the loader once. U3D_E_DEVICE: not installed, or too old; the message says what to install. */
u3d_status cl_api_open(void);

/* Opens CLBlast once; NULL, or why there is none, in a few words. */
const char *clblast_missing(void);

/* The sentence for a failed call: "what: CL_OUT_OF_RESOURCES (-5)". Out of memory becomes U3D_E_NOMEM, the
 * rest U3D_E_DEVICE. */
u3d_status cl_fail(cl_int code, const char *fmt, ...);
u3d_status clblast_fail(CLBlastStatusCode code, const char *fmt, ...);

#endif
