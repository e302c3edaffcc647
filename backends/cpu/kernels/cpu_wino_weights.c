/* Transforms weights by G before they are multiplied, and sums of products by G^T to gradients of weights. */
#include "backends/cpu/kernels/cpu_wino_weights.h"

enum {
    K_BLOCK = 16,       /* depth of one item: a cache line of transposed weights  */
    READ_AHEAD = 4,     /* prefetch distance of loads, in depths                  */
    AHEAD = 4 * CPU_VL, /* prefetch distance of stores, in floats                 */
    MAX_TAPS = 27
};

static int64_t taps_of(const cpu_wino *w)
{
    int64_t taps = 1;
    for (int i = 0; i < 3; i++) taps *= cpu_wino_taps(w->m[i]);
    return taps;
}

/* ---- forward: G along every axis ---- */

/* Transforms the taps of one vector of channels to products, which are `to_step` floats apart. The tile sizes
 * m are constants in every call. */
CPU_INLINE void products(const int m[3], const cpu_vec *taps, float *to, int64_t to_step)
{
    const int rz = cpu_wino_taps(m[0]), ry = cpu_wino_taps(m[1]), rx = cpu_wino_taps(m[2]);
    const int az = cpu_wino_inputs(m[0]), ay = cpu_wino_inputs(m[1]), ax = cpu_wino_inputs(m[2]);
    cpu_vec along_z[CPU_WINO_A][3][3];

    for (int y = 0; y < ry; y++)
        for (int x = 0; x < rx; x++) {
            cpu_vec g[3], o[CPU_WINO_A];
            for (int z = 0; z < rz; z++) g[z] = taps[(z * ry + y) * rx + x];
            cpu_wino_g(m[0], g, o);
            for (int z = 0; z < az; z++) along_z[z][y][x] = o[z];
        }
    for (int z = 0; z < az; z++) {
        cpu_vec along_y[3][CPU_WINO_A];
        for (int x = 0; x < rx; x++) {
            cpu_vec g[3];
            for (int y = 0; y < ry; y++) g[y] = along_z[z][y][x];
            cpu_wino_g(m[1], g, along_y[x]);
        }
        for (int y = 0; y < ay; y++) {
            cpu_vec g[3], o[CPU_WINO_A];
            for (int x = 0; x < rx; x++) g[x] = along_y[x][y];
            cpu_wino_g(m[2], g, o);
            for (int x = 0; x < ax; x++, to += to_step) cpu_store_ahead(to, o[x], AHEAD);
        }
    }
}

static void products_of(const int m[3], const cpu_vec *taps, float *to, int64_t to_step)
{
    switch (m[0] * 100 + m[1] * 10 + m[2]) {
#define CASE(z, y, x)                                                                                        \
    case z * 100 + y * 10 + x: products((const int[]){z, y, x}, taps, to, to_step); break;
        CPU_WINO_SHAPES(CASE)
#undef CASE
    default: U3D_ASSERT(false, "tiles of %d x %d x %d", m[0], m[1], m[2]);
    }
}

/* Computes the offsets of the taps of a weight, in floats, and returns their number. */
static int tap_offsets(const cpu_wino *w, const cpu_conv_weights *from, int64_t off[MAX_TAPS])
{
    int taps = 0;
    for (int z = 0; z < cpu_wino_taps(w->m[0]); z++)
        for (int y = 0; y < cpu_wino_taps(w->m[1]); y++)
            for (int x = 0; x < cpu_wino_taps(w->m[2]); x++)
                off[taps++] = z * from->step[0] + y * from->step[1] + x * from->step[2];
    return taps;
}

/* Copies K_BLOCK depths of one panel to a dense array w[tap][k][lane], for weights that are stored transposed
 * or do not fill vectors. Their lines are too far apart for the hardware prefetcher, so those of the next tap
 * are prefetched here. */
static void transpose(const cpu_conv_weights *from, const int64_t *off, int taps, int64_t k0, int64_t k1,
                      int64_t co0, int64_t lanes, float *to)
{
    const int64_t k_step = from->step[3], step = from->step[4];
    for (int tap = 0; tap < taps; tap++, to += K_BLOCK * CPU_PANEL) {
        const float *at = from->w + off[tap] + k0 * k_step + co0 * step;
        const int64_t next = tap + 1 < taps ? off[tap + 1] - off[tap] : 0;
        for (int64_t j = 0; j < lanes; j++, at += step) {
            __builtin_prefetch(at + next);
            for (int64_t k = 0; k < k1 - k0; k++) to[k * CPU_PANEL + j] = at[k * k_step];
        }
    }
}

/* Transforms depths [k0, k1) of one panel; in the products, the depths of this part begin at `depth0`. */
static void transform_block(const cpu_wino *w, const cpu_conv_weights *from, int64_t k0, int64_t k1,
                            int64_t depth0, int64_t co, int64_t co0, float *to, const cpu_products *p)
{
    float block[MAX_TAPS * K_BLOCK * CPU_PANEL] __attribute__((aligned(64)));
    int64_t off[MAX_TAPS], step = from->step[3];
    const int64_t lanes = cpu_min(CPU_PANEL, co - co0), width = cpu_wino_channels(lanes);
    const int taps = tap_offsets(w, from, off);
    const float *at = from->w + k0 * step + co0;

    if (from->step[4] != 1 || lanes % CPU_VL != 0) {
        if (lanes < width) memset(block, 0, sizeof block);
        transpose(from, off, taps, k0, k1, co0, lanes, block);
        for (int tap = 0; tap < taps; tap++) off[tap] = tap * K_BLOCK * CPU_PANEL;
        at = block;
        step = CPU_PANEL;
    }
    for (int64_t k = k0; k < k1; k++, at += step)
        for (int64_t c = 0; c < width; c += CPU_VL) {
            cpu_vec g[MAX_TAPS];
            for (int tap = 0; tap < taps; tap++) {
                __builtin_prefetch(at + off[tap] + READ_AHEAD * step);
                g[tap] = cpu_load(at + off[tap] + c);
            }
            products_of(w->m, g, to + (depth0 + k) * width + c, p->step);
        }
}

cpu_products CPU_NAME(cpu_wino_products)(const cpu_wino *w, int64_t depth, int64_t cols, float *data)
{
    cpu_products p = {.data = data, .depth = depth, .cols = cols, .panel = depth * CPU_PANEL};
    p.step = cpu_lines(depth * cpu_wino_channels(cols)) + 16;
    p.floats = p.step * w->planes * w->a[2];
    return p;
}

void CPU_NAME(cpu_wino_weights)(const cpu_wino *w, const cpu_conv_weights *from, const cpu_map *map,
                                int64_t co0, int64_t co1, const cpu_products *p)
{
    const int64_t panels = cpu_ceil_div(co1 - co0, CPU_PANEL);
    int64_t depth0 = 0, first = 0; /* where this part's channels begin in the products and in the weights */
    for (int i = 0; i < map->n_parts; i++) {
        const int64_t c = map->part[i].c, blocks = cpu_ceil_div(c, K_BLOCK);
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t item = 0; item < panels * blocks; item++) {
            const int64_t panel = item / blocks, k0 = item % blocks * K_BLOCK, k1 = cpu_min(k0 + K_BLOCK, c);
            cpu_conv_weights part = *from;
            part.w += first * from->step[3];
            transform_block(w, &part, k0, k1, depth0, co1, co0 + panel * CPU_PANEL,
                            p->data + panel * p->panel, p);
        }
        /* The planes of channels that only fill up a vector are zero, and so must their weights be. */
        const int64_t full = i + 1 < map->n_parts ? cpu_wino_channels(c) : c;
        if (full > c) {
#pragma omp for schedule(static) nowait
            for (int64_t j = 0; j < w->planes * w->a[2]; j++)
                for (int64_t panel = 0; panel < panels; panel++) {
                    const int64_t width =
                        cpu_min(CPU_PANEL, cpu_wino_channels(co1 - co0 - panel * CPU_PANEL));
                    memset(p->data + j * p->step + panel * p->panel + (depth0 + c) * width, 0,
                           (size_t)((full - c) * width) * sizeof(float));
                }
        }
        depth0 += full;
        first += c;
    }
#pragma omp barrier
}

/* ---- gradient: G^T along every axis ---- */

CPU_INLINE void gradients(const int m[3], const float *from, int64_t step, cpu_vec *taps)
{
    const int rz = cpu_wino_taps(m[0]), ry = cpu_wino_taps(m[1]), rx = cpu_wino_taps(m[2]);
    const int az = cpu_wino_inputs(m[0]), ay = cpu_wino_inputs(m[1]), ax = cpu_wino_inputs(m[2]);
    cpu_vec along_yx[CPU_WINO_A][3][3];

    for (int z = 0; z < az; z++) {
        cpu_vec along_x[3][CPU_WINO_A];
        for (int y = 0; y < ay; y++) {
            cpu_vec p[CPU_WINO_A], o[3];
            for (int x = 0; x < ax; x++, from += step) p[x] = cpu_load(from);
            cpu_wino_gt(m[2], p, o);
            for (int x = 0; x < rx; x++) along_x[x][y] = o[x];
        }
        for (int x = 0; x < rx; x++) {
            cpu_vec o[3];
            cpu_wino_gt(m[1], along_x[x], o);
            for (int y = 0; y < ry; y++) along_yx[z][y][x] = o[y];
        }
    }
    for (int y = 0; y < ry; y++)
        for (int x = 0; x < rx; x++) {
            cpu_vec p[CPU_WINO_A], o[3];
            for (int z = 0; z < az; z++) p[z] = along_yx[z][y][x];
            cpu_wino_gt(m[0], p, o);
            for (int z = 0; z < rz; z++) taps[(z * ry + y) * rx + x] = o[z];
        }
}

static void gradients_of(const int m[3], const float *from, int64_t step, cpu_vec *taps)
{
    switch (m[0] * 100 + m[1] * 10 + m[2]) {
#define CASE(z, y, x)                                                                                        \
    case z * 100 + y * 10 + x: gradients((const int[]){z, y, x}, from, step, taps); break;
        CPU_WINO_SHAPES(CASE)
#undef CASE
    default: U3D_ASSERT(false, "tiles of %d x %d x %d", m[0], m[1], m[2]);
    }
}

void CPU_NAME(cpu_wino_gradients)(const cpu_wino *w, const float *sums, int64_t step, int64_t row, int64_t ci,
                                  int64_t co, float *dw, bool add)
{
    const int64_t taps = taps_of(w);
    cpu_vec g[MAX_TAPS];
    for (int64_t c = 0; c < co; c += CPU_VL) {
        const int64_t lanes = cpu_min(CPU_VL, co - c);
        gradients_of(w->m, sums + c, step, g);
        for (int64_t tap = 0; tap < taps; tap++) {
            float *to = dw + (tap * ci + row) * co + c;
            if (lanes == CPU_VL) {
                cpu_store(to, add ? cpu_load(to) + g[tap] : g[tap]);
            } else {
                for (int64_t i = 0; i < lanes; i++) to[i] = add ? to[i] + g[tap][i] : g[tap][i];
            }
        }
    }
}
