/* Matrix products by CLBlast, always with temporary memory from the planner's workspace.
 *
 * What CLBlast 1.5 does with a product decides how it is called here:
 *   - Small products (m n k below a threshold of the device's parameters) take one "direct" kernel: no
 * temporary memory, any offset, slow. Larger ones take the tiled kernel, which reads and writes whole tiles.
 *   - The tiled kernel wants its operands at offset 0, unpadded, of sizes that are multiples of its tile, and
 * in one storage order; an operand that is not so is copied to or from temporary memory. It has no offset for
 * that memory.
 *   - Sizes and offsets reach the kernels as 32-bit int.
 * So every operand is handed over as a sub-buffer that begins where the operand begins, whatever the size of
 * the memory around it. And row-major c = op(a) op(b) is asked for as column-major c' = op(b)' op(a)', for
 * which b and c are in the order that the tiled kernel wants, and so is a where it is stored [k, m]
 * (trans_a). A long a stored [m, k] costs one copy. */
#ifndef U3D_BACKENDS_OPENCL_CL_GEMM_H
#define U3D_BACKENDS_OPENCL_CL_GEMM_H

#include "backends/opencl/cl_impl.h"

/* Bytes of temporary memory that product g needs on the open device, 0 where it needs none. Cheap, compiles
 * nothing. Of the places only the offsets matter, by what they exceed a multiple of the device's align. */
uint64_t cl_gemm_temp_bytes(const cl_device *dev, const cl_gemm *g);

/* A place in memory: element `at` (floats) of a buffer. */
typedef struct cl_gemm_at {
    cl_mem mem;
    uint64_t at;
} cl_gemm_at;

/* Enqueues product g with its operands at the given places; g's own places are not read. `temp` must begin at
 * a multiple of the device's align and have cl_gemm_temp_bytes behind it; it is not read where that is 0.
 * U3D_E_DEVICE, U3D_E_NOMEM. */
u3d_status cl_gemm_run(const cl_device *dev, cl_command_queue queue, const cl_gemm *g, cl_gemm_at a,
                       cl_gemm_at b, cl_gemm_at c, cl_gemm_at temp);

#endif
