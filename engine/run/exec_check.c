/* Checks that U3D_CHECK switches on: red zones (guard), and NaN or infinity (nan).
 *
 * A red zone is a pattern in the bytes after a value. If a node changes it, the node has written too far. The
 * red zone of a life that begins at `off` and holds `bytes` bytes (offsets relative to `off`):
 *
 *   0              round_down(bytes, align)   bytes        round_up(bytes, align) + guard_bytes
 *    | the value .............................. | pattern ............................... |
 *                   | <- copied to and from the host in one piece, compared from `bytes` -> |
 *
 * Transfers must begin at an aligned offset, so writing the pattern also overwrites the last few bytes of the
 * value. It is therefore done before the value is first written, when its contents do not matter yet. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/run/exec_impl.h"
#include "engine/base/mem.h"

enum { PATTERN = 0xA5, PLACE_CAP = 96 };

/* The red zone of a life, from an aligned offset on: *len is its length, and its first *skip bytes belong to
 * the value. */
static u3d_span exec_zone(const u3d_exec *x, int32_t life, uint64_t *len, uint64_t *skip)
{
    const u3d_life *l = &x->plan->lives[life];
    uint64_t bytes = x->plan->owners[life].bytes;
    *skip = bytes % x->plan->align;
    *len = l->bytes - (bytes - *skip);
    return (u3d_span){x->arena->buf[l->chunk], l->off + bytes - *skip};
}

u3d_status exec_check_setup(u3d_exec *x)
{
    const char *check = u3d_env_get(U3D_ENV_CHECK);
    const u3d_plan *p = x->plan;
    x->check_nan = check && (strstr(check, "nan") || strstr(check, "all"));
    uint64_t most = p->guard_bytes ? p->guard_bytes + p->align : 0;
    for (u3d_val v = 0; x->check_nan && v < p->n_values; v++) {
        uint64_t bytes = u3d_type_bytes(&u3d_graph_value(p->graph, v)->type);
        if (bytes > most) most = bytes;
    }
    if (most == 0) return U3D_OK;
    x->stage = u3d_new_uninit(most, 1);
    return x->stage ? U3D_OK : U3D_E_NOMEM;
}

/* ---- red zones ---- */

static u3d_status exec_guard_write(u3d_exec *x, int32_t life)
{
    uint64_t len, skip;
    u3d_span zone = exec_zone(x, life, &len, &skip);
    memset(x->stage, PATTERN, len);
    return u3d_backend_upload(x->backend, zone, x->stage, len);
}

u3d_status exec_guard_value(u3d_exec *x, u3d_val v)
{
    return x->plan->guard_bytes ? exec_guard_write(x, x->plan->values[v].life) : U3D_OK;
}

u3d_status exec_guard_before(u3d_exec *x, int node)
{
    const u3d_plan *p = x->plan;
    if (!p->guard_bytes) return U3D_OK;
    const u3d_node *n = u3d_graph_node(p->graph, node);
    for (int i = 0; i < n->n_out; i++) {
        const plan_value *v = &p->values[n->out[i]];
        bool born = v->life >= 0 && v->first == node && p->owners[v->life].value == n->out[i];
        if (born) U3D_TRY(exec_guard_write(x, v->life));
    }
    int32_t work = p->nodes[node].work_life;
    return work >= 0 ? exec_guard_write(x, work) : U3D_OK;
}

/* Whether the red zone of a life must be compared after `node`. The check is based on the first write of the
 * value, because with no_reuse a life is longer than the time in which its value exists. */
static bool exec_guarded(const u3d_exec *x, int32_t life, int node)
{
    const u3d_plan *p = x->plan;
    const plan_owner *owner = &p->owners[life];
    if (owner->value == U3D_NONE) return owner->node == node;
    if (u3d_graph_value(p->graph, owner->value)->role == U3D_ROLE_INPUT && !x->fed[owner->value])
        return false;
    return p->values[owner->value].first <= node && node <= p->lives[life].last;
}

u3d_status exec_guard_after(u3d_exec *x, int node)
{
    const u3d_plan *p = x->plan;
    for (int32_t life = 0; p->guard_bytes && life < p->n_lives; life++) {
        if (!exec_guarded(x, life, node)) continue;
        uint64_t len, skip;
        char name[PLACE_CAP];
        u3d_span zone = exec_zone(x, life, &len, &skip);
        U3D_TRY(u3d_backend_download(x->backend, x->stage, zone, len));
        for (uint64_t i = skip; i < len; i++)
            if (x->stage[i] != PATTERN)
                return u3d_fail(U3D_E_CHECK, "guard: node %d '%s' changed byte %llu after the end of %s",
                                node, u3d_graph_node(p->graph, node)->name, (unsigned long long)(i - skip),
                                plan_owner_text(p, life, name, sizeof name));
    }
    return U3D_OK;
}

/* ---- numbers ---- */

/* Writes the position of an element, such as "[0, 3, 12, 7, 1]", into buf; returns buf. */
static const char *exec_index_text(const u3d_type *t, int64_t element, char buf[PLACE_CAP])
{
    int64_t at[U3D_MAX_RANK];
    for (int32_t axis = t->rank - 1; axis >= 0; axis--) {
        at[axis] = element % t->dim[axis];
        element /= t->dim[axis];
    }
    int used = snprintf(buf, PLACE_CAP, "[");
    for (int32_t axis = 0; axis < t->rank && used < PLACE_CAP; axis++)
        used +=
            snprintf(buf + used, (size_t)(PLACE_CAP - used), "%s%lld", axis ? ", " : "", (long long)at[axis]);
    if (used < PLACE_CAP) snprintf(buf + used, (size_t)(PLACE_CAP - used), "]");
    return buf;
}

u3d_status exec_check_numbers(u3d_exec *x, int node)
{
    if (!x->check_nan) return U3D_OK;
    const u3d_node *n = u3d_graph_node(x->plan->graph, node);
    for (int i = 0; i < n->n_out; i++) {
        const u3d_value *v = u3d_graph_value(x->plan->graph, n->out[i]);
        if (v->type.dtype != U3D_F32) continue;
        U3D_TRY(u3d_backend_download(x->backend, x->stage, x->spans[n->out[i]], u3d_type_bytes(&v->type)));
        const float *value = (const float *)(const void *)x->stage;
        int64_t elems = u3d_type_elems(&v->type);
        for (int64_t k = 0; k < elems; k++) {
            if (isfinite(value[k])) continue;
            char place[PLACE_CAP];
            return u3d_fail(U3D_E_NUMERIC, "node %d '%s' (%s): '%s' holds %g at %s", node, n->name,
                            u3d_op_info_get(n->op)->name, v->name, (double)value[k],
                            exec_index_text(&v->type, k, place));
        }
    }
    return U3D_OK;
}
