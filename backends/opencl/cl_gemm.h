/* Matrix products by CLBlast. Its temporary memory always comes from the caller and is therefore planned.
 *
 * The way in which CLBlast 1.5 computes a product decides how it is called here:
 *   - Small products (m n k below a threshold that belongs to the device's parameters) use one "direct"
 *     kernel, which needs no temporary memory and accepts any offset but is slow. Larger products use the
 *     tiled kernel, which reads and writes whole tiles.
 *   - The tiled kernel needs its operands at offset 0, unpadded, with sizes that are multiples of its tile,
 *     and in one storage order. Any other operand is copied to or from temporary memory, for which no offset
 *     can be given.
 *   - Sizes and offsets reach the kernels as 32-bit int.
 * So every operand is passed as a sub-buffer that begins where the operand begins, however large the memory
 * around it is. And the row-major product c = op(a) op(b) is requested as the column-major product
 * c' = op(b)' op(a)': then b and c already have the storage order that the tiled kernel needs, and so does a
 * if it is stored as [k, m] (trans_a). A long a that is stored as [m, k] costs one copy. */
#ifndef U3D_BACKENDS_OPENCL_CL_GEMM_H
#define U3D_BACKENDS_OPENCL_CL_GEMM_H

#include "backends/opencl/cl_impl.h"

/* Bytes of temporary memory that product g needs on the open device; 0 if it needs none. The call is cheap
 * and compiles nothing. Of the operands' places only the offsets matter, and only their remainders modulo the
 * device's align. */
uint64_t cl_gemm_temp_bytes(const cl_device *dev, const cl_gemm *g);

/* A place in memory: element `at` (floats) of a buffer. */
typedef struct cl_gemm_at {
    cl_mem mem;
    uint64_t at;
} cl_gemm_at;

/* Enqueues product g with its operands at a, b, c and temp, whose offsets must have the same remainders
 * modulo the device's align as the offsets in g's own places. `temp` must begin at a multiple of the device's
 * align and hold cl_gemm_temp_bytes; if that is 0, it is not used. Errors: U3D_E_DEVICE, U3D_E_NOMEM. */
u3d_status cl_gemm_run(const cl_device *dev, cl_command_queue queue, const cl_gemm *g, cl_gemm_at a,
                       cl_gemm_at b, cl_gemm_at c, cl_gemm_at temp);

#endif
