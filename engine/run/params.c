/* Parameters on the device: flat blocks with the same layout for values, gradients, moments and averages, and
 * a block for states.
 *
 *   block  | tensors with weight decay, each padded | tensors without, each padded |
 *          0                                    seg[0]                   seg[0] + seg[1]
 *
 * Every tensor begins at a multiple of 16 elements (a cache line), or of the device's alignment if that is
 * larger. The padding is zero in all blocks and stays zero in every update, because its gradient is zero. */
#include "engine/run/params.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/rng.h"

enum { PAD_ELEMS = 16, TYPE_CAP = 80 };

typedef struct param_start { /* the initial numbers of a tensor */
    u3d_init init;
    float sd; /* for U3D_INIT_HE_NORMAL */
} param_start;

struct u3d_params {
    u3d_backend *backend;
    u3d_param_info *info;
    param_start *start;
    int count;
    int64_t pad;                        /* tensors begin at multiples of this, in elements         */
    int64_t seg[2];                     /* elements of the segments with and without weight decay  */
    int64_t n_state;                    /* elements of the state block                             */
    u3d_buffer *block[U3D_BLOCK_COUNT]; /* NULL: not requested                                     */
    u3d_buffer *state;
};

static const char *const block_name[U3D_BLOCK_COUNT] = {"value", "gradient", "first moment", "second moment",
                                                        "average"};

/* FNV-1a hash of a name, used as the 64-bit index of its random numbers. */
static uint64_t params_hash(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
    return hash;
}

/* ---- layout ---- */

static u3d_status params_add(u3d_params *p, const u3d_value *v)
{
    char text[TYPE_CAP];
    if (v->type.dtype != U3D_F32)
        return u3d_fail(U3D_E_SHAPE, "parameter '%s': %s, but parameters are f32", v->name,
                        u3d_type_text(&v->type, text, sizeof text));
    if (u3d_params_find(p, v->name) >= 0)
        return u3d_fail(U3D_E_ARG, "parameter '%s': the graph has two of this name; names must differ",
                        v->name);
    u3d_param_info *info = &p->info[p->count];
    memcpy(info->name, v->name, sizeof info->name);
    info->type = v->type;
    info->decay = v->decay;
    info->state = v->role == U3D_ROLE_STATE;
    p->start[p->count].init = v->init;
    if (v->init == U3D_INIT_HE_NORMAL) {
        if (v->fan_in < 1)
            return u3d_fail(U3D_E_ARG, "parameter '%s': He initialisation needs fan_in >= 1, not %lld",
                            v->name, (long long)v->fan_in);
        p->start[p->count].sd = v->init_gain * sqrtf(2.0f / (float)v->fan_in);
    }
    p->count++;
    return U3D_OK;
}

/* Sets the offsets of the tensors of one kind, beginning at `off`; returns the end of the last one. */
static int64_t params_lay_out(u3d_params *p, bool state, bool decay, int64_t off)
{
    for (int i = 0; i < p->count; i++) {
        u3d_param_info *info = &p->info[i];
        if (info->state != state || (!state && info->decay != decay)) continue;
        info->off = (uint64_t)off;
        off += (u3d_type_elems(&info->type) + p->pad - 1) / p->pad * p->pad;
    }
    return off;
}

static u3d_status params_collect(u3d_params *p, const u3d_graph *g)
{
    int n_values = u3d_graph_n_values(g);
    p->info = u3d_new((size_t)n_values, sizeof *p->info);
    p->start = p->info ? u3d_new((size_t)n_values, sizeof *p->start) : NULL;
    if (!p->start) return U3D_E_NOMEM;
    for (u3d_val v = 0; v < n_values; v++) {
        const u3d_value *value = u3d_graph_value(g, v);
        if (value->role == U3D_ROLE_PARAM || value->role == U3D_ROLE_STATE) U3D_TRY(params_add(p, value));
    }
    u3d_caps caps;
    u3d_backend_caps(p->backend, &caps);
    p->pad = caps.align > PAD_ELEMS * sizeof(float) ? (int64_t)(caps.align / sizeof(float)) : PAD_ELEMS;
    p->seg[0] = params_lay_out(p, false, true, 0);
    p->seg[1] = params_lay_out(p, false, false, p->seg[0]) - p->seg[0];
    p->n_state = params_lay_out(p, true, false, 0);
    return U3D_OK;
}

/* ---- memory and initial values ---- */

static uint64_t params_block_bytes(const u3d_params *p)
{
    int64_t n = p->seg[0] + p->seg[1];
    return (uint64_t)(n > 0 ? n : p->pad) * sizeof(float);
}

static u3d_status params_alloc(u3d_params *p, uint32_t blocks)
{
    for (int k = 0; k < U3D_BLOCK_COUNT; k++) {
        if (!(blocks & (1u << k))) continue;
        U3D_TRY(u3d_backend_alloc(p->backend, params_block_bytes(p), &p->block[k]));
        U3D_TRY(u3d_backend_zero(p->backend, (u3d_span){p->block[k], 0}, params_block_bytes(p)));
    }
    if (p->n_state == 0) return U3D_OK;
    uint64_t bytes = (uint64_t)p->n_state * sizeof(float);
    U3D_TRY(u3d_backend_alloc(p->backend, bytes, &p->state));
    return u3d_backend_zero(p->backend, (u3d_span){p->state, 0}, bytes);
}

/* Fills x with the initial numbers of tensor i. Running statistics [2, C] begin with mean 0 and variance
 * 1. */
static void params_fill(const u3d_params *p, int i, uint64_t seed, float *x)
{
    const u3d_param_info *info = &p->info[i];
    int64_t n = u3d_type_elems(&info->type);
    bool running = p->start[i].init == U3D_INIT_RUNNING;
    if (p->start[i].init == U3D_INIT_HE_NORMAL) {
        u3d_rng rng = u3d_rng_at(seed, U3D_RNG_INIT, params_hash(info->name));
        for (int64_t k = 0; k < n; k++) x[k] = (float)(p->start[i].sd * u3d_rng_normal(&rng));
        return;
    }
    float all = p->start[i].init == U3D_INIT_ONE ? 1.0f : 0.0f;
    for (int64_t k = 0; k < n; k++) x[k] = running ? (k < n / 2 ? 0.0f : 1.0f) : all;
}

static u3d_status params_init(u3d_params *p, uint64_t seed)
{
    int64_t most = 0;
    for (int i = 0; i < p->count; i++)
        if (u3d_type_elems(&p->info[i].type) > most) most = u3d_type_elems(&p->info[i].type);
    float *x = u3d_new_uninit((size_t)most, sizeof *x);
    if (!x) return U3D_E_NOMEM;

    u3d_status status = U3D_OK;
    for (int i = 0; i < p->count; i++) {
        uint64_t bytes = u3d_type_bytes(&p->info[i].type);
        params_fill(p, i, seed, x);
        U3D_GO(u3d_backend_upload(p->backend, u3d_params_at(p, U3D_BLOCK_VALUE, i), x, bytes));
        if (u3d_params_has(p, U3D_BLOCK_AVERAGE) && !p->info[i].state)
            U3D_GO(u3d_backend_upload(p->backend, u3d_params_at(p, U3D_BLOCK_AVERAGE, i), x, bytes));
    }

done:
    u3d_free(x);
    return status;
}

u3d_status u3d_params_new(u3d_backend *b, const u3d_graph *g, uint32_t blocks, uint64_t seed,
                          u3d_params **out)
{
    *out = NULL;
    u3d_status status;
    u3d_params *p = u3d_new(1, sizeof *p);
    if (!p) return U3D_E_NOMEM;
    p->backend = b;
    U3D_GO(params_collect(p, g));
    U3D_GO(params_alloc(p, blocks | 1u << U3D_BLOCK_VALUE));
    U3D_GO(params_init(p, seed));
    *out = p;
    p = NULL;

done:
    u3d_params_free(p);
    return status;
}

void u3d_params_free(u3d_params *p)
{
    if (!p) return;
    for (int k = 0; k < U3D_BLOCK_COUNT; k++) u3d_backend_release(p->backend, p->block[k]);
    u3d_backend_release(p->backend, p->state);
    u3d_free(p->start);
    u3d_free(p->info);
    u3d_free(p);
}

/* ---- looking up ---- */

int u3d_params_count(const u3d_params *p)
{
    return p->count;
}

const u3d_param_info *u3d_params_info(const u3d_params *p, int i)
{
    U3D_ASSERT(i >= 0 && i < p->count, "parameter %d of %d", i, p->count);
    return &p->info[i];
}

int u3d_params_find(const u3d_params *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->info[i].name, name) == 0) return i;
    return -1;
}

uint64_t u3d_params_planned_bytes(const u3d_graph *g, uint32_t blocks)
{
    uint64_t values = 0, state = 0;
    for (int v = 0; v < u3d_graph_n_values(g); v++) {
        const u3d_value *value = u3d_graph_value(g, v);
        if (value->role == U3D_ROLE_PARAM) values += u3d_type_bytes(&value->type);
        if (value->role == U3D_ROLE_STATE) state += u3d_type_bytes(&value->type);
    }
    return values * (uint64_t)__builtin_popcount(blocks) + state;
}

uint64_t u3d_params_bytes(const u3d_params *p)
{
    uint64_t sum = (uint64_t)p->n_state * sizeof(float);
    for (int k = 0; k < U3D_BLOCK_COUNT; k++)
        if (p->block[k]) sum += params_block_bytes(p);
    return sum;
}

bool u3d_params_has(const u3d_params *p, u3d_block block)
{
    return p->block[block] != NULL;
}

u3d_span u3d_params_span(const u3d_params *p, u3d_block block, int segment, int64_t *n)
{
    U3D_ASSERT(segment >= -1 && segment <= 1, "segment %d", segment);
    if (n) *n = segment < 0 ? p->seg[0] + p->seg[1] : p->seg[segment];
    return (u3d_span){p->block[block], segment == 1 ? (uint64_t)p->seg[0] * sizeof(float) : 0};
}

u3d_span u3d_params_at(const u3d_params *p, u3d_block block, int i)
{
    const u3d_param_info *info = u3d_params_info(p, i);
    return (u3d_span){info->state ? p->state : p->block[block], info->off * sizeof(float)};
}

u3d_backend *u3d_params_backend(const u3d_params *p)
{
    return p->backend;
}

void u3d_params_swap_average(u3d_params *p)
{
    if (!p->block[U3D_BLOCK_AVERAGE]) return;
    u3d_buffer *value = p->block[U3D_BLOCK_VALUE];
    p->block[U3D_BLOCK_VALUE] = p->block[U3D_BLOCK_AVERAGE];
    p->block[U3D_BLOCK_AVERAGE] = value;
}

/* ---- to and from the host ---- */

static u3d_status params_check_copy(const u3d_params *p, u3d_block block, int i, const u3d_tensor *t)
{
    const u3d_param_info *info = u3d_params_info(p, i);
    if (info->state && block != U3D_BLOCK_VALUE)
        return u3d_fail(U3D_E_ARG, "state '%s': it has a value but no %s", info->name, block_name[block]);
    if (!info->state && !p->block[block])
        return u3d_fail(U3D_E_ARG,
                        "parameter '%s': the %s block was not requested when the parameters were created",
                        info->name, block_name[block]);
    char have[TYPE_CAP], want[TYPE_CAP];
    if (!u3d_type_equal(&info->type, &t->type))
        return u3d_fail(U3D_E_SHAPE, "parameter '%s': the host tensor is %s, expected %s", info->name,
                        u3d_type_text(&t->type, have, sizeof have),
                        u3d_type_text(&info->type, want, sizeof want));
    return U3D_OK;
}

u3d_status u3d_params_download(u3d_params *p, u3d_block block, int i, u3d_tensor *t)
{
    U3D_TRY(params_check_copy(p, block, i, t));
    return u3d_backend_download(p->backend, t->data, u3d_params_at(p, block, i), u3d_type_bytes(&t->type));
}

u3d_status u3d_params_upload(u3d_params *p, u3d_block block, int i, const u3d_tensor *t)
{
    U3D_TRY(params_check_copy(p, block, i, t));
    return u3d_backend_upload(p->backend, u3d_params_at(p, block, i), t->data, u3d_type_bytes(&t->type));
}
