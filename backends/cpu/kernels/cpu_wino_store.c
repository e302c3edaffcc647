/* The store phase of the Winograd convolutions: transforms planes back along z and y, adds the bias, writes
 * the voxels that lie inside the map, and gathers sums for the moments. */
#include "backends/cpu/kernels/cpu_wino.h"

typedef struct target { /* the outputs of one strip */
    float *line[16];    /* voxel x = 0, channel co0 of each (z, y); NULL outside the map */
    int64_t step, channels;
    const float *bias;
    float *origin, *sum, *square; /* moments of this strip; NULL: not wanted */
    bool whole, add, stream;
} target;

CPU_INLINE void put(const target *t, float *to, int64_t c, cpu_vec v, bool ragged)
{
    const int64_t lanes = cpu_min(CPU_VL, t->channels - c);
    if (!ragged && t->stream) {
        cpu_stream(to + c, v);
    } else if (!ragged || lanes == CPU_VL) {
        cpu_store(to + c, t->add ? cpu_load(to + c) + v : v);
    } else {
        for (int64_t i = 0; i < lanes; i++) to[c + i] = t->add ? to[c + i] + v[i] : v[i];
    }
}

/* Sums over a strip for one vector of channels. They are relative to the strip's first voxel, so that an
 * offset of the data costs no digits. */
typedef struct tally {
    cpu_vec origin, sum, square;
} tally;

CPU_INLINE tally tally_of(const target *t, int64_t c, bool first)
{
    if (first || !t->sum) return (tally){{0}, {0}, {0}};
    return (tally){cpu_load(t->origin + c), cpu_load(t->sum + c), cpu_load(t->square + c)};
}

CPU_INLINE void tally_add(tally *s, cpu_vec v)
{
    const cpu_vec d = v - s->origin;
    s->sum += d;
    s->square += d * d;
}

CPU_INLINE void tally_keep(const target *t, int64_t c, const tally *s)
{
    cpu_store(t->origin + c, s->origin);
    cpu_store(t->sum + c, s->sum);
    cpu_store(t->square + c, s->square);
}

/* Writes the outputs z0 <= z < z1 of a column, for all y. */
CPU_INLINE void rows_out(int mz, int my, const target *t, const float *from, int64_t step, int64_t x,
                         int64_t c, int z0, int z1, bool first, bool careful, tally *s)
{
    const int az = cpu_wino_inputs(mz), ay = cpu_wino_inputs(my);
    const cpu_vec bias = cpu_load(t->bias + c);
    cpu_vec tmp[4][CPU_WINO_A], v[4];
#pragma GCC unroll 6
    for (int y = 0; y < ay; y++) {
        cpu_vec p[CPU_WINO_A], o[4];
#pragma GCC unroll 6
        for (int z = 0; z < az; z++) p[z] = cpu_load(from + (z * ay + y) * step + c);
        cpu_wino_at(mz, p, o);
#pragma GCC unroll 4
        for (int z = z0; z < z1; z++) tmp[z - z0][y] = o[z];
    }
#pragma GCC unroll 4
    for (int z = z0; z < z1; z++) {
        cpu_wino_at(my, tmp[z - z0], v);
#pragma GCC unroll 4
        for (int y = 0; y < my; y++) {
            float *line = t->line[z * my + y];
            if (careful && !line) continue;
            v[y] += bias;
            put(t, line + x * t->step, c, v[y], careful);
            if (!t->sum) continue;
            if (first && z == 0 && y == 0) s->origin = v[y];
            tally_add(s, v[y]);
        }
    }
}

/* All vectors of one column; mz, my and careful are constants in every call. With mz = 4, outputs along z are
 * computed in two halves, because a half needs no more registers than AVX-512 has. */
CPU_INLINE void column_out(int mz, int my, const target *t, const float *from, int64_t step, int64_t x,
                           bool first, bool careful)
{
    const int part = mz == 4 ? 2 : mz;
    for (int64_t c = 0; c < t->channels; c += CPU_VL) {
        tally s = tally_of(t, c, first);
#pragma GCC unroll 2
        for (int z = 0; z < mz; z += part)
            rows_out(mz, my, t, from, step, x, c, z, z + part, first, careful, &s);
        if (t->sum) tally_keep(t, c, &s);
    }
}

#define COLUMN_OUT(mz, my)                                                                                   \
    static void column_out_##mz##my(const target *t, const float *from, int64_t step, int64_t x, bool first) \
    {                                                                                                        \
        if (t->whole && t->channels % CPU_VL == 0)                                                           \
            column_out(mz, my, t, from, step, x, first, false);                                              \
        else                                                                                                 \
            column_out(mz, my, t, from, step, x, first, true);                                               \
    }
CPU_WINO_ZY(COLUMN_OUT)

typedef void column_out_fn(const target *t, const float *from, int64_t step, int64_t x, bool first);

static column_out_fn *const columns_out[3][3] = CPU_WINO_ZY_TABLE(column_out);

static target target_of(const cpu_wino *w, const cpu_wino_out *o, cpu_strip s)
{
    target t = {.step = o->co,
                .channels = o->co1 - o->co0,
                .bias = o->bias + o->co0,
                .whole = true,
                .add = o->add,
                .stream = o->stream};
    for (int i = 0; i < w->m[0] * w->m[1]; i++) {
        const int64_t z = s.z + i / w->m[1], y = s.y + i % w->m[1];
        const bool inside = z < w->size[0] && y < w->size[1];
        t.whole = t.whole && inside;
        if (inside)
            t.line[i] = o->y + (((s.n * w->size[0] + z) * w->size[1] + y) * w->size[2]) * o->co + o->co0;
    }
    if (o->part) {
        const int64_t co = cpu_wino_channels(o->co);
        t.origin = o->part + o->co0;
        t.sum = t.origin + co;
        t.square = t.sum + co;
    }
    return t;
}

void CPU_NAME(cpu_wino_store)(const cpu_wino *w, const cpu_wino_out *o, int64_t strip, int64_t at,
                              const cpu_planes *p)
{
    const cpu_strip s = cpu_wino_strip(w, strip);
    const target t = target_of(w, o, s);
    const int64_t cols = cpu_wino_inside(w, s);
    column_out_fn *const run = columns_out[w->m[0] / 2][w->m[1] / 2];
    const float *from = p->data + at * p->cols * p->c;
    for (int64_t x = 0; x < cols; x++, from += p->c) run(&t, from, p->step, s.x + x, x == 0);
    if (o->stream) cpu_stream_end();
}
