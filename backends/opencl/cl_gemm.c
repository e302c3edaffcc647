/* Calls CLBlast with a sub-buffer for each operand; cl_gemm.h explains why. */
#include "backends/opencl/cl_gemm.h"

static CLBlastTranspose transpose(bool yes)
{
    return yes ? CLBlastTransposeYes : CLBlastTransposeNo;
}

/* Elements between an operand at byte `off` and the last place before it where a sub-buffer may begin. */
static uint64_t rest(const cl_device *dev, uint64_t off)
{
    return off % dev->align / sizeof(float);
}

uint64_t cl_gemm_temp_bytes(const cl_device *dev, const cl_gemm *g)
{
    size_t bytes = 0;
    cl_command_queue queue = dev->queue;
    CLBlastStatusCode code = clblast.SGemmTempBufferSize(
        CLBlastLayoutColMajor, transpose(g->trans_b), transpose(g->trans_a), (size_t)g->n, (size_t)g->m,
        (size_t)g->k, rest(dev, g->b.off), (size_t)g->ldb, rest(dev, g->a.off), (size_t)g->lda,
        rest(dev, g->c.off), (size_t)g->ldc, &queue, &bytes);
    return code == CLBlastSuccess ? bytes : 0; /* if this call fails, the product will fail and say why */
}

/* The number of elements from the first element of a matrix to its last. */
static uint64_t extent(bool transposed, int64_t rows, int64_t columns, int64_t ld)
{
    return (uint64_t)(transposed ? (columns - 1) * ld + rows : (rows - 1) * ld + columns);
}

typedef struct operand {
    cl_mem mem; /* a sub-buffer for this operand                   */
    size_t at;  /* the element of it at which the matrix begins    */
} operand;

static cl_int operand_open(const cl_device *dev, cl_gemm_at place, uint64_t elems, operand *out)
{
    cl_int code = CL_SUCCESS;
    const uint64_t byte = place.at * sizeof(float);
    out->at = (size_t)rest(dev, byte);
    const cl_buffer_region region = {(size_t)(byte - out->at * sizeof(float)),
                                     (size_t)(out->at + elems) * sizeof(float)};
    out->mem = cl.CreateSubBuffer(place.mem, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    return code;
}

u3d_status cl_gemm_run(const cl_device *dev, cl_command_queue queue, const cl_gemm *g, cl_gemm_at a,
                       cl_gemm_at b, cl_gemm_at c, cl_gemm_at temp)
{
    enum { A, B, C, TEMP, OPERANDS };
    operand o[OPERANDS] = {{0}};
    const uint64_t temp_bytes = cl_gemm_temp_bytes(dev, g);
    CLBlastStatusCode done = CLBlastSuccess;
    cl_int code = operand_open(dev, a, extent(g->trans_a, g->m, g->k, g->lda), &o[A]);
    if (code == CL_SUCCESS) code = operand_open(dev, b, extent(g->trans_b, g->k, g->n, g->ldb), &o[B]);
    if (code == CL_SUCCESS) code = operand_open(dev, c, extent(false, g->m, g->n, g->ldc), &o[C]);
    if (code == CL_SUCCESS && temp_bytes > 0)
        code = operand_open(dev, temp, temp_bytes / sizeof(float), &o[TEMP]);
    if (code == CL_SUCCESS) /* the last argument is not used without temporary memory but must not be NULL */
        done = clblast.SgemmWithTempBuffer(
            CLBlastLayoutColMajor, transpose(g->trans_b), transpose(g->trans_a), (size_t)g->n, (size_t)g->m,
            (size_t)g->k, 1.0F, o[B].mem, o[B].at, (size_t)g->ldb, o[A].mem, o[A].at, (size_t)g->lda, g->beta,
            o[C].mem, o[C].at, (size_t)g->ldc, &queue, NULL, temp_bytes > 0 ? o[TEMP].mem : o[A].mem);
    for (int i = 0; i < OPERANDS; i++) /* enqueued commands keep the sub-buffers until they are done */
        if (o[i].mem) cl.ReleaseMemObject(o[i].mem);
    if (code != CL_SUCCESS) return cl_fail(code, "create sub-buffers for a matrix product on %s", dev->name);
    if (done == CLBlastSuccess) return U3D_OK;
    return clblast_fail(done, "matrix product %lldx%lldx%lld on %s", (long long)g->m, (long long)g->n,
                        (long long)g->k, dev->name);
}
