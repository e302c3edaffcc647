/* Turns kernel files into programs: joins the sources, compiles them once per set of defines, and keeps the
 * results in memory and on disk. */
#ifndef U3D_BACKENDS_OPENCL_CL_PROGRAM_H
#define U3D_BACKENDS_OPENCL_CL_PROGRAM_H

#include "backends/opencl/cl_impl.h"

/* The files of kernels/, embedded at build time. The last element has a NULL name. */
typedef struct cl_source {
    const char *name, *text;
} cl_source;
extern const cl_source cl_sources[];

typedef struct cl_programs cl_programs; /* the programs of one device */

u3d_status cl_programs_new(cl_context context, const cl_device *dev, cl_programs **out);
void cl_programs_free(cl_programs *p);

/* Creates the kernel `name` of kernels/<file>.cl, compiled with `defines` (NULL: none). The caller releases
 * it. U3D_E_DEVICE: it does not compile; the message has the file, the defines and the beginning of the
 * compiler's log. */
u3d_status cl_programs_kernel(cl_programs *p, const char *file, const char *name, const char *defines,
                              cl_kernel *out);

/* Writes the name of the folder for files that are kept between runs to `buf`, and creates the folder if
 * `make` is true. Returns false if U3D_CL_CACHE is "off" or there is no such folder. */
bool cl_cache_dir(char *buf, size_t cap, bool make);

#endif
