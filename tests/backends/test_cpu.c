/* Tests of the CPU backend except the results of its ops, which test_ops checks: opening it with right and
 * wrong options, instruction sets, memory, and queries that must be refused. Also tests that the number of
 * threads does not change a result, that norm survives a large mean, and that the exponential is accurate.
 *
 * The sizes in the thread test are awkward on purpose: work that cannot be divided evenly among the threads,
 * channel counts around the vector widths, and rows that leave a remainder. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/cpu_impl.h"
#include "engine/base/mem.h"
#include "tests/support/support_op.h"

#define MAP(n, d, h, w, c)                                                                                   \
    {                                                                                                        \
        U3D_F32, 5,                                                                                          \
        {                                                                                                    \
            n, d, h, w, c                                                                                    \
        }                                                                                                    \
    }
#define LABELS(n, d, h, w)                                                                                   \
    {                                                                                                        \
        U3D_U8, 4,                                                                                           \
        {                                                                                                    \
            n, d, h, w, 1                                                                                    \
        }                                                                                                    \
    }
#define FLAT(n)                                                                                              \
    {                                                                                                        \
        U3D_F32, 1,                                                                                          \
        {                                                                                                    \
            n, 1, 1, 1, 1                                                                                    \
        }                                                                                                    \
    }
#define SCALAR                                                                                               \
    {                                                                                                        \
        U3D_F32, 0,                                                                                          \
        {                                                                                                    \
            1, 1, 1, 1, 1                                                                                    \
        }                                                                                                    \
    }
#define WINDOW(z, y, x)                                                                                      \
    {                                                                                                        \
        .conv = { {z, y, x}, {z, y, x}, {0, 0, 0} }                                                          \
    }
#define LOSS                                                                                                 \
    {                                                                                                        \
        .loss = {.ignore_label = 255, .skip_background = true, .smooth = 1e-5F }                             \
    }
#define PER_BATCH                                                                                            \
    {                                                                                                        \
        .norm = {.eps = 1e-5F, .momentum = 0.1F, .keep_running = true }                                      \
    }
#define PER_BATCH_BACK                                                                                       \
    {                                                                                                        \
        .norm = {.eps = 1e-5F }                                                                              \
    }
#define PER_INSTANCE                                                                                         \
    {                                                                                                        \
        .norm = {.eps = 1e-5F, .per_instance = true }                                                        \
    }

#define KERNEL_3(ci, co)                                                                                     \
    {                                                                                                        \
        U3D_F32, 5,                                                                                          \
        {                                                                                                    \
            3, 3, 3, ci, co                                                                                  \
        }                                                                                                    \
    }
#define PADDED(strict_)                                                                                      \
    {                                                                                                        \
        .conv = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}, .strict = strict_ }             \
    }
/* A padded 3x3x3 convolution of a map of this size, and both its gradients. */
#define CONV(tag, n, d, h, w, ci, co, strict)                                                                \
    {tag, U3D_OP_CONV3D, PADDED(strict), 3, 1, {MAP(n, d, h, w, ci), KERNEL_3(ci, co), FLAT(co)}, {0}, 0, 0}, \
        {tag, U3D_OP_CONV3D_DX, PADDED(strict), 2, 1, {MAP(n, d, h, w, co), KERNEL_3(ci, co)},               \
         MAP(n, d, h, w, ci), 0, 0},                                                                         \
        {tag, U3D_OP_CONV3D_DW, PADDED(strict), 2, 2, {MAP(n, d, h, w, ci), MAP(n, d, h, w, co)}, {0}, 0, 0}

static const u3d_op_case thread_cases[] = {
    CONV("first", 1, 17, 19, 23, 1, 32, false),
    CONV("odd", 2, 9, 11, 13, 17, 24, false),
    CONV("strict", 1, 9, 11, 13, 17, 24, true),
    CONV("deep", 1, 6, 6, 6, 128, 128, false),
    {"odd", U3D_OP_UPCONV3D, WINDOW(2, 2, 2), 2, 1, {MAP(1, 7, 9, 11, 33), {U3D_F32, 5, {2, 2, 2, 33, 24}}}, {0}, 0, 0},
    {"c1", U3D_OP_NORM, PER_BATCH, 3, 3, {MAP(2, 37, 41, 43, 1), FLAT(1), FLAT(1)}, {0}, 0, 0},
    {"c3", U3D_OP_NORM, PER_BATCH, 3, 3, {MAP(1, 31, 37, 41, 3), FLAT(3), FLAT(3)}, {0}, 0, 0},
    {"c24", U3D_OP_NORM, PER_INSTANCE, 3, 2, {MAP(3, 13, 17, 19, 24), FLAT(24), FLAT(24)}, {0}, 0, 0},
    {"c67", U3D_OP_NORM, PER_BATCH, 3, 3, {MAP(1, 11, 23, 29, 67), FLAT(67), FLAT(67)}, {0}, 0, 0},
    {"c3",
     U3D_OP_NORM_BACK,
     PER_BATCH_BACK,
     4,
     3,
     {MAP(1, 31, 37, 41, 3), MAP(1, 31, 37, 41, 3), FLAT(3), {U3D_F32, 3, {1, 2, 3}}},
     {0},
     0,
     0},
    {"c40",
     U3D_OP_NORM_BACK,
     PER_INSTANCE,
     4,
     3,
     {MAP(2, 13, 17, 19, 40), MAP(2, 13, 17, 19, 40), FLAT(40), {U3D_F32, 3, {2, 2, 40}}},
     {0},
     0,
     0},
    {"c3", U3D_OP_MAXPOOL3D, WINDOW(2, 2, 2), 1, 2, {MAP(1, 26, 34, 38, 3)}, {0}, 0, U3D_FILL_TIES},
    {"c33", U3D_OP_MAXPOOL3D, WINDOW(1, 2, 3), 1, 2, {MAP(2, 7, 22, 33, 33)}, {0}, 0, U3D_FILL_TIES},
    {"c33",
     U3D_OP_MAXPOOL3D_DX,
     WINDOW(1, 2, 3),
     2,
     1,
     {MAP(2, 7, 11, 11, 33), {U3D_U8, 5, {2, 7, 11, 11, 33}}},
     MAP(2, 7, 22, 33, 33),
     0,
     0},
    {"odd", U3D_OP_RELU, {.relu = {0.01F}}, 1, 1, {MAP(1, 31, 37, 41, 3)}, {0}, 0, 0},
    {"odd",
     U3D_OP_RELU_BACK,
     {.relu = {0.01F}},
     2,
     1,
     {MAP(1, 31, 37, 41, 3), MAP(1, 31, 37, 41, 3)},
     {0},
     0,
     0},
    {"odd", U3D_OP_COPY, {.relu = {0}}, 1, 1, {MAP(1, 31, 37, 41, 3)}, {0}, 0, 0},
    {"odd", U3D_OP_ADD, {.relu = {0}}, 2, 1, {MAP(1, 31, 37, 41, 3), MAP(1, 31, 37, 41, 3)}, {0}, 0, 0},
    {"odd",
     U3D_OP_CROP_CONCAT,
     {.relu = {0}},
     2,
     1,
     {MAP(2, 9, 11, 13, 17), MAP(2, 13, 17, 15, 7)},
     {0},
     0,
     0},
    {"odd", U3D_OP_CROP_CONCAT_BACK, {.crop = {17, {13, 17, 15}}}, 1, 2, {MAP(2, 9, 11, 13, 24)}, {0}, 0, 0},
    {"k3", U3D_OP_SOFTMAX, {.relu = {0}}, 1, 1, {MAP(1, 31, 37, 41, 3)}, {0}, 0, 0},
    {"k3",
     U3D_OP_SOFTMAX_XENT,
     LOSS,
     3,
     2,
     {MAP(1, 31, 37, 41, 3), LABELS(1, 31, 37, 41), FLAT(3)},
     {0},
     0,
     0},
    {"k5",
     U3D_OP_SOFTMAX_XENT_BACK,
     LOSS,
     5,
     1,
     {MAP(2, 19, 23, 29, 5), LABELS(2, 19, 23, 29), FLAT(5), SCALAR, SCALAR},
     {0},
     0,
     0},
    {"k3", U3D_OP_DICE, LOSS, 3, 2, {MAP(1, 31, 37, 41, 3), LABELS(1, 31, 37, 41), FLAT(3)}, {0}, 0, 0},
    {"k5",
     U3D_OP_DICE_BACK,
     LOSS,
     5,
     1,
     {MAP(2, 19, 23, 29, 5), LABELS(2, 19, 23, 29), FLAT(5), {U3D_F32, 2, {3, 5}}, SCALAR},
     {0},
     0,
     0},
    {"odd", U3D_OP_SGD_STEP, {.relu = {0}}, 2, 2, {FLAT(100003), FLAT(8)}, {0}, 0, 0},
    {"odd", U3D_OP_ADAM_STEP, {.relu = {0}}, 2, 3, {FLAT(100003), FLAT(8)}, {0}, 0, 0},
    {"odd", U3D_OP_LERP, {.relu = {0}}, 2, 1, {FLAT(100003), SCALAR}, {0}, 0, 0},
    {"odd", U3D_OP_SUM_SQUARES, {.relu = {0}}, 1, 1, {FLAT(1000003)}, {0}, 0, 0},
};

/* ---- threads ---- */

enum { N_THREADS = 5, N_BRIEF = 3 };
static const int thread_counts[N_THREADS] = {1, 2, 3, 5, 16};

static void outputs_new(const u3d_op_desc *d, void *out[U3D_MAX_OUT])
{
    for (int i = 0; i < d->n_out; i++) {
        out[i] = u3d_new((size_t)u3d_type_bytes(&d->out[i]), 1);
        assert_non_null(out[i]);
    }
}

static void outputs_free(const u3d_op_desc *d, void *const out[U3D_MAX_OUT])
{
    for (int i = 0; i < d->n_out; i++) u3d_free(out[i]);
}

/* Returns the largest relative rms error that the implementation may have on the case. */
static double run_threads(const char *isa, int threads, const u3d_op_case *c, const u3d_op_data *data,
                          void *const *out)
{
    const char *trouble;
    u3d_need need;
    u3d_backend *b = u3d_test_backend("cpu", isa, threads);
    assert_ok(u3d_backend_query(b, &data->desc, &need));
    assert_ok(u3d_op_data_run(b, data, &(u3d_op_trial){.work_bytes = need.work_min}, out, &trouble));
    if (trouble)
        fail_msg("%s with %d threads: %s was changed where the op may not write", isa, threads, trouble);
    u3d_backend_close(b);
    return fmax(3e-6, u3d_op_case_tol(c, need.impl));
}

/* Compares the results of every number of threads with those of one thread, and these with the oracle's. */
static void check_threads(const char *isa, const u3d_op_case *c)
{
    const char *name = u3d_op_info_get(c->op)->name;
    u3d_op_data *data;
    void *one[U3D_MAX_OUT], *many[U3D_MAX_OUT];
    assert_ok(u3d_op_data_new(c, u3d_test_seed(), &data));
    outputs_new(&data->desc, one);
    outputs_new(&data->desc, many);
    const double tol = run_threads(isa, 1, c, data, one);
    for (int t = 1; t < (u3d_test_brief() ? N_BRIEF : N_THREADS); t++) {
        run_threads(isa, thread_counts[t], c, data, many);
        for (int i = 0; i < data->desc.n_out; i++)
            if (memcmp(one[i], many[i], (size_t)u3d_type_bytes(&data->desc.out[i])) != 0)
                fail_msg("%s/%s on %s: out[%d] with %d threads differs from that with one thread", name,
                         c->tag, isa, i, thread_counts[t]);
    }
    for (int i = 0; i < data->desc.n_out; i++) {
        if (data->desc.out[i].dtype != U3D_F32) continue;
        u3d_test_diff d = u3d_test_compare(one[i], data->want[i], u3d_type_elems(&data->desc.out[i]));
        if (d.n_bad || d.rms > tol)
            fail_msg("%s/%s on %s: out[%d] has an rms error of %.1e", name, c->tag, isa, i, d.rms);
    }
    outputs_free(&data->desc, one);
    outputs_free(&data->desc, many);
    u3d_op_data_free(data);
}

static void test_threads(void **state)
{
    (void)state;
    const cpu_isa *isa;
    for (int i = 0; (isa = cpu_isa_at(i)) != NULL; i++)
        for (size_t c = 0; isa->usable() && c < sizeof thread_cases / sizeof thread_cases[0]; c++)
            check_threads(isa->name, &thread_cases[c]);
}

/* ---- opening ---- */

static void assert_message_has(const char *part)
{
    if (!strstr(u3d_error_text(), part)) fail_msg("'%s' is not in the message: %s", part, u3d_error_text());
}

/* Opens the backend with an environment variable set during the call. */
static u3d_status open_with(const char *variable, const char *value, const u3d_backend_opts *o,
                            u3d_backend **b)
{
    setenv(variable, value, 1);
    u3d_status status = u3d_backend_open("cpu", o, b);
    unsetenv(variable);
    return status;
}

static void test_isa(void **state)
{
    (void)state;
    const cpu_isa *isa;
    u3d_backend *b;
    u3d_caps caps;
    for (int i = 0; (isa = cpu_isa_at(i)) != NULL; i++) {
        u3d_status status = open_with("U3D_CPU_ISA", isa->name, NULL, &b);
        assert_int_equal(status, isa->usable() ? U3D_OK : U3D_E_ARG);
        if (status != U3D_OK) continue;
        u3d_backend_caps(b, &caps);
        assert_non_null(strstr(caps.device, isa->name));
        u3d_backend_close(b);
    }
    assert_status(open_with("U3D_CPU_ISA", "mmx", NULL, &b), U3D_E_ARG);
    assert_null(b);
    assert_message_has("mmx");
    for (int i = 0; (isa = cpu_isa_at(i)) != NULL; i++)
        if (isa->usable()) assert_message_has(isa->name);
}

static void test_isa_best_first(void **state)
{
    (void)state;
    const cpu_isa *isa, *picked, *first = NULL;
    for (int i = 0; !first && (isa = cpu_isa_at(i)) != NULL; i++)
        if (isa->usable()) first = isa;
    assert_ok(cpu_isa_pick(NULL, &picked));
    assert_ptr_equal(picked, first);
    for (int op = 0; op < U3D_OP_COUNT; op++)
        if (!picked->list[op][0].name)
            fail_msg("%s has no implementation", u3d_op_info_get((u3d_op)op)->name);
}

static void assert_threads(const char *variable, int32_t wanted, int32_t expected)
{
    u3d_backend *b;
    u3d_caps caps;
    assert_ok(open_with("U3D_THREADS", variable, &(u3d_backend_opts){.threads = wanted}, &b));
    u3d_backend_caps(b, &caps);
    assert_int_equal(caps.compute_units, expected);
    u3d_backend_close(b);
}

static void test_thread_count(void **state)
{
    (void)state;
    static const char *const bad[] = {"0", "-1", "two", "2x", "99999", "1e3", "99999999999999999999"};
    u3d_backend *b;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(open_with("U3D_THREADS", bad[i], NULL, &b), U3D_E_ARG);
        assert_null(b);
        assert_message_has(bad[i]);
    }
    assert_threads("3", 0, 3);
    assert_threads("3", 2, 2); /* the option takes precedence over the variable */
    assert_status(u3d_backend_open("cpu", &(u3d_backend_opts){.threads = -1}, &b), U3D_E_ARG);
    assert_status(u3d_backend_open("cpu", &(u3d_backend_opts){.threads = 1 << 20}, &b), U3D_E_ARG);
}

static void test_open(void **state)
{
    (void)state;
    u3d_backend *b;
    u3d_caps caps;
    assert_status(u3d_backend_open("tpu", NULL, &b), U3D_E_ARG);
    assert_null(b);
    assert_message_has("auto, cpu");
    assert_status(u3d_backend_open("", NULL, &b), U3D_E_ARG);
    assert_status(u3d_backend_open("cpu", &(u3d_backend_opts){.device = "1"}, &b), U3D_E_DEVICE);
    assert_status(u3d_backend_open("cpu", &(u3d_backend_opts){.device = "no such processor"}, &b),
                  U3D_E_DEVICE);
    assert_ok(u3d_backend_open("cpu", &(u3d_backend_opts){.device = "0"}, &b));
    u3d_backend_caps(b, &caps);
    u3d_backend_close(b);
    assert_ok(u3d_backend_open("cpu", &(u3d_backend_opts){.device = caps.device}, &b));
    u3d_backend_close(b);
    assert_true(caps.host_memory && caps.deterministic && !caps.gpu);
    assert_int_equal(caps.align % 64, 0);
    assert_true(caps.mem_bytes > 0 && caps.compute_units >= 1);
}

static void test_list(void **state)
{
    (void)state;
    u3d_caps caps;
    int n;
    for (int i = 0; u3d_backend_at(i); i++) assert_int_equal(u3d_backend_at(i)->api, U3D_BACKEND_API);
    assert_null(u3d_backend_at(-1));
    assert_string_equal(u3d_backend_at(0)->name, "cpu");
    assert_ok(u3d_backend_at(0)->list(&caps, 1, &n));
    assert_int_equal(n, 1);
    assert_ok(u3d_backend_at(0)->list(NULL, 0, &n));
    assert_int_equal(n, 1);
}

/* ---- memory ---- */

static void check_round_trip(u3d_backend *b, uint64_t bytes)
{
    u3d_buffer *buf;
    uint8_t *sent = u3d_new_uninit(bytes, 1), *got = u3d_new(bytes, 1);
    assert_true(sent && got);
    for (uint64_t i = 0; i < bytes; i++) sent[i] = (uint8_t)(i * 131 + i / 256 + 1);
    assert_ok(u3d_backend_alloc(b, bytes, &buf));
    assert_ok(u3d_backend_upload(b, (u3d_span){buf, 0}, sent, bytes));
    assert_ok(u3d_backend_download(b, got, (u3d_span){buf, 0}, bytes));
    assert_memory_equal(got, sent, bytes);
    if (bytes > 128) { /* clears all bytes except the first 64 and the last */
        assert_ok(u3d_backend_zero(b, (u3d_span){buf, 64}, bytes - 65));
        memset(sent + 64, 0, bytes - 65);
        assert_ok(u3d_backend_download(b, got, (u3d_span){buf, 0}, bytes));
        assert_memory_equal(got, sent, bytes);
    }
    u3d_backend_release(b, buf);
    u3d_free(sent);
    u3d_free(got);
}

static void test_memory(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 63, 64, 1000, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000001};
    int64_t live = u3d_mem_live();
    u3d_backend *b = u3d_test_cpu();
    u3d_buffer *buf;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) check_round_trip(b, sizes[i]);
    assert_status(u3d_backend_alloc(b, (uint64_t)1 << 61, &buf), U3D_E_NOMEM);
    assert_null(buf);
    assert_status(u3d_backend_alloc(b, UINT64_MAX - 5, &buf), U3D_E_NOMEM);
    u3d_backend_close(b);
    assert_int_equal(u3d_mem_live(), live);
}

/* Opens a backend, allocates, prepares a kernel, and frees everything. test_out_of_memory lets each
 * allocation fail in turn: the status must be U3D_E_NOMEM, and no memory may leak. */
static u3d_status use_backend(void)
{
    u3d_status status = U3D_OK;
    u3d_backend *b = NULL;
    u3d_buffer *small = NULL, *large = NULL;
    u3d_kernel *k = NULL;
    u3d_need need;
    u3d_op_desc d = {
        .op = U3D_OP_MAXPOOL3D, .attr = WINDOW(2, 2, 2), .n_in = 1, .n_out = 2, .in = {MAP(1, 4, 4, 4, 3)}};
    U3D_GO(u3d_op_info_get(d.op)->infer(&d));
    U3D_GO(u3d_backend_open("cpu", NULL, &b));
    U3D_GO(u3d_backend_alloc(b, 100, &small));
    U3D_GO(u3d_backend_alloc(b, 4 << 20, &large));
    U3D_GO(u3d_backend_query(b, &d, &need));
    U3D_GO(u3d_backend_prepare(b, &d, need.work_min, &k));
done:
    if (k) u3d_backend_discard(b, k);
    if (small) u3d_backend_release(b, small);
    if (large) u3d_backend_release(b, large);
    u3d_backend_close(b);
    return status;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    int64_t live = u3d_mem_live();
    u3d_status status = U3D_E_NOMEM;
    int n_failed = -1;
    for (int n = 1; status != U3D_OK && n < 100; n++, n_failed++) {
        u3d_mem_fail_at(n);
        status = use_backend();
        u3d_mem_fail_at(0);
        if (status != U3D_OK) assert_int_equal(status, U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
    }
    assert_int_equal(status, U3D_OK);
    assert_true(n_failed >= 5); /* backend, two buffer records, the memory of the small buffer, the kernel */
}

/* ---- queries ---- */

static void test_refusals(void **state)
{
    (void)state;
    u3d_backend *b = u3d_test_cpu();
    u3d_need need;
    u3d_kernel *k;

    u3d_op_desc relu = {
        .op = U3D_OP_RELU, .n_in = 1, .n_out = 1, .in = {MAP(1, 2, 2, 2, 3)}, .impl = "fastest"};
    assert_ok(u3d_op_info_get(relu.op)->infer(&relu));
    assert_status(u3d_backend_query(b, &relu, &need), U3D_E_UNSUPPORTED);
    assert_message_has("fastest");
    assert_status(u3d_backend_prepare(b, &relu, 0, &k), U3D_E_UNSUPPORTED);
    assert_null(k);

    relu.impl = u3d_backend_impl(b, U3D_OP_RELU, 0);
    assert_ok(u3d_backend_query(b, &relu, &need));
    assert_string_equal(need.impl, relu.impl);
    assert_null(u3d_backend_impl(b, U3D_OP_RELU, 100));
    relu.accumulate = 1;
    assert_status(u3d_backend_query(b, &relu, &need), U3D_E_UNSUPPORTED);
    assert_message_has("relu");

    u3d_op_desc softmax = {.op = U3D_OP_SOFTMAX, .n_in = 1, .n_out = 1, .in = {MAP(1, 1, 1, 2, 256)}};
    assert_ok(u3d_op_info_get(softmax.op)->infer(&softmax));
    assert_ok(u3d_backend_query(b, &softmax, &need));
    softmax.in[0].dim[4] = softmax.out[0].dim[4] = 257;
    assert_status(u3d_backend_query(b, &softmax, &need), U3D_E_UNSUPPORTED);
    assert_message_has("256");

    u3d_op_desc norm = {.op = U3D_OP_NORM,
                        .attr = PER_INSTANCE,
                        .n_in = 3,
                        .n_out = 2,
                        .in = {MAP(1, 4, 4, 4, 3), FLAT(3), FLAT(3)}};
    assert_ok(u3d_op_info_get(norm.op)->infer(&norm));
    assert_ok(u3d_backend_query(b, &norm, &need));
    assert_true(need.work_min > 0);
    assert_status(u3d_backend_prepare(b, &norm, need.work_min - 1, &k), U3D_E_NOMEM);
    assert_null(k);
    u3d_backend_close(b);
}

/* ---- numbers ---- */

/* With mean 10000 and standard deviation 1, E[x^2] - E[x]^2 in floats would lose the variance completely. */
static void test_norm_offset(void **state)
{
    (void)state;
    enum { VOXELS = 20 * 21 * 23, C = 5 };
    static float x[VOXELS * C], y[VOXELS * C], stats[2 * C], gain[C] = {1, 1, 1, 1, 1}, bias[C];
    u3d_op_desc d = {.op = U3D_OP_NORM,
                     .attr = PER_BATCH_BACK,
                     .n_in = 3,
                     .n_out = 2,
                     .in = {MAP(1, 20, 21, 23, C), FLAT(C), FLAT(C)}};
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    u3d_test_normal(&r, x, VOXELS * C);
    for (int i = 0; i < VOXELS * C; i++) x[i] += 10000;
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    u3d_backend *b = u3d_test_cpu();
    assert_ok(u3d_op_once(b, &d, (const void *[]){x, gain, bias}, (void *[]){y, stats}));
    u3d_backend_close(b);
    for (int c = 0; c < C; c++) {
        double mean = 0, var = 0;
        for (int v = 0; v < VOXELS; v++) mean += (double)x[v * C + c] / VOXELS;
        for (int v = 0; v < VOXELS; v++)
            var += ((double)x[v * C + c] - mean) * ((double)x[v * C + c] - mean) / VOXELS;
        assert_true(fabs((double)stats[c] / mean - 1) < 1e-7);
        assert_true(fabs((double)stats[C + c] * sqrt(var + 1e-5) - 1) < 3e-7);
    }
}

/* Softmax of (-t, 0) is (e / (1 + e), 1 / (1 + e)) with e = exp(-t), so it shows the error of the
 * exponential, which must be accurate to about seven digits (4e-7) over its whole range. */
static void test_exponential(void **state)
{
    (void)state;
    enum { N = 8191 };
    static float logits[2 * N], p[2 * N];
    u3d_op_desc d = {.op = U3D_OP_SOFTMAX, .n_in = 1, .n_out = 1, .in = {MAP(1, 1, 1, N, 2)}};
    for (int i = 0; i < N; i++) logits[2 * i] = -86.0F * (float)i / N;
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    const cpu_isa *isa;
    for (int i = 0; (isa = cpu_isa_at(i)) != NULL; i++) {
        if (!isa->usable()) continue;
        u3d_backend *b = u3d_test_backend("cpu", isa->name, 1);
        assert_ok(u3d_op_once(b, &d, (const void *[]){logits}, (void *[]){p}));
        u3d_backend_close(b);
        for (int v = 0; v < N; v++) {
            double e = exp((double)logits[2 * v]), error = (double)p[2 * v] / (e / (1 + e)) - 1;
            if (fabs(error) > 4e-7)
                fail_msg("%s: exp(%.6f) has a relative error of %.1e", isa->name, (double)logits[2 * v],
                         error);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),          cmocka_unit_test(test_list),
        cmocka_unit_test(test_isa),           cmocka_unit_test(test_isa_best_first),
        cmocka_unit_test(test_thread_count),  cmocka_unit_test(test_memory),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_norm_offset),   cmocka_unit_test(test_exponential),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
