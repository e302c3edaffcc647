/* Tests of engine/base/: error messages, memory, random numbers, types, host tensors, environment, log
 * levels, clock, threads.
 *
 * Expected numbers come from other sources (Random123's test vectors, closed forms), never from the code
 * under test. */
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/thread.h"

/* ---- status ---- */

static void test_status_fail_and_wrap(void **state)
{
    (void)state;
    assert_int_equal(u3d_fail(U3D_E_SHAPE, "size %d, expected %d", 3, 4), U3D_E_SHAPE);
    assert_string_equal(u3d_error_text(), "size 3, expected 4");
    assert_int_equal(u3d_wrap(U3D_E_IO, "case %d", 12), U3D_E_IO);
    assert_string_equal(u3d_error_text(), "case 12: size 3, expected 4");
    u3d_wrap(U3D_E_IO, "read: ");
    assert_string_equal(u3d_error_text(), "read: case 12: size 3, expected 4");
    u3d_fail(U3D_E_IO, "again, %s", u3d_error_text());
    assert_string_equal(u3d_error_text(), "again, read: case 12: size 3, expected 4");
}

static void test_status_long_text_is_cut_with_dots(void **state)
{
    (void)state;
    char *big = malloc(10001);
    assert_non_null(big);
    memset(big, 'x', 10000);
    big[10000] = '\0';
    u3d_fail(U3D_E_ARG, "%s", big);
    size_t n = strlen(u3d_error_text());
    assert_true(n > 1000 && n < 10000);
    assert_string_equal(u3d_error_text() + n - 3, "...");
    u3d_wrap(U3D_E_ARG, "context");
    assert_memory_equal(u3d_error_text(), "context: xxx", 12);
    assert_int_equal(strlen(u3d_error_text()), n);
    assert_string_equal(u3d_error_text() + n - 3, "...");
    u3d_fail(U3D_E_ARG, "short");
    u3d_wrap(U3D_E_ARG, "%s", big);
    assert_int_equal(strlen(u3d_error_text()), n);
    free(big);
}

/* ---- memory ---- */

static void test_mem_aligned_zeroed_counted(void **state)
{
    (void)state;
    int64_t before = u3d_mem_live();
    unsigned char *p = u3d_new(100, 3);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 300; i++) assert_int_equal(p[i], 0);
    memset(p, 7, 300);
    p = u3d_resize(p, 100, 200, 3);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 600; i++) assert_int_equal(p[i], i < 300 ? 7 : 0);
    p = u3d_resize(p, 200, 10, 3);
    assert_int_equal(p[29], 7);
    assert_int_equal(u3d_mem_live(), before + 1);
    void *empty = u3d_new(0, 8);
    char *text = u3d_format("%d-%s", 5, "five"), *copy = u3d_strdup("copy");
    assert_non_null(empty);
    assert_string_equal(text, "5-five");
    assert_string_equal(copy, "copy");
    u3d_free(p);
    u3d_free(empty);
    u3d_free(text);
    u3d_free(copy);
    u3d_free(NULL);
    assert_int_equal(u3d_mem_live(), before);
}

static void test_mem_overflow_is_out_of_memory(void **state)
{
    (void)state;
    assert_null(u3d_new(SIZE_MAX / 2, 3));
    assert_non_null(strstr(u3d_error_text(), "exceed"));
    assert_null(u3d_new_uninit(SIZE_MAX, 1));
}

static void test_mem_nth_allocation_fails(void **state)
{
    (void)state;
    u3d_mem_fail_at(3);
    void *a = u3d_new(1, 1), *b = u3d_new(1, 1), *c = u3d_new(1, 1), *d = u3d_new(1, 1);
    u3d_mem_fail_at(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_non_null(d);
    u3d_mem_fail_at(1);
    assert_null(u3d_resize(a, 1, 2, 1)); /* `a` remains valid */
    u3d_mem_fail_at(0);
    u3d_free(a);
    u3d_free(b);
    u3d_free(d);
}

static void test_mem_machine(void **state)
{
    (void)state;
    uint64_t peak = u3d_mem_peak_resident(), machine = u3d_mem_machine();
    assert_true(peak > 100 * 1000); /* a running process holds more than 100 kB */
    assert_true(machine > peak);
    size_t bytes = 64 << 20;
    char *p = u3d_new(bytes, 1); /* zeroing touches every page */
    assert_non_null(p);
    assert_true(u3d_mem_peak_resident() >= bytes);
    u3d_free(p);
}

/* ---- random numbers ---- */

/* Known answers from Random123, file kat_vectors, "philox4x32 10": counter, key, answer. */
static void test_rng_known_answers(void **state)
{
    (void)state;
    static const uint32_t rows[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e,
         0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb,
         0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        const uint32_t *c = rows[i], *key = c + 4, *answer = c + 6;
        u3d_rng r = u3d_rng_at((uint64_t)key[1] << 32 | key[0], c[1], (uint64_t)c[3] << 32 | c[2]);
        r.block = c[0];
        for (int k = 0; k < 4; k++) assert_int_equal(u3d_rng_u32(&r), answer[k]);
    }
}

static void test_rng_depends_on_place_alone(void **state)
{
    (void)state;
    uint64_t seed = u3d_test_seed();
    double forward[64];
    for (uint64_t i = 0; i < 64; i++) {
        u3d_rng r = u3d_rng_at(seed, U3D_RNG_TEST, i);
        forward[i] = u3d_rng_normal(&r);
    }
    for (uint64_t i = 64; i-- > 0;) {
        u3d_rng r = u3d_rng_at(seed, U3D_RNG_TEST, i), other = u3d_rng_at(seed, U3D_RNG_PATCH, i);
        u3d_rng next = u3d_rng_at(seed + 1, U3D_RNG_TEST, i);
        assert_true(u3d_rng_normal(&r) == forward[i]);
        assert_true(u3d_rng_normal(&other) != forward[i]);
        assert_true(u3d_rng_normal(&next) != forward[i]);
    }
}

static void test_rng_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 1);
    double u1 = 0, u2 = 0, n1 = 0, n2 = 0, n4 = 0;
    for (int i = 0; i < N; i++) {
        double u = u3d_rng_uniform(&r), x = u3d_rng_normal(&r);
        assert_true(u >= 0 && u < 1 && isfinite(x));
        u1 += u / N;
        u2 += u * u / N;
        n1 += x / N;
        n2 += x * x / N;
        n4 += x * x * x * x / N;
    }
    /* The bounds are six standard errors of each moment over N draws. */
    assert_true(fabs(u1 - 0.5) < 6 * sqrt(1.0 / 12 / N));
    assert_true(fabs(u2 - 1.0 / 3) < 6 * sqrt(4.0 / 45 / N));
    assert_true(fabs(n1) < 6 * sqrt(1.0 / N));
    assert_true(fabs(n2 - 1) < 6 * sqrt(2.0 / N));
    assert_true(fabs(n4 - 3) < 6 * sqrt(96.0 / N));
}

static void test_rng_below(void **state)
{
    (void)state;
    enum { N = 70000 };
    int64_t hits[7] = {0}, high = 0;
    int64_t big = (INT64_MAX / 4) * 3;
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 2);
    for (int i = 0; i < N; i++) {
        int64_t k = u3d_rng_below(&r, 7), b = u3d_rng_below(&r, big);
        assert_in_range(k, 0, 6);
        assert_true(b >= 0 && b < big);
        hits[k]++;
        high += b >= big / 2;
        assert_int_equal(u3d_rng_below(&r, 1), 0);
    }
    for (int k = 0; k < 7; k++) assert_true(fabs((double)hits[k] - N / 7.0) < 6 * sqrt(N * 6.0 / 49));
    assert_true(fabs((double)high - N / 2.0) < 6 * sqrt(N / 4.0));
}

/* ---- types and tensors ---- */

static void test_type_count(void **state)
{
    (void)state;
    int64_t n;
    uint64_t bytes;
    u3d_type t = u3d_type_map(2, (const int64_t[]){3, 4, 5}, 6);
    assert_ok(u3d_type_count(&t, &n, &bytes));
    assert_int_equal(n, 720);
    assert_int_equal(bytes, 2880);
    t = u3d_type_scalar();
    assert_ok(u3d_type_count(&t, &n, &bytes));
    assert_int_equal(n, 1);
    t = u3d_type_of(U3D_U8, 2, (const int64_t[]){INT32_MAX, 4});
    assert_int_equal(u3d_type_bytes(&t), (uint64_t)INT32_MAX * 4);
}

static void test_type_refuses(void **state)
{
    (void)state;
    static const int64_t zero[] = {4, 0}, negative[] = {-1, -1}, wide[] = {INT64_MAX, 2};
    static const int64_t cubes[] = {1 << 13, 1 << 13, 1 << 13, 1 << 13, 1 << 13},
                         bytes_only[] = {INT64_MAX / 2};
    const u3d_type bad[] = {
        u3d_type_f32(2, zero),  u3d_type_f32(2, negative),           u3d_type_f32(2, wide),
        u3d_type_f32(5, cubes), u3d_type_f32(1, bytes_only),         u3d_type_f32(6, cubes),
        u3d_type_f32(-1, zero), u3d_type_of((u3d_dtype)9, 1, cubes),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t n;
        uint64_t bytes;
        u3d_tensor *t;
        assert_status(u3d_type_count(&bad[i], &n, &bytes), U3D_E_SHAPE);
        assert_int_equal(n, 0);
        assert_int_equal(bytes, 0);
        assert_status(u3d_tensor_new("x", bad[i], &t), U3D_E_SHAPE);
        assert_null(t);
    }
}

static void test_type_text_and_equal(void **state)
{
    (void)state;
    char buf[64], tiny[8];
    u3d_type t = u3d_type_map(1, (const int64_t[]){116, 132, 132}, 3), u = t, s = u3d_type_scalar();
    assert_string_equal(u3d_type_text(&t, buf, sizeof buf), "f32 [1, 116, 132, 132, 3]");
    assert_string_equal(u3d_type_text(&t, tiny, sizeof tiny), "f32 [1,");
    assert_string_equal(u3d_type_text(&s, buf, sizeof buf), "f32 []");
    assert_true(u3d_type_equal(&t, &u));
    u.dim[4] = 4;
    assert_false(u3d_type_equal(&t, &u));
    u = t;
    u.dtype = U3D_I32;
    assert_false(u3d_type_equal(&t, &u));
    assert_false(u3d_type_equal(&t, &s));
}

static void test_tensor(void **state)
{
    (void)state;
    int64_t before = u3d_mem_live();
    u3d_tensor *t;
    u3d_type type = u3d_type_f32(2, (const int64_t[]){3, 5});
    assert_ok(u3d_tensor_new("w", type, &t));
    for (int i = 0; i < 15; i++) assert_true(u3d_tensor_f32(t)[i] == 0.0F);
    u3d_tensor_free(t);
    u3d_tensor_free(NULL);
    char long_name[U3D_NAME_CAP + 1];
    memset(long_name, 'n', U3D_NAME_CAP);
    long_name[U3D_NAME_CAP] = '\0';
    assert_status(u3d_tensor_new(long_name, type, &t), U3D_E_ARG);
    for (int n = 1; n <= 2; n++) {
        u3d_mem_fail_at(n);
        assert_status(u3d_tensor_new("w", type, &t), U3D_E_NOMEM);
        u3d_mem_fail_at(0);
        assert_null(t);
    }
    assert_int_equal(u3d_mem_live(), before);
}

/* ---- environment, log, clock ---- */

static void test_env_table(void **state)
{
    (void)state;
    for (int i = 0; i < U3D_ENV_COUNT; i++) {
        const u3d_env_row *row = u3d_env_describe((u3d_env)i);
        assert_memory_equal(row->name, "U3D_", 4);
        assert_true(strlen(row->help) > 0);
    }
    setenv("U3D_KEEP", "", 1);
    assert_null(u3d_env_get(U3D_ENV_KEEP));
    setenv("U3D_KEEP", "1", 1);
    assert_string_equal(u3d_env_get(U3D_ENV_KEEP), "1");
    unsetenv("U3D_KEEP");
}

/* main sets U3D_LOG=warn,plan:debug before the log is used for the first time. */
static void test_log_levels(void **state)
{
    (void)state;
    assert_true(u3d_log_on(U3D_LOG_WARN, "exec"));
    assert_false(u3d_log_on(U3D_LOG_INFO, "exec"));
    assert_true(u3d_log_on(U3D_LOG_DEBUG, "plan"));
    assert_false(u3d_log_on(U3D_LOG_TRACE, "plan"));
    u3d_log_set_level(U3D_LOG_TRACE);
    assert_true(u3d_log_on(U3D_LOG_TRACE, "exec"));
    assert_false(u3d_log_on(U3D_LOG_TRACE, "plan")); /* the channel keeps its own level */
    u3d_log_set_level(U3D_LOG_WARN);
}

static void test_clock_moves_forward(void **state)
{
    (void)state;
    double last = u3d_clock();
    for (int i = 0; i < 1000; i++) {
        double now = u3d_clock();
        assert_true(now >= last);
        last = now;
    }
}

/* ---- threads ---- */

enum { ITEMS = 1000 };

/* Threads only record what they see, and the main thread asserts afterwards, because cmocka's asserts work
 * only in the main thread. */
typedef struct errand {
    int done[ITEMS], busy[U3D_THREAD_MAX];
    bool shared_number, strange_number;
    int64_t fail_from;
} errand;

static u3d_status errand_run(void *context, int worker, int64_t item)
{
    errand *e = context;
    if (worker < 0 || worker >= 4) {
        e->strange_number = true;
        return U3D_OK;
    }
    if (__atomic_fetch_add(&e->busy[worker], 1, __ATOMIC_SEQ_CST) != 0) e->shared_number = true;
    e->done[item]++;
    __atomic_fetch_sub(&e->busy[worker], 1, __ATOMIC_SEQ_CST);
    return item >= e->fail_from ? u3d_fail(U3D_E_FORMAT, "item %d", (int)item) : U3D_OK;
}

static void test_threads_do_each_item_once(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 4; threads++) {
        errand e = {.fail_from = ITEMS};
        assert_ok(u3d_thread_each(threads, ITEMS, errand_run, &e));
        for (int i = 0; i < ITEMS; i++) assert_int_equal(e.done[i], 1);
        assert_false(e.shared_number || e.strange_number);
        assert_ok(u3d_thread_each(threads, 0, errand_run, &e));
    }
    assert_true(u3d_thread_count() >= 1);
}

/* The caller gets the message of the first failure, and no thread starts another item after it. */
static void test_threads_hand_over_failures(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        errand e = {.fail_from = 100};
        int begun = 0;
        assert_status(u3d_thread_each(threads, ITEMS, errand_run, &e), U3D_E_FORMAT);
        assert_string_equal(u3d_error_text(), "item 100");
        for (int i = 100; i < ITEMS; i++) begun += e.done[i];
        assert_true(begun >= 1 && begun <= threads);
    }
}

int main(void)
{
    setenv("U3D_LOG", "warn,plan:debug", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_fail_and_wrap),
        cmocka_unit_test(test_status_long_text_is_cut_with_dots),
        cmocka_unit_test(test_mem_aligned_zeroed_counted),
        cmocka_unit_test(test_mem_overflow_is_out_of_memory),
        cmocka_unit_test(test_mem_nth_allocation_fails),
        cmocka_unit_test(test_mem_machine),
        cmocka_unit_test(test_rng_known_answers),
        cmocka_unit_test(test_rng_depends_on_place_alone),
        cmocka_unit_test(test_rng_moments),
        cmocka_unit_test(test_rng_below),
        cmocka_unit_test(test_type_count),
        cmocka_unit_test(test_type_refuses),
        cmocka_unit_test(test_type_text_and_equal),
        cmocka_unit_test(test_tensor),
        cmocka_unit_test(test_env_table),
        cmocka_unit_test(test_log_levels),
        cmocka_unit_test(test_clock_moves_forward),
        cmocka_unit_test(test_threads_do_each_item_once),
        cmocka_unit_test(test_threads_hand_over_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
