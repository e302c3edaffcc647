/* Finds the operands of a map in its fused forms. The inputs after the plain ones have this order: skip map,
 * table of the map (or of up), table of skip; those that a form lacks are left out. */
#include "backends/opencl/cl_map.h"

static cl_map_part part_of(cl_place data, const u3d_type *t)
{
    cl_map_part p = {.data = data, .table = data, .c = t->dim[4]};
    for (int axis = 0; axis < 3; axis++) p.size[axis] = t->dim[1 + axis];
    return p;
}

cl_map cl_map_plain(cl_place data, const u3d_type *t)
{
    cl_map m = {.n = t->dim[0], .c = t->dim[4], .n_parts = 1, .part = {part_of(data, t)}};
    for (int axis = 0; axis < 3; axis++) m.size[axis] = t->dim[1 + axis];
    return m;
}

cl_map cl_map_of(const u3d_op_desc *d)
{
    const u3d_conv_attr *a = &d->attr.conv;
    cl_map m = cl_map_plain(cl_in(0), &d->in[0]);
    int32_t next = d->n_in - cl_map_extras(d);
    m.slope = a->slope;
    if (a->joined) {
        m.part[1] = part_of(cl_in(next), &d->in[next]);
        m.c += m.part[1].c;
        m.n_parts = 2;
        next++;
    }
    for (int i = 0; i < m.n_parts; i++) {
        if (!a->lazy[i]) continue;
        cl_map_part *p = &m.part[i];
        p->lazy = true;
        p->table = cl_in(next);
        p->table_step = d->in[next++].dim[0] > 1 ? 2 * p->c : 0;
    }
    return m;
}

bool cl_map_is_plain(const cl_map *m)
{
    return m->n_parts == 1 && !m->part[0].lazy;
}

int64_t cl_map_vec(const cl_map *m)
{
    return m->part[0].c % 4 == 0 && m->part[1].c % 4 == 0 ? 4 : 1;
}

void cl_map_define(cl_defines *defines, const cl_map *m, int64_t vec)
{
    cl_define(defines, "VEC", vec);
    cl_define(defines, "LAZY_X", m->part[0].lazy);
    cl_define(defines, "LAZY_SKIP", m->part[1].lazy);
    cl_define(defines, "JOINED", m->n_parts == 2);
}

void cl_map_args(cl_job *j, const cl_map *m)
{
    const cl_map_part *up = &m->part[0], *skip = m->n_parts == 2 ? &m->part[1] : up;
    cl_job_arg(j, up->data);
    cl_job_arg(j, skip->data);
    cl_job_arg(j, up->table);
    cl_job_arg(j, skip->table);
    for (int i = 0; i < 2; i++) {
        const cl_map_part *p = i == 0 ? up : skip;
        cl_job_size(j, p->size);
        cl_job_int(j, p->c);
        cl_job_int(j, p->table_step);
    }
    cl_job_float(j, m->slope);
}
