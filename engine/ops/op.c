/* The table of all ops, and the text of a description. The rules of each op are in op_<family>.c of this
 * folder. */
#include "engine/ops/op.h"

#include <stdio.h>

#include "engine/ops/op_rules.h"

#define OP_ROW(id, text) [U3D_OP_##id] = &u3d_rule_##id,
static const u3d_op_info *const op_rows[U3D_OP_COUNT] = {U3D_OP_LIST(OP_ROW)};

const u3d_op_info *u3d_op_info_get(u3d_op op)
{
    U3D_ASSERT((unsigned)op < U3D_OP_COUNT, "op %d of %d", (int)op, (int)U3D_OP_COUNT);
    return op_rows[op];
}

static size_t op_clip(int written, size_t room)
{
    return (size_t)written < room ? (size_t)written : room - 1;
}

const char *u3d_op_desc_text(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_op_info *info = u3d_op_info_get(d->op);
    if (cap == 0) return buf;
    size_t used = op_clip(snprintf(buf, cap, "%s", info->name), cap);
    for (int32_t i = 0; i < d->n_in && i < U3D_MAX_IN; i++) {
        char type[160];
        u3d_type_text(&d->in[i], type, sizeof type);
        used += op_clip(snprintf(buf + used, cap - used, "%s%s", i ? " * " : " ", type), cap - used);
    }
    if (info->text) {
        char attr[160];
        info->text(d, attr, sizeof attr);
        used += op_clip(snprintf(buf + used, cap - used, " %s", attr), cap - used);
    }
    if (d->accumulate) snprintf(buf + used, cap - used, " +=");
    return buf;
}
