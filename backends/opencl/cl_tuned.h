/* The parameters for CLBlast that `u3d tune` found. They are kept in one text file per device and driver,
 * next to the compiled kernels, with one line per kernel: "Xgemm GEMMK=0 KREG=1 ...". Without such a file
 * CLBlast's own parameters are used. */
#ifndef U3D_BACKENDS_OPENCL_CL_TUNED_H
#define U3D_BACKENDS_OPENCL_CL_TUNED_H

#include "backends/opencl/cl_impl.h"

enum { CL_PARAMS_MAX = 16 };

typedef enum cl_tunable { CL_XGEMM, CL_XGEMM_DIRECT, CL_GEMM_ROUTINE, CL_TUNABLES } cl_tunable;

/* The name that CLBlast gives to the kernel, and the names of its parameters, ending with NULL. */
const char *cl_tunable_name(cl_tunable t);
const char *const *cl_tunable_params(cl_tunable t);

typedef struct cl_params { /* values for one kernel, in the order of the names */
    size_t value[CL_PARAMS_MAX];
} cl_params;

typedef struct cl_tuned {
    bool has[CL_TUNABLES]; /* false: the kernel keeps CLBlast's own parameters */
    cl_params params[CL_TUNABLES];
} cl_tuned;

/* Makes CLBlast use these parameters from now on in this process; it compiles its kernels again at their next
 * use. */
CLBlastStatusCode cl_tuned_set(const cl_device *dev, cl_tunable t, const cl_params *p);

/* Reads the parameters that are kept for the device. Without a file there are none; a damaged file is ignored
 * with a warning. */
cl_tuned cl_tuned_load(const cl_device *dev);

/* Loads the parameters for the device and passes them to CLBlast. Those that CLBlast rejects are left out
 * with a warning. Does nothing without CLBlast. */
void cl_tuned_apply(const cl_device *dev);

/* Writes "Xgemm GEMMK=0 KREG=1 ..." to buf and returns buf. */
const char *cl_params_text(cl_tunable t, const cl_params *p, char *buf, size_t cap);

/* Writes the device's file; `path` gets its name. U3D_E_OUTPUT: it could not be written. */
u3d_status cl_tuned_keep(const cl_device *dev, const cl_tuned *tuned, char *path, size_t cap);

#endif
