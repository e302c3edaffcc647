/* Plans in text for people: the table of all nodes, the peak with its largest values, and the message if the
 * memory does not suffice. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/plan/plan.h"
#include "engine/plan/plan_impl.h"

enum {
    N_LARGEST = 5,
    N_OWNERS = 10,
    TYPE_CAP = 80,
    OWNER_CAP = U3D_NAME_CAP + 16,
    LIST_CAP = N_LARGEST * (OWNER_CAP + 16)
};

static bool plan_alive(const u3d_plan *p, int32_t life, int32_t node)
{
    return p->lives[life].first <= node && node <= p->lives[life].last;
}

int32_t plan_peak_node(const u3d_plan *p, uint64_t *bytes)
{
    int32_t peak = 0;
    *bytes = 0;
    for (int32_t node = 0; node < p->n_nodes; node++) {
        uint64_t alive = 0;
        for (int32_t i = 0; i < p->n_lives; i++)
            if (plan_alive(p, i, node)) alive += p->lives[i].bytes;
        if (alive > *bytes) {
            *bytes = alive;
            peak = node;
        }
    }
    return peak;
}

int plan_largest(const u3d_plan *p, int32_t node, int32_t *out, int cap)
{
    int n = 0;
    for (int32_t i = 0; i < p->n_lives; i++) {
        if (!plan_alive(p, i, node)) continue;
        int at = n;
        while (at > 0 && p->lives[out[at - 1]].bytes < p->lives[i].bytes) at--;
        if (at == cap) continue;
        if (n < cap) n++;
        memmove(&out[at + 1], &out[at], (size_t)(n - 1 - at) * sizeof *out);
        out[at] = i;
    }
    return n;
}

const char *plan_owner_text(const u3d_plan *p, int32_t life, char *buf, size_t cap)
{
    const plan_owner *o = &p->owners[life];
    if (o->value != U3D_NONE)
        snprintf(buf, cap, "%s", u3d_graph_value(p->graph, o->value)->name);
    else
        snprintf(buf, cap, "workspace of %s", u3d_graph_node(p->graph, o->node)->name);
    return buf;
}

u3d_status plan_fail_memory(const u3d_plan *p, uint64_t needed)
{
    uint64_t alive;
    int32_t node = plan_peak_node(p, &alive), largest[N_LARGEST];
    int n = plan_largest(p, node, largest, N_LARGEST);
    char list[LIST_CAP] = "", name[OWNER_CAP];
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        int len = snprintf(list + used, sizeof list - used, "%s%s %.3g", i ? ", " : "",
                           plan_owner_text(p, largest[i], name, sizeof name),
                           (double)p->owners[largest[i]].bytes * 1e-9);
        if (len < 0 || (size_t)len >= sizeof list - used) break;
        used += (size_t)len;
    }
    return u3d_fail(
        U3D_E_NOMEM,
        "plan: temporaries need %.3g GB but may use %.3g GB; the largest at the peak, node '%s', in GB: %s; "
        "use a smaller patch or batch, or allow more memory",
        (double)needed * 1e-9, (double)p->limit * 1e-9, u3d_graph_node(p->graph, node)->name, list);
}

void u3d_plan_node_get(const u3d_plan *p, int node, u3d_plan_node *out)
{
    U3D_ASSERT(node >= 0 && node < p->n_nodes, "node %d of %d", node, p->n_nodes);
    const u3d_node *n = u3d_graph_node(p->graph, node);
    const u3d_op_info *info = u3d_op_info_get(n->op);
    u3d_op_desc d;
    u3d_graph_desc(p->graph, node, &d);

    memset(out, 0, sizeof *out);
    out->name = n->name;
    out->op = info->name;
    memcpy(out->impl, p->nodes[node].need.impl, sizeof out->impl);
    out->work_bytes = p->nodes[node].work_bytes;
    out->flops = info->flops ? info->flops(&d) : 0;
    out->off = UINT64_MAX;
    if (n->n_out == 0) return;
    int32_t life = p->values[n->out[0]].life;
    out->type = d.out[0];
    out->bytes = u3d_type_bytes(&d.out[0]);
    if (life >= 0) out->off = p->lives[life].off;
}

static int plan_wider(int width, const char *text)
{
    int len = (int)strlen(text);
    return len > width ? len : width;
}

/* Writes an offset such as "1234" or, if the plan has several chunks, "2:1234"; "params" if the value is
 * stored in u3d_params. Returns buf. */
static const char *plan_place_text(const u3d_plan *p, int node, uint64_t off, char *buf, size_t cap)
{
    const u3d_node *n = u3d_graph_node(p->graph, node);
    if (off == UINT64_MAX)
        snprintf(buf, cap, "params");
    else if (p->n_chunks == 1)
        snprintf(buf, cap, "%" PRIu64, off);
    else
        snprintf(buf, cap, "%d:%" PRIu64, p->lives[p->values[n->out[0]].life].chunk, off);
    return buf;
}

static double plan_write_nodes(const u3d_plan *p, FILE *f)
{
    int name_width = 4, type_width = 5, impl_width = 4;
    char type[TYPE_CAP], place[32];
    u3d_plan_node row;
    for (int node = 0; node < p->n_nodes; node++) {
        u3d_plan_node_get(p, node, &row);
        name_width = plan_wider(name_width, row.name);
        impl_width = plan_wider(impl_width, row.impl);
        type_width = plan_wider(type_width, u3d_type_text(&row.type, type, sizeof type));
    }
    double flops = 0;
    fprintf(f, "%5s  %-*s  %-17s  %-*s  %-*s  %14s  %13s  %13s  %9s\n", "index", name_width, "name", "op",
            impl_width, "impl", type_width, "shape", "offset", "bytes", "work", "GFLOP");
    for (int node = 0; node < p->n_nodes; node++) {
        u3d_plan_node_get(p, node, &row);
        flops += row.flops;
        fprintf(f, "%5d  %-*s  %-17s  %-*s  %-*s  %14s  %13" PRIu64 "  %13" PRIu64 "  %9.3f\n", node,
                name_width, row.name, row.op, impl_width, row.impl, type_width,
                u3d_type_text(&row.type, type, sizeof type),
                plan_place_text(p, node, row.off, place, sizeof place), row.bytes, row.work_bytes,
                row.flops * 1e-9);
    }
    return flops;
}

u3d_status u3d_plan_report(const u3d_plan *p, FILE *f)
{
    double flops = plan_write_nodes(p, f);
    uint64_t alive, peak = u3d_plan_peak_bytes(p);
    int32_t node = plan_peak_node(p, &alive), largest[N_OWNERS];
    char name[OWNER_CAP];
    fprintf(f, "\n%d nodes, %.3f GFLOP; peak %.3f GB in %d chunk%s\n", p->n_nodes, flops * 1e-9,
            (double)peak * 1e-9, p->n_chunks, p->n_chunks == 1 ? "" : "s");
    if (p->n_nodes > 0)
        fprintf(f, "most memory is in use at node %d '%s', %.3f GB; its largest parts:\n", node,
                u3d_graph_node(p->graph, node)->name, (double)alive * 1e-9);
    int n = plan_largest(p, node, largest, N_OWNERS);
    for (int i = 0; i < n; i++)
        fprintf(f, "%10.3f GB  %s\n", (double)p->owners[largest[i]].bytes * 1e-9,
                plan_owner_text(p, largest[i], name, sizeof name));
    if (ferror(f)) return u3d_fail(U3D_E_OUTPUT, "write the plan's report: the output could not be written");
    return U3D_OK;
}
