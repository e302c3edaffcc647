/* Finds the reference of an op and runs it. The loops in ref_*.c always replace their outputs; u3d_ref_run
 * adds the old contents afterwards if d->accumulate asks for it.
 *
 * The table names one function per line of engine/ops/op_list.h, so an op without a reference is a link
 * error. */
#include "tests/ref/ref.h"

#include <stdlib.h>
#include <string.h>

#define REF_ROW(id, text) [U3D_OP_##id] = u3d_ref_##id,
static const u3d_ref ref_table[U3D_OP_COUNT] = {U3D_OP_LIST(REF_ROW)};

u3d_ref u3d_ref_get(u3d_op op)
{
    return op < U3D_OP_COUNT ? ref_table[op] : NULL;
}

void u3d_ref_run(const u3d_op_desc *d, const double *const *in, double *const *out)
{
    double *before[U3D_MAX_OUT] = {NULL};
    for (int i = 0; i < d->n_out; i++) {
        if (!(d->accumulate >> i & 1U)) continue;
        size_t bytes = (size_t)u3d_type_elems(&d->out[i]) * sizeof(double);
        before[i] = malloc(bytes);
        if (!before[i]) abort();
        memcpy(before[i], out[i], bytes);
    }
    ref_table[d->op](d, in, out);
    for (int i = 0; i < d->n_out; i++) {
        if (!before[i]) continue;
        int64_t n = u3d_type_elems(&d->out[i]);
        for (int64_t e = 0; e < n; e++) out[i][e] += before[i][e];
        free(before[i]);
    }
}
