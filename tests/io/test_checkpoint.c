/* Tests of safetensors files (io/checkpoint.h): a file that is saved and loaded contains the same tensors and
 * metadata; its bytes have the layout that other readers expect; wrong headers, files that end early and
 * damaged files are refused.
 *
 * A refused file must give U3D_E_FORMAT or U3D_E_IO with a message that names the file, and must leak no
 * memory. */
#include "tests/support/support_nifti.h"

#include "engine/base/mem.h"
#include "io/checkpoint.h"
#include "io/path.h"

#include <string.h>
#include <sys/stat.h>

static char *dir;

static void add_tensor(u3d_checkpoint *c, const char *name, u3d_dtype dtype, int32_t rank, const int64_t *dim)
{
    u3d_tensor *t = NULL;
    assert_ok(u3d_tensor_new(name, u3d_type_of(dtype, rank, dim), &t));
    for (uint64_t i = 0; i < u3d_type_bytes(&t->type); i++)
        ((uint8_t *)t->data)[i] = (uint8_t)(i + (uint64_t)rank);
    assert_ok(u3d_checkpoint_add(c, t));
}

static u3d_checkpoint *sample(void)
{
    u3d_checkpoint *c = NULL;
    assert_ok(u3d_checkpoint_new(&c));
    add_tensor(c, "mask", U3D_U8, 1, (const int64_t[]){3});
    add_tensor(c, "enc0.conv1.weight", U3D_F32, 5, (const int64_t[]){2, 1, 3, 3, 3});
    add_tensor(c, "step", U3D_I32, 0, NULL);
    assert_ok(u3d_checkpoint_set(c, "config", "{\"net\": \"paper\",\n \"name\": \"\xc3\xa4\\\"\"}"));
    assert_ok(u3d_checkpoint_set(c, "step", "12"));
    assert_ok(u3d_checkpoint_set(c, "step", "13"));
    return c;
}

static char *save_sample(const char *name)
{
    u3d_checkpoint *c = sample();
    char *path = u3d_test_path(dir, name);
    assert_ok(u3d_checkpoint_save(path, c));
    u3d_checkpoint_free(c);
    return path;
}

static void assert_sample(const u3d_checkpoint *found)
{
    u3d_checkpoint *c = sample();
    assert_int_equal(found->n_tensors, c->n_tensors);
    assert_int_equal(found->n_meta, c->n_meta);
    for (int i = 0; i < c->n_tensors; i++) {
        const u3d_tensor *want = c->tensors[i], *got = u3d_checkpoint_find(found, want->name);
        assert_non_null(got);
        assert_true(u3d_type_equal(&want->type, &got->type));
        assert_memory_equal(want->data, got->data, u3d_type_bytes(&want->type));
    }
    assert_string_equal(u3d_checkpoint_get(found, "config"), u3d_checkpoint_get(c, "config"));
    assert_string_equal(u3d_checkpoint_get(found, "step"), "13");
    assert_null(u3d_checkpoint_get(found, "xxh64"));
    u3d_checkpoint_free(c);
}

static void test_round_trip(void **state)
{
    (void)state;
    char *path = save_sample("a.safetensors");
    u3d_checkpoint *c = NULL;
    assert_ok(u3d_checkpoint_load(path, &c));
    assert_sample(c);
    assert_ok(u3d_checkpoint_save(path, c)); /* replaces the file that was loaded */
    u3d_checkpoint_free(c);
    assert_ok(u3d_checkpoint_load(path, &c));
    assert_sample(c);
    u3d_checkpoint_free(c);
    u3d_free(path);
}

/* Checks in the bytes of a file what the README of the format requires. */
static void test_layout(void **state)
{
    (void)state;
    char *path = save_sample("layout.safetensors");
    size_t size = 0;
    uint8_t *bytes = u3d_test_read_file(path, &size);
    uint64_t length = 0;
    memcpy(&length, bytes, 8);
    assert_int_equal(length % 8, 0);
    assert_int_equal(size, 8 + length + 54 * 4 + 4 + 3);
    char *header = u3d_format("%.*s", (int)length, (char *)bytes + 8);
    assert_int_equal(header[0], '{');
    assert_non_null(strstr(header, "\"enc0.conv1.weight\":{\"dtype\":\"F32\",\"shape\":[2,1,3,3,3],"
                                   "\"data_offsets\":[0,216]}"));
    assert_non_null(strstr(header, "\"step\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[216,220]}"));
    assert_non_null(strstr(header, "\"mask\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[220,223]}"));
    assert_non_null(strstr(header, "\"__metadata__\":{"));
    assert_int_equal(bytes[8 + length], 5); /* first byte of the weight: its rank, see add_tensor */
    u3d_free(header);
    u3d_free(bytes);
    u3d_free(path);
}

/* Loads a file that consists of `header` and data_bytes zero bytes, and returns the status. */
static u3d_status load_text(const char *name, const char *header, size_t data_bytes)
{
    char *path = u3d_test_path(dir, name);
    uint64_t length = strlen(header);
    uint8_t *bytes = u3d_new(8 + length + data_bytes, 1);
    u3d_checkpoint *c = NULL;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    u3d_test_write_file(path, bytes, 8 + length + data_bytes);
    u3d_free(bytes);
    int64_t live = u3d_mem_live();
    u3d_status status = u3d_checkpoint_load(path, &c);
    assert_true((status == U3D_OK) == (c != NULL));
    if (status != U3D_OK) assert_non_null(strstr(u3d_error_text(), name));
    u3d_checkpoint_free(c);
    assert_int_equal(u3d_mem_live(), live);
    u3d_free(path);
    return status;
}

/* Right and wrong headers, as another program might write them. */
static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data_bytes;
        u3d_status status;
    } cases[] = {
        {"{}", 0, U3D_OK},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}     ", 8, U3D_OK},
        {"{\"__metadata__\":{\"x\":\"y\"},\"a\":{\"data_offsets\":[0,2],\"shape\":[2,1],\"dtype\":\"U8\"}}",
         2, U3D_OK},
        {"{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
         4, U3D_OK},
        {"{}", 4, U3D_E_FORMAT}, /* the data belongs to no tensor */
        {"[]", 0, U3D_E_FORMAT},
        {" {}", 0, U3D_E_FORMAT},
        {"{\"a\":", 0, U3D_E_FORMAT},
        {"{\"a\":3}", 0, U3D_E_FORMAT},
        {"{\"a\":{}}", 0, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,10]}}", 10, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, U3D_E_FORMAT},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
         4, U3D_E_FORMAT},
        {"{\"__metadata__\":{\"x\":1}}", 0, U3D_E_FORMAT},
        {"{\"__metadata__\":[]}", 0, U3D_E_FORMAT},
        {"{\"0123456789012345678901234567890123456789012345678901234567890123\":"
         "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
         1, U3D_E_FORMAT},
        {"{\"__metadata__\":{\"xxh64\":\"{\\\"a\\\":\\\"0000000000000000\\\"}\"},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
         1, U3D_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        u3d_status status = load_text("header.safetensors", cases[i].header, cases[i].data_bytes);
        if (status != cases[i].status)
            fail_msg("the header %s gives status %d (%s)", cases[i].header, status, u3d_error_text());
    }
}

static void test_cut_everywhere(void **state)
{
    (void)state;
    char *path = save_sample("whole.safetensors"), *cut = u3d_test_path(dir, "cut.safetensors");
    size_t size = 0;
    uint8_t *bytes = u3d_test_read_file(path, &size);
    int64_t live = u3d_mem_live();
    for (size_t length = 0; length < size; length++) {
        u3d_checkpoint *c = NULL;
        u3d_test_write_file(cut, bytes, length);
        assert_status(u3d_checkpoint_load(cut, &c), U3D_E_FORMAT);
        assert_non_null(strstr(u3d_error_text(), "cut.safetensors"));
        assert_null(c);
    }
    assert_int_equal(u3d_mem_live(), live);
    u3d_free(bytes);
    u3d_free(path);
    u3d_free(cut);
}

/* Changes single bytes. Every change in the length of the header and in the data must be noticed, because the
 * data has checksums. A change in the header may go unnoticed if the header is still valid. */
static void test_mutations(void **state)
{
    (void)state;
    char *path = save_sample("sound.safetensors"), *bad = u3d_test_path(dir, "bad.safetensors");
    size_t size = 0;
    uint8_t *bytes = u3d_test_read_file(path, &size);
    uint64_t length = 0;
    u3d_rng rng = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, 4);
    memcpy(&length, bytes, 8);
    int64_t live = u3d_mem_live();
    for (size_t at = 0; at < size; at++)
        for (int round = 0; round < 3; round++) {
            uint8_t old = bytes[at];
            u3d_checkpoint *c = NULL;
            bytes[at] = (uint8_t)(old ^ (1 + u3d_rng_below(&rng, 255)));
            u3d_test_write_file(bad, bytes, size);
            bytes[at] = old;
            u3d_status status = u3d_checkpoint_load(bad, &c);
            u3d_checkpoint_free(c);
            if (status != U3D_OK && status != U3D_E_FORMAT)
                fail_msg("a change of byte %zu gives status %d instead of U3D_E_FORMAT", at, status);
            if (status == U3D_OK && (at < 8 || at >= 8 + length))
                fail_msg("a change of byte %zu was not noticed", at);
        }
    assert_int_equal(u3d_mem_live(), live);
    u3d_free(bytes);
    u3d_free(path);
    u3d_free(bad);
}

static void test_wrong_files(void **state)
{
    (void)state;
    u3d_checkpoint *c = NULL;
    char *missing = u3d_test_path(dir, "missing.safetensors"), *folder = u3d_test_path(dir, "folder");
    char *lost = u3d_test_path(dir, "no/folder/a.safetensors");
    assert_status(u3d_checkpoint_load(missing, &c), U3D_E_IO);
    assert_ok(u3d_path_make_dir(folder));
    assert_status(u3d_checkpoint_load(folder, &c), U3D_E_IO);
    c = sample();
    assert_status(u3d_checkpoint_save(lost, c), U3D_E_OUTPUT);
    assert_status(u3d_checkpoint_save(folder, c), U3D_E_OUTPUT);
    assert_status(u3d_checkpoint_set(c, "xxh64", "mine"), U3D_E_ARG);
    u3d_tensor *twice = NULL;
    assert_ok(u3d_tensor_new("mask", u3d_type_scalar(), &twice));
    assert_status(u3d_checkpoint_add(c, twice), U3D_E_ARG);
    u3d_checkpoint_free(c);
    u3d_free(missing);
    u3d_free(folder);
    u3d_free(lost);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char *path = save_sample("memory.safetensors");
    int64_t live = u3d_mem_live();
    for (int n = 1;; n++) {
        u3d_checkpoint *c = NULL;
        u3d_mem_fail_at(n);
        u3d_status status = u3d_checkpoint_load(path, &c);
        u3d_mem_fail_at(0);
        if (status == U3D_OK) {
            assert_true(n > 10);
            u3d_checkpoint_free(c);
            break;
        }
        assert_int_equal(status, U3D_E_NOMEM);
        assert_null(c);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_checkpoint *c = sample();
    live = u3d_mem_live();
    for (int n = 1, done = 0; !done; n++) {
        u3d_mem_fail_at(n);
        u3d_status status = u3d_checkpoint_save(path, c);
        u3d_mem_fail_at(0);
        assert_int_equal(u3d_mem_live(), live);
        done = status == U3D_OK && n > 4;
        if (status != U3D_OK) assert_int_equal(status, U3D_E_NOMEM);
    }
    u3d_checkpoint_free(c);
    u3d_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_layout),
        cmocka_unit_test(test_headers),       cmocka_unit_test(test_cut_everywhere),
        cmocka_unit_test(test_mutations),     cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_out_of_memory),
    };
    dir = u3d_test_dir();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
