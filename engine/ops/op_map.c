/* The map that a convolution or a pooling reads. It may be plain, joined from two parts, or lazy (op.h).
 *
 *   inputs: those of the plain form, then skip if the map is joined, then the table of x or up if that is
 *   lazy, then the table of skip if that is lazy
 *
 * A lazy part z stands for act(scale[c] * z + shift[c]). Its table [S, 2, C] has one set of scales and shifts
 * for the whole batch (S = 1) or one set per sample (S = N). This file also has the check that two parts can
 * be joined, which crop_concat shares. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/ops/op_rules.h"

static const char *map_op_name(const u3d_op_desc *d)
{
    return u3d_op_info_get(d->op)->name;
}

/* ---- joining two parts ---- */

u3d_status u3d_op_check_crop(const u3d_op_desc *d, const int64_t up[3], const int64_t skip[3])
{
    for (int axis = 0; axis < 3; axis++) {
        if (skip[axis] >= up[axis] && (skip[axis] - up[axis]) % 2 == 0) continue;
        return u3d_fail(U3D_E_SHAPE,
                        "%s: skip has size %" PRId64 " along %c, up has %" PRId64
                        "; skip must be larger than up by an even number, or equal",
                        map_op_name(d), skip[axis], "zyx"[axis], up[axis]);
    }
    return U3D_OK;
}

u3d_status u3d_op_check_join(const u3d_op_desc *d, int i_up, int i_skip)
{
    U3D_TRY(u3d_op_check_map(d, i_up, "up"));
    U3D_TRY(u3d_op_check_map(d, i_skip, "skip"));
    const int64_t *up = d->in[i_up].dim, *skip = d->in[i_skip].dim;
    if (up[0] != skip[0]) {
        return u3d_fail(U3D_E_SHAPE, "%s: up has batch size %" PRId64 ", skip has %" PRId64, map_op_name(d),
                        up[0], skip[0]);
    }
    if (up[4] + skip[4] > INT32_MAX) {
        return u3d_fail(U3D_E_SHAPE,
                        "%s: up and skip have %" PRId64 " + %" PRId64 " channels, expected a sum below 2^31",
                        map_op_name(d), up[4], skip[4]);
    }
    return u3d_op_check_crop(d, up + 1, skip + 1);
}

/* ---- the fused form ---- */

int32_t u3d_op_fused_inputs(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    return (int32_t)a->joined + (int32_t)a->lazy[0] + (int32_t)a->lazy[1];
}

u3d_status u3d_op_check_fused(const u3d_op_desc *d, uint32_t can)
{
    const u3d_conv_attr *a = &d->attr.conv;
    const char *name = map_op_name(d);
    if (a->joined && !(can & U3D_FUSED_JOINED))
        return u3d_fail(U3D_E_ARG, "%s: this op reads a single map, not a joined one of 2 parts", name);
    if (a->lazy[0] && !(can & U3D_FUSED_LAZY))
        return u3d_fail(U3D_E_ARG, "%s: input 0 cannot be a lazy map in this op", name);
    if (a->lazy[1] && !a->joined)
        return u3d_fail(U3D_E_ARG, "%s: part 1 is lazy, but the map has 1 part (part 0)", name);
    if (a->moments && !(can & U3D_FUSED_MOMENTS))
        return u3d_fail(U3D_E_ARG, "%s: only conv3d has moments of its output", name);
    if (!isfinite(a->slope) || a->slope < 0.0F) {
        return u3d_fail(U3D_E_ARG, "%s: slope of a lazy map is %g, expected a finite number >= 0", name,
                        (double)a->slope);
    }
    return U3D_OK;
}

/* ---- inputs of the fused form ---- */

u3d_status u3d_op_check_table(const u3d_op_desc *d, int i, const char *what, const u3d_type *x)
{
    int64_t sets = d->in[i].rank == 3 && d->in[i].dim[0] == 1 ? 1 : x->dim[0];
    return u3d_op_check_type(d, i, what, u3d_type_f32(3, (const int64_t[]){sets, 2, x->dim[4]}));
}

u3d_status u3d_op_check_read_map(const u3d_op_desc *d, int64_t *channels)
{
    const u3d_conv_attr *a = &d->attr.conv;
    int next = d->n_in - u3d_op_fused_inputs(d), skip = next;
    if (a->joined) {
        next++;
        U3D_TRY(u3d_op_check_join(d, 0, skip));
    } else {
        U3D_TRY(u3d_op_check_map(d, 0, "x"));
    }
    if (a->lazy[0])
        U3D_TRY(u3d_op_check_table(d, next++, a->joined ? "the table of up" : "the table of x", &d->in[0]));
    if (a->lazy[1]) U3D_TRY(u3d_op_check_table(d, next, "the table of skip", &d->in[skip]));
    *channels = d->in[0].dim[4] + (a->joined ? d->in[skip].dim[4] : 0);
    return U3D_OK;
}

int u3d_op_text_conv(const u3d_op_desc *d, char *buf, size_t cap)
{
    const u3d_conv_attr *a = &d->attr.conv;
    char window[120];
    u3d_op_text_window(d, window, sizeof window);
    return snprintf(buf, cap, "%s%s%s%s%s%s", window, a->joined ? " joined" : "", a->lazy[0] ? " lazy" : "",
                    a->lazy[1] ? " lazy-skip" : "",
                    !a->moments       ? ""
                    : a->per_instance ? " moments-each"
                                      : " moments",
                    a->strict ? " strict" : "");
}
