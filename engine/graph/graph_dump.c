/* Writes the graph as Graphviz text. Nodes are boxes, grey in the backward pass. Values that no node
 * computes, outputs and gradients of parameters are ellipses; all other values are arrows, labelled with
 * their shapes. Render with `dot -Tsvg`. */
#include "engine/graph/graph.h"

#include <inttypes.h>

static void dump_value(const u3d_graph *g, u3d_val v, FILE *f)
{
    static const char *const colours[] = {
        [U3D_ROLE_INPUT] = "lightblue",  [U3D_ROLE_PARAM] = "lightyellow", [U3D_ROLE_GRAD] = "mistyrose",
        [U3D_ROLE_STATE] = "lightgreen", [U3D_ROLE_TEMP] = "white",        [U3D_ROLE_OUTPUT] = "orange",
    };
    char type[160];
    const u3d_value *value = u3d_graph_value(g, v);
    bool leaf = value->producer == U3D_NONE;
    bool kept = value->role == U3D_ROLE_OUTPUT || value->role == U3D_ROLE_GRAD;
    if (!leaf && !kept) return;
    fprintf(f, "  v%" PRId32 " [shape=ellipse, style=filled, fillcolor=%s, label=\"%s\\n%s\"];\n", v,
            colours[value->role], value->name, u3d_type_text(&value->type, type, sizeof type));
    if (!leaf) fprintf(f, "  n%" PRId32 " -> v%" PRId32 ";\n", value->producer, v);
}

static void dump_node(const u3d_graph *g, int i, FILE *f)
{
    char attr[160] = "", type[160];
    u3d_op_desc d;
    const u3d_node *n = u3d_graph_node(g, i);
    const u3d_op_info *info = u3d_op_info_get(n->op);
    u3d_graph_desc(g, i, &d);
    if (info->text) info->text(&d, attr, sizeof attr);
    fprintf(f, "  n%d [label=\"%s\\n%s %s%s\"%s];\n", i, n->name, info->name, attr,
            n->accumulate ? " +=" : "", n->backward ? ", style=filled, fillcolor=grey90" : "");
    for (int j = 0; j < n->n_in; j++) {
        const u3d_value *value = u3d_graph_value(g, n->in[j]);
        bool leaf = value->producer == U3D_NONE;
        fprintf(f, "  %c%" PRId32 " -> n%d [label=\"%s\"];\n", leaf ? 'v' : 'n',
                leaf ? n->in[j] : value->producer, i,
                leaf ? "" : u3d_type_text(&value->type, type, sizeof type));
    }
}

u3d_status u3d_graph_write_dot(const u3d_graph *g, FILE *f)
{
    fputs("digraph u3d {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\", fontsize=10];\n", f);
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++) dump_value(g, v, f);
    for (int i = 0; i < u3d_graph_n_nodes(g); i++) dump_node(g, i, f);
    fputs("}\n", f);
    if (fflush(f) != 0 || ferror(f))
        return u3d_fail(U3D_E_OUTPUT, "write the graph: the output could not be written");
    return U3D_OK;
}
