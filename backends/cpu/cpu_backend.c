/* The CPU as a backend: memory, threads, and the choice of an implementation for each op description.
 *
 * A buffer is host memory, so upload and download are copies and run is a function call. kernels/ holds an
 * ordered list of implementations for every op, once per instruction set; the instruction set is chosen when
 * the backend is opened. A description is served by the first entry in the list that does not refuse it,
 * unless a later one has a lower estimated cost (pick_entry). */
#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backends/cpu/cpu_impl.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"

extern const u3d_backend_vt u3d_backend_cpu; /* at the end */

enum {
    CPU_ALIGN = 64,         /* one cache line, one AVX-512 register */
    CPU_THREADS_MAX = 1024, /* more than any machine has; catches typing errors */
    HUGE_PAGE = 2 << 20,    /* transparent huge pages of x86-64 and ARM64 with 4 kB pages */
    ZERO_BYTES = 1 << 20    /* bytes that one thread clears at a time */
};

typedef struct cpu_backend {
    u3d_backend base;
    const cpu_isa *isa;
    int threads;
    u3d_caps caps;
    char posted[U3D_POST_SLOTS][U3D_POST_BYTES];
} cpu_backend;

struct u3d_buffer {
    char *data;
    uint64_t bytes;
    bool mapped; /* data comes from mmap, otherwise from u3d_new_uninit */
};

struct u3d_kernel {
    u3d_op_desc desc;
    const cpu_entry *entry;
    uint64_t work_bytes;
};

static const cpu_backend *self(const u3d_backend *b)
{
    return (const cpu_backend *)b;
}

/* ---- the device ---- */

/* Copies the model name of the first processor, from a line like "model name : AMD EPYC 7763 ...". Linux
 * prints no such line on ARM64; then the name is "CPU". */
static void read_model(char *buf, size_t cap)
{
    snprintf(buf, cap, "CPU");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(buf, cap, "%.100s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    fclose(f);
}

/* Physical cores per hardware thread, for the first processor: two hyperthreads compute hardly faster than
 * the core that they share. Returns 1 if /proc/cpuinfo does not say. */
static double cores_per_thread(void)
{
    int threads = 0, cores = 0;
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return 1;
    while ((threads == 0 || cores == 0) && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (colon && strncmp(line, "siblings", 8) == 0) threads = atoi(colon + 1);
        if (colon && strncmp(line, "cpu cores", 9) == 0) cores = atoi(colon + 1);
    }
    fclose(f);
    return cores > 0 && cores < threads ? (double)cores / threads : 1;
}

/* A Linux kernel that supports transparent huge pages counts them in /proc/meminfo. */
static bool huge_pages_known(void)
{
    char line[64];
    bool known = false;
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f) return false;
    while (!known && fgets(line, sizeof line, f)) known = strncmp(line, "AnonHugePages:", 14) == 0;
    fclose(f);
    return known;
}

/* Whether Linux grants the huge pages that map_huge asks for. Source: Linux,
 * Documentation/admin-guide/mm/transhuge.rst. Some containers hide the switch. The answer is then whether
 * Linux supports huge pages at all, because the setting "never" is rare. */
static bool huge_pages_granted(void)
{
    char line[64] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (!f) return huge_pages_known();
    bool read = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    return read && !strstr(line, "[never]");
}

static void fill_caps(const cpu_isa *isa, int threads, u3d_caps *out)
{
    char model[104];
    read_model(model, sizeof model);
    uint64_t memory = u3d_mem_machine();
    *out = (u3d_caps){
        .mem_bytes = memory,
        .max_alloc_bytes = memory ? memory : UINT64_MAX / 2,
        .page_bytes = huge_pages_granted() ? HUGE_PAGE : 0,
        .align = CPU_ALIGN,
        .compute_units = threads,
        .train_flops = threads * cores_per_thread() * isa->train_flops,
        .host_memory = true,
        .deterministic = true,
        .usable = true,
    };
    snprintf(out->device, sizeof out->device, "%s, %s", model, isa->name);
    snprintf(out->driver, sizeof out->driver, "OpenMP %d, compiler %s", _OPENMP, __VERSION__);
}

/* `wanted` is an index (only 0 exists) or part of the device name; a text that consists of digits is an
 * index. */
static u3d_status check_device(const char *wanted, const char *device)
{
    if (!wanted || strcmp(wanted, "0") == 0) return U3D_OK;
    bool is_index = wanted[strspn(wanted, "0123456789")] == '\0';
    if (!is_index && strcasestr(device, wanted)) return U3D_OK;
    return u3d_fail(U3D_E_DEVICE, "open backend 'cpu': there is no device '%s'; the only device is 0, '%s'",
                    wanted, device);
}

static u3d_status pick_threads(int32_t wanted, int *out)
{
    *out = omp_get_num_procs(); /* the cores that the affinity mask allows */
    const char *text = u3d_env_get(U3D_ENV_THREADS);
    if (wanted == 0 && text) {
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (errno || *end || value < 1 || value > CPU_THREADS_MAX)
            return u3d_fail(U3D_E_ARG, "U3D_THREADS=%s: expected a number from 1 to %d", text,
                            CPU_THREADS_MAX);
        wanted = (int32_t)value;
    }
    if (wanted < 0 || wanted > CPU_THREADS_MAX)
        return u3d_fail(U3D_E_ARG, "open backend 'cpu' with %d threads: expected 1 to %d, or 0 for all cores",
                        wanted, CPU_THREADS_MAX);
    if (wanted > 0) *out = wanted;
    return U3D_OK;
}

static u3d_status cpu_device_list(u3d_caps *out, int cap, int *n)
{
    *n = 0;
    const cpu_isa *isa;
    int threads;
    U3D_TRY(cpu_isa_pick(u3d_env_get(U3D_ENV_CPU_ISA), &isa));
    U3D_TRY(pick_threads(0, &threads));
    if (cap > 0) fill_caps(isa, threads, out);
    *n = 1;
    return U3D_OK;
}

static u3d_status cpu_open(const u3d_backend_opts *o, u3d_backend **out)
{
    *out = NULL;
    const cpu_isa *isa;
    int threads;
    u3d_caps caps;
    U3D_TRY(cpu_isa_pick(u3d_env_get(U3D_ENV_CPU_ISA), &isa));
    U3D_TRY(pick_threads(o ? o->threads : 0, &threads));
    fill_caps(isa, threads, &caps);
    U3D_TRY(check_device(o ? o->device : NULL, caps.device));

    cpu_backend *b = u3d_new(1, sizeof *b);
    if (!b) return U3D_E_NOMEM;
    b->base.vt = &u3d_backend_cpu;
    b->isa = isa;
    b->threads = threads;
    b->caps = caps;
    *out = &b->base;
    return U3D_OK;
}

static void cpu_close(u3d_backend *b)
{
    u3d_free(b);
}

static void cpu_caps(const u3d_backend *b, u3d_caps *out)
{
    *out = self(b)->caps;
}

/* ---- memory ---- */

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Maps address space that begins at a huge page border. The pages are allocated at first touch, which the
 * kernels do in parallel. */
static char *map_huge(uint64_t bytes)
{
    uint64_t want = round_up(bytes, HUGE_PAGE), mapped = want + HUGE_PAGE;
    char *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return NULL;
    uint64_t head = round_up((uintptr_t)base, HUGE_PAGE) - (uintptr_t)base;
    if (head) munmap(base, head);
    munmap(base + head + want, mapped - head - want);
    madvise(base + head, want, MADV_HUGEPAGE); /* only a hint: a refusal costs speed, nothing else */
    return base + head;
}

static u3d_status cpu_alloc(u3d_backend *b, uint64_t bytes, u3d_buffer **out)
{
    (void)b;
    *out = NULL;
    if (bytes > UINT64_MAX / 4) return u3d_fail(U3D_E_NOMEM, "allocate %.3g bytes: too many", (double)bytes);
    u3d_buffer *buf = u3d_new(1, sizeof *buf);
    if (!buf) return U3D_E_NOMEM;
    buf->bytes = bytes;
    buf->mapped = bytes >= HUGE_PAGE;
    buf->data = buf->mapped ? map_huge(bytes) : u3d_new_uninit(round_up(bytes, CPU_ALIGN), 1);
    if (!buf->data) {
        u3d_status status = U3D_E_NOMEM;
        if (buf->mapped)
            status = u3d_fail(U3D_E_NOMEM, "allocate %.3f GB of memory: %s", (double)bytes * 1e-9,
                              strerror(errno));
        u3d_free(buf);
        return status;
    }
    *out = buf;
    return U3D_OK;
}

static void cpu_release(u3d_backend *b, u3d_buffer *buf)
{
    (void)b;
    if (!buf) return;
    if (buf->mapped)
        munmap(buf->data, round_up(buf->bytes, HUGE_PAGE));
    else
        u3d_free(buf->data);
    u3d_free(buf);
}

static uint64_t cpu_peak_bytes(const u3d_backend *b)
{
    (void)b;
    return 0;
}

static u3d_status cpu_upload(u3d_backend *b, u3d_span dst, const void *src, uint64_t bytes)
{
    (void)b;
    memcpy(dst.buf->data + dst.off, src, bytes);
    return U3D_OK;
}

static u3d_status cpu_download(u3d_backend *b, void *dst, u3d_span src, uint64_t bytes)
{
    (void)b;
    memcpy(dst, src.buf->data + src.off, bytes);
    return U3D_OK;
}

static u3d_status cpu_zero(u3d_backend *b, u3d_span dst, uint64_t bytes)
{
    char *data = dst.buf->data + dst.off;
    int threads = self(b)->threads;
    (void)threads; /* unused if OpenMP is off */
#pragma omp parallel for num_threads(threads) schedule(static) if (bytes > ZERO_BYTES)
    for (uint64_t at = 0; at < bytes; at += ZERO_BYTES)
        memset(data + at, 0, bytes - at < ZERO_BYTES ? bytes - at : ZERO_BYTES);
    return U3D_OK;
}

static u3d_status cpu_post(u3d_backend *b, u3d_span src, uint32_t bytes, int slot)
{
    memcpy(((cpu_backend *)b)->posted[slot], src.buf->data + src.off, bytes);
    return U3D_OK;
}

static u3d_status cpu_collect(u3d_backend *b, int slot, void *dst, uint32_t bytes)
{
    memcpy(dst, self(b)->posted[slot], bytes);
    return U3D_OK;
}

/* ---- work ---- */

static const char *cpu_impl_name(const u3d_backend *b, u3d_op op, int i)
{
    const cpu_entry *list = self(b)->isa->list[op];
    for (int at = 0; list[at].name; at++)
        if (at == i) return list[at].name;
    return NULL;
}

/* Whether `e` replaces the entry found so far: it does if none has been found, or if both have a cost and
 * that of `e` is lower. */
static bool is_cheaper(const cpu_entry *e, const cpu_entry *found, const u3d_op_desc *d)
{
    return !found || (e->cost && found->cost && e->cost(d) < found->cost(d));
}

/* Picks the cheapest of the entries that accept `d`, and the first of them if costs are equal or unknown. If
 * d->impl is set, only the entry of that name is considered. */
static u3d_status pick_entry(const cpu_backend *b, const u3d_op_desc *d, const cpu_entry **out)
{
    const char *reason = "no implementation";
    bool named = false;
    *out = NULL;
    for (const cpu_entry *e = b->isa->list[d->op]; e->name; e++) {
        if (d->impl && strcmp(d->impl, e->name) != 0) continue;
        named = true;
        const char *refusal = e->refuses ? e->refuses(d) : NULL;
        if (refusal)
            reason = refusal;
        else if (is_cheaper(e, *out, d))
            *out = e;
    }
    return *out ? U3D_OK : u3d_backend_refuse("cpu", d, !d->impl || named, reason);
}

static void ask_work(const cpu_backend *b, const cpu_entry *e, const u3d_op_desc *d, uint64_t *min,
                     uint64_t *best)
{
    *min = *best = 0;
    if (e->work) e->work(d, b->threads, min, best);
}

static u3d_status cpu_query(const u3d_backend *b, const u3d_op_desc *d, u3d_need *out)
{
    const cpu_entry *e;
    *out = (u3d_need){0};
    U3D_TRY(pick_entry(self(b), d, &e));
    snprintf(out->impl, sizeof out->impl, "%s", e->name);
    ask_work(self(b), e, d, &out->work_min, &out->work_best);
    return U3D_OK;
}

static u3d_status cpu_prepare(u3d_backend *b, const u3d_op_desc *d, uint64_t work_bytes, u3d_kernel **out)
{
    *out = NULL;
    const cpu_entry *e;
    uint64_t min, best;
    U3D_TRY(pick_entry(self(b), d, &e));
    ask_work(self(b), e, d, &min, &best);
    U3D_TRY(u3d_backend_check_work("cpu", d, e->name, min, work_bytes));
    u3d_kernel *k = u3d_new(1, sizeof *k);
    if (!k) return U3D_E_NOMEM;
    k->desc = *d;
    k->desc.impl = e->name; /* the caller's text may be freed before the kernel is */
    k->entry = e;
    k->work_bytes = work_bytes < best ? work_bytes : best;
    *out = k;
    return U3D_OK;
}

static void cpu_discard(u3d_backend *b, u3d_kernel *k)
{
    (void)b;
    u3d_free(k);
}

static u3d_status cpu_run(u3d_backend *b, u3d_kernel *k, const u3d_span *in, const u3d_span *out,
                          u3d_span work)
{
    cpu_call call = {.desc = &k->desc, .work_bytes = k->work_bytes, .threads = self(b)->threads};
    for (int i = 0; i < k->desc.n_in; i++) call.in[i] = in[i].buf->data + in[i].off;
    for (int i = 0; i < k->desc.n_out; i++) call.out[i] = out[i].buf->data + out[i].off;
    if (k->work_bytes > 0) call.work = work.buf->data + work.off;
    k->entry->run(&call);
    return U3D_OK;
}

static u3d_status cpu_sync(u3d_backend *b)
{
    (void)b;
    return U3D_OK;
}

static u3d_status cpu_peak(u3d_backend *b, double *gflops, double *gbytes_s)
{
    enum { FLOATS = 1 << 25 }; /* 134 MB per array: larger than any cache */
    const cpu_backend *c = self(b);
    float *data = u3d_new(3, FLOATS * sizeof *data);
    if (!data) return U3D_E_NOMEM;
    *gflops = c->isa->peak_flops(c->threads) * 1e-9;
    *gbytes_s = c->isa->peak_bytes(c->threads, data, data + FLOATS, data + 2 * (size_t)FLOATS, FLOATS) * 1e-9;
    u3d_free(data);
    return U3D_OK;
}

const u3d_backend_vt u3d_backend_cpu = {
    .api = U3D_BACKEND_API,
    .name = "cpu",
    .about = "OpenMP threads and vector units of this machine",
    .list = cpu_device_list,
    .open = cpu_open,
    .close = cpu_close,
    .caps = cpu_caps,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .peak_bytes = cpu_peak_bytes,
    .upload = cpu_upload,
    .download = cpu_download,
    .zero = cpu_zero,
    .post = cpu_post,
    .collect = cpu_collect,
    .impl = cpu_impl_name,
    .query = cpu_query,
    .prepare = cpu_prepare,
    .discard = cpu_discard,
    .run = cpu_run,
    .sync = cpu_sync,
    .peak = cpu_peak,
};
