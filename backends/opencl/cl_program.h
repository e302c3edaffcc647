/* From kernel files to programs: sources put together, compiled once per set of defines, kept in memory and
 * on disk. */
#ifndef U3D_BACKENDS_OPENCL_CL_PROGRAM_H
#define U3D_BACKENDS_OPENCL_CL_PROGRAM_H

#include "backends/opencl/cl_impl.h"

/* The files of kernels/, embedded at build time; ends with a NULL name. */
typedef struct cl_source {
    const char *name, *text;
} cl_source;
extern const cl_source cl_sources[];

typedef struct cl_programs cl_programs; /* those of one device */

u3d_status cl_programs_new(cl_context context, const cl_device *dev, cl_programs **out);
void cl_programs_free(cl_programs *p);

/* Function `name` of kernels/<file>.cl with `defines` (NULL: none); the caller releases it. U3D_E_DEVICE
 * carries file, defines and the beginning of the compiler's log. */
u3d_status cl_programs_kernel(cl_programs *p, const char *file, const char *name, const char *defines,
                              cl_kernel *out);

/* Folder for what is kept between runs; false where U3D_CL_CACHE is off or there is none. With `make` it is
 * there afterwards. */
bool cl_cache_dir(char *buf, size_t cap, bool make);

#endif
