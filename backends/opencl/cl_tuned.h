/* CLBlast's parameters as `u3d tune` found them, kept per device beside the compiled kernels: a text file
 * with a line per kernel, "Xgemm GEMMK=0 KREG=1 ...". A device without a file runs with CLBlast's own. */
#ifndef U3D_BACKENDS_OPENCL_CL_TUNED_H
#define U3D_BACKENDS_OPENCL_CL_TUNED_H

#include "backends/opencl/cl_impl.h"

enum { CL_PARAMS_MAX = 16 };

typedef enum cl_tunable { CL_XGEMM, CL_XGEMM_DIRECT, CL_GEMM_ROUTINE, CL_TUNABLES } cl_tunable;

/* The kernel's name in CLBlast, and the names of its parameters, ending with NULL. */
const char *cl_tunable_name(cl_tunable t);
const char *const *cl_tunable_params(cl_tunable t);

typedef struct cl_params { /* of one kernel, in the order of its names */
    size_t value[CL_PARAMS_MAX];
} cl_params;

typedef struct cl_tuned {
    bool has[CL_TUNABLES]; /* the others stay as CLBlast has them */
    cl_params params[CL_TUNABLES];
} cl_tuned;

/* CLBlast takes these from now on, in this process; products are compiled anew at their next use. */
CLBlastStatusCode cl_tuned_set(const cl_device *dev, cl_tunable t, const cl_params *p);

/* What is kept for the device; nothing where there is no file. A damaged one counts as none, with a warning.
 */
cl_tuned cl_tuned_load(const cl_device *dev);

/* Makes it known to CLBlast; what CLBlast does not take is left out, with a warning. Does nothing without
 * CLBlast. */
void cl_tuned_apply(const cl_device *dev);

/* "Xgemm GEMMK=0 KREG=1 ..."; returns buf. */
const char *cl_params_text(cl_tunable t, const cl_params *p, char *buf, size_t cap);

/* U3D_E_OUTPUT. `path` gets the name of the file written. */
u3d_status cl_tuned_keep(const cl_device *dev, const cl_tuned *tuned, char *path, size_t cap);

#endif
