/* Tests of the OpenCL backend except its ops: finding devices, memory, the order of transfers and kernels,
 * and compiled kernels that are kept on disk. Skipped if there is no device (PoCL makes the CPU a device). */
#include "tests/support/support.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/mem.h"

static u3d_backend *b;

static u3d_backend *open_device(const char *device)
{
    const u3d_backend_opts o = {.device = device};
    u3d_backend *opened;
    assert_ok(u3d_backend_open("opencl", &o, &opened));
    return opened;
}

static int open_backend(void **state)
{
    (void)state;
    b = open_device(NULL);
    return 0;
}

static int close_backend(void **state)
{
    (void)state;
    u3d_backend_close(b);
    return 0;
}

static float *numbers(int64_t n, uint64_t stream)
{
    float *p = u3d_new((size_t)n, sizeof *p);
    assert_non_null(p);
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, stream);
    u3d_test_normal(&r, p, n);
    return p;
}

static u3d_buffer *buffer(uint64_t bytes)
{
    u3d_buffer *buf;
    assert_ok(u3d_backend_alloc(b, bytes, &buf));
    return buf;
}

/* A kernel that copies n numbers. */
static u3d_kernel *copy_kernel(u3d_backend *on, int64_t n)
{
    u3d_kernel *k;
    u3d_op_desc d;
    memset(&d, 0, sizeof d);
    d.op = U3D_OP_COPY;
    d.n_in = d.n_out = 1;
    d.in[0] = u3d_type_f32(5, (const int64_t[]){1, 1, 1, 1, n});
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    assert_ok(u3d_backend_prepare(on, &d, 0, &k));
    return k;
}

static void round_trip(uint64_t bytes)
{
    uint8_t *sent = u3d_new_uninit(bytes, 1), *got = u3d_new(bytes, 1);
    assert_true(sent && got);
    for (uint64_t i = 0; i < bytes; i++) sent[i] = (uint8_t)(i * 2654435761U >> 13);
    u3d_buffer *buf = buffer(bytes);
    assert_ok(u3d_backend_upload(b, (u3d_span){buf, 0}, sent, bytes));
    assert_ok(u3d_backend_download(b, got, (u3d_span){buf, 0}, bytes));
    assert_memory_equal(sent, got, bytes);
    assert_ok(u3d_backend_zero(b, (u3d_span){buf, 0}, bytes));
    assert_ok(u3d_backend_download(b, got, (u3d_span){buf, 0}, bytes));
    for (uint64_t i = 0; i < bytes; i++) assert_int_equal(got[i], 0);
    u3d_backend_release(b, buf);
    u3d_free(sent);
    u3d_free(got);
}

/* The sizes cover a single byte, both ways of uploading, and transfers in several pieces with an odd
 * remainder. */
static void test_transfers(void **state)
{
    (void)state;
    const uint64_t sizes[] = {1, 32, 4097, 16384, 16385, 1000003, (uint64_t)70e6 + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) round_trip(sizes[i]);
}

/* Uploads overlap with running kernels. Nevertheless a kernel must read the data of the last upload that was
 * enqueued before it, and not of a later one. */
static void order_of(int64_t n)
{
    enum { ROUNDS = 7 };
    uint64_t bytes = (uint64_t)n * sizeof(float);
    u3d_buffer *x = buffer(bytes), *y[ROUNDS];
    u3d_kernel *copy = copy_kernel(b, n);
    float *sent[ROUNDS], *got = u3d_new((size_t)n, sizeof *got), first[ROUNDS];
    assert_non_null(got);
    for (int i = 0; i < ROUNDS; i++) {
        sent[i] = numbers(n, (uint64_t)i);
        y[i] = buffer(bytes);
    }
    for (int i = 0; i < ROUNDS; i++) {
        const u3d_span in = {x, 0}, out = {y[i], 0};
        assert_ok(u3d_backend_upload(b, in, sent[i], bytes));
        assert_ok(u3d_backend_run(b, copy, &in, &out, (u3d_span){0}));
        assert_ok(u3d_backend_post(b, in, sizeof(float), i));
    }
    for (int i = ROUNDS - 1; i >= 0; i--) assert_ok(u3d_backend_collect(b, i, &first[i], sizeof(float)));
    for (int i = 0; i < ROUNDS; i++) {
        assert_ok(u3d_backend_download(b, got, (u3d_span){y[i], 0}, bytes));
        assert_memory_equal(got, sent[i], bytes);
        assert_memory_equal(&first[i], sent[i], sizeof(float));
        u3d_backend_release(b, y[i]);
        u3d_free(sent[i]);
    }
    u3d_backend_discard(b, copy);
    u3d_backend_release(b, x);
    u3d_free(got);
}

static void test_order(void **state)
{
    (void)state;
    order_of(5);
    order_of(300007);
}

static void test_memory(void **state)
{
    (void)state;
    u3d_caps caps;
    u3d_buffer *buf;
    u3d_backend_caps(b, &caps);
    assert_true(caps.mem_bytes > 0 && caps.max_alloc_bytes > 0 && caps.local_bytes >= 32 << 10 &&
                caps.usable);
    assert_status(u3d_backend_alloc(b, caps.max_alloc_bytes + 1, &buf), U3D_E_NOMEM);
    assert_non_null(strstr(u3d_error_text(), "largest buffer"));
    uint64_t before = u3d_backend_peak_bytes(b);
    buf = buffer(before + 1000);
    u3d_backend_release(b, buf);
    assert_true(u3d_backend_peak_bytes(b) >= before + 1000);
}

static void test_devices(void **state)
{
    (void)state;
    u3d_caps caps;
    u3d_backend *other;
    u3d_backend_caps(b, &caps);
    char part[8] = "";
    memcpy(part, caps.device, sizeof part - 1);
    u3d_backend_close(open_device(part));
    u3d_backend_close(open_device("0"));
    const char *const wrong[] = {"99", "no such device"};
    for (int i = 0; i < 2; i++) {
        const u3d_backend_opts o = {.device = wrong[i]};
        assert_status(u3d_backend_open("opencl", &o, &other), U3D_E_DEVICE);
        assert_null(other);
        assert_non_null(strstr(u3d_error_text(), caps.device)); /* the message lists the devices */
    }
}

/* ---- compiled kernels ---- */

static void copy_works(void)
{
    u3d_backend *fresh = open_device(NULL);
    u3d_kernel *k = copy_kernel(fresh, 3);
    u3d_buffer *x, *y;
    const float sent[3] = {1, 2, 3};
    float got[3] = {0};
    assert_ok(u3d_backend_alloc(fresh, sizeof sent, &x));
    assert_ok(u3d_backend_alloc(fresh, sizeof sent, &y));
    const u3d_span in = {x, 0}, out = {y, 0};
    assert_ok(u3d_backend_upload(fresh, in, sent, sizeof sent));
    assert_ok(u3d_backend_run(fresh, k, &in, &out, (u3d_span){0}));
    assert_ok(u3d_backend_download(fresh, got, out, sizeof got));
    assert_memory_equal(got, sent, sizeof got);
    u3d_backend_discard(fresh, k);
    u3d_backend_release(fresh, x);
    u3d_backend_release(fresh, y);
    u3d_backend_close(fresh);
}

/* The path of the only file in the cache; NULL if there is no file. */
static char *cached_file(const char *dir)
{
    glob_t files = {0};
    char *pattern = u3d_test_path(dir, "*.clbin"), *file = NULL;
    if (glob(pattern, 0, NULL, &files) == 0) {
        assert_int_equal(files.gl_pathc, 1);
        file = u3d_strdup(files.gl_pathv[0]);
    }
    globfree(&files);
    u3d_free(pattern);
    return file;
}

static void patch_byte(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    assert_int_equal(fputc(byte ^ 0xFF, f), byte ^ 0xFF);
    assert_int_equal(fclose(f), 0);
}

/* A damaged file makes the backend compile the kernel again. It never causes an error or a wrong result. */
static void test_cache(void **state)
{
    (void)state;
    char *dir = u3d_test_dir(), *below = u3d_test_path(dir, "made/on/the/way");
    const char *kept = getenv("U3D_CL_CACHE");
    char *before = kept ? u3d_strdup(kept) : NULL;
    assert_int_equal(setenv("U3D_CL_CACHE", below, 1), 0);
    copy_works();
    char *file = cached_file(below);
    assert_non_null(file);
    copy_works(); /* with the kernel from the file */
    patch_byte(file, -1);
    copy_works();
    patch_byte(file, 0);
    copy_works();
    patch_byte(file, 8); /* in the field that holds the length */
    copy_works();
    assert_int_equal(truncate(file, 11), 0);
    copy_works();
    assert_int_equal(truncate(file, 0), 0);
    copy_works();
    assert_int_equal(unlink(file), 0);
    assert_int_equal(setenv("U3D_CL_CACHE", "off", 1), 0);
    copy_works();
    assert_null(cached_file(below));
    if (before)
        setenv("U3D_CL_CACHE", before, 1);
    else
        unsetenv("U3D_CL_CACHE");
    u3d_free(before);
    u3d_free(file);
    u3d_free(below);
    u3d_test_dir_done(dir);
}

/* If a kernel does not compile, the message names the file and contains the compiler's message. */
static void test_build_failure(void **state)
{
    (void)state;
    char *dir = u3d_test_dir(), *path = u3d_test_path(dir, "pointwise.cl");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("__kernel void copy(int) { this is no C }\n", f);
    fclose(f);
    assert_int_equal(setenv("U3D_CL_KERNELS", dir, 1), 0);
    u3d_op_desc d;
    u3d_kernel *k;
    memset(&d, 0, sizeof d);
    d.op = U3D_OP_COPY;
    d.n_in = d.n_out = 1;
    d.in[0] = u3d_type_f32(5, (const int64_t[]){1, 1, 1, 1, 3});
    assert_ok(u3d_op_info_get(d.op)->infer(&d));
    assert_status(u3d_backend_prepare(b, &d, 0, &k), U3D_E_DEVICE);
    assert_non_null(strstr(u3d_error_text(), "kernels/pointwise.cl"));
    assert_non_null(strstr(u3d_error_text(), "error"));
    unsetenv("U3D_CL_KERNELS");
    u3d_free(path);
    u3d_test_dir_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers), cmocka_unit_test(test_order), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_devices),   cmocka_unit_test(test_cache), cmocka_unit_test(test_build_failure),
    };
    u3d_backend *found;
    if (u3d_backend_open("opencl", NULL, &found) != U3D_OK) {
        printf("skipped: %s\n", u3d_error_text());
        return 77;
    }
    u3d_backend_close(found);
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
