/* Tests of the smaller parts of io/: paths and folders, output files that are complete or absent, and locks
 * (path.h), JSON (json.h), the training log log.csv (csvlog.h), and pictures (png.h). */
#include "tests/support/support_nifti.h"

#include "engine/base/mem.h"
#include "io/csvlog.h"
#include "io/json.h"
#include "io/lock.h"
#include "io/path.h"
#include "io/png.h"

#include <limits.h>
#include <math.h>
#include <png.h>
#include <string.h>
#include <unistd.h>

static char *dir;

static void assert_content(const char *path, const char *want)
{
    size_t size = 0;
    char *text = (char *)u3d_test_read_file(path, &size);
    assert_string_equal(text, want);
    u3d_free(text);
}

static void test_join(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"a", "b", "a/b"},    {"a/", "b", "a/b"},  {"", "b", "b"},
                                          {"a", "", "a"},       {"a", "./b", "a/b"}, {"a", "/b", "/b"},
                                          {"a", "././b", "a/b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *joined = u3d_path_join(rows[i][0], rows[i][1]);
        assert_string_equal(joined, rows[i][2]);
        u3d_free(joined);
    }
}

static void test_outfile(void **state)
{
    (void)state;
    char *folder = u3d_test_path(dir, "out/deep/er"), *path = u3d_test_path(folder, "a.txt");
    u3d_outfile *f = NULL;
    assert_ok(u3d_path_make_dir(folder));
    assert_ok(u3d_path_make_dir(folder));
    u3d_test_write_file(path, "old", 3);
    assert_ok(u3d_outfile_open(path, &f));
    fprintf(u3d_outfile_stream(f), "new");
    assert_content(path, "old");
    assert_non_null(strstr(u3d_outfile_temp(f), "a.txt"));
    assert_ok(u3d_outfile_commit(f));
    assert_content(path, "new");
    assert_ok(u3d_outfile_open(path, &f));
    fprintf(u3d_outfile_stream(f), "newer");
    u3d_outfile_abandon(f);
    u3d_outfile_abandon(NULL);
    assert_content(path, "new");
    assert_int_equal(u3d_test_count_files(folder), 1);
    assert_status(u3d_outfile_open("/dev/null", &f), U3D_E_OUTPUT);
    assert_status(u3d_outfile_open(folder, &f), U3D_E_OUTPUT);
    char *below_file = u3d_test_path(path, "b");
    assert_status(u3d_path_make_dir(below_file), U3D_E_OUTPUT);
    assert_status(u3d_path_make_dir(path), U3D_E_OUTPUT);
    u3d_free(below_file);
    u3d_free(folder);
    u3d_free(path);
}

/* Names may have as many bytes as the file system allows, although the temporary names are longer than the
 * final ones. Longer names are refused before anything is computed. */
static void test_long_names(void **state)
{
    (void)state;
    char name[NAME_MAX + 2];
    u3d_outfile *f = NULL;
    char *folder = u3d_test_path(dir, "long");
    assert_ok(u3d_path_make_dir(folder));
    for (int accents = 0; accents < 2; accents++)
        for (int length = NAME_MAX - 1; length <= NAME_MAX; length++) {
            for (int i = 0; i < length; i++) name[i] = accents ? "\303\251"[i % 2] : 'n';
            memcpy(name + length - 8, "x.nii.gz", 9);
            char *path = u3d_test_path(folder, name);
            assert_ok(u3d_path_check_name(path));
            assert_ok(u3d_outfile_open(path, &f));
            const char *temp = strrchr(u3d_outfile_temp(f), '/') + 1;
            assert_true(strlen(temp) <= NAME_MAX && strcmp(temp + strlen(temp) - 7, ".nii.gz") == 0);
            if (accents) assert_int_equal(strrchr(temp, '-')[1], '\303'); /* no half of a character */
            fprintf(u3d_outfile_stream(f), "text");
            assert_ok(u3d_outfile_commit(f));
            assert_content(path, "text");
            unlink(path);
            u3d_free(path);
        }
    memset(name, 'n', NAME_MAX + 1);
    name[NAME_MAX + 1] = '\0';
    char *path = u3d_test_path(folder, name);
    assert_status(u3d_path_check_name(path), U3D_E_OUTPUT);
    assert_status(u3d_outfile_open(path, &f), U3D_E_OUTPUT);
    assert_non_null(strstr(u3d_error_text(), "256 bytes"));
    assert_int_equal(u3d_test_count_files(folder), 0);
    u3d_free(path);
    u3d_free(folder);
}

static void test_list(void **state)
{
    (void)state;
    static const char *const files[] = {"list/b", "list/.hidden", "list/a", "list/c"};
    char *folder = u3d_test_path(dir, "list"), **names = NULL;
    int n = 0;
    assert_ok(u3d_path_make_dir(folder));
    for (int i = 0; i < 4; i++) {
        char *path = u3d_test_path(dir, files[i]);
        u3d_test_write_file(path, "", 0);
        u3d_free(path);
    }
    assert_ok(u3d_path_list(folder, &names, &n));
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[2], "c");
    u3d_path_list_free(names, n);
    int64_t live = u3d_mem_live();
    for (int at = 1; at <= 4; at++) {
        u3d_mem_fail_at(at);
        assert_status(u3d_path_list(folder, &names, &n), U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_mem_fail_at(0);
    assert_status(u3d_path_list("/no/such/folder", &names, &n), U3D_E_IO);
    u3d_free(folder);
}

static void test_lock(void **state)
{
    (void)state;
    u3d_lock *lock = NULL, *second = NULL;
    assert_ok(u3d_lock_take(dir, &lock));
    assert_status(u3d_lock_take(dir, &second), U3D_E_ARG);
    assert_null(second);
    u3d_lock_release(lock);
    assert_ok(u3d_lock_take(dir, &lock));
    u3d_lock_release(lock);
    u3d_lock_release(NULL);
    assert_status(u3d_lock_take("/no/such/folder", &lock), U3D_E_OUTPUT);
}

static void test_json(void **state)
{
    (void)state;
    char *path = u3d_test_path(dir, "a.json");
    cJSON *json = cJSON_CreateObject(), *back = NULL;
    cJSON_AddItemToObject(json, "pi", u3d_json_number(3.25));
    cJSON_AddItemToObject(json, "nan", u3d_json_number(NAN));
    cJSON_AddItemToObject(json, "inf", u3d_json_number(-INFINITY));
    assert_ok(u3d_json_write(path, json));
    assert_ok(u3d_json_read(path, &back));
    assert_float_equal(cJSON_GetObjectItem(back, "pi")->valuedouble, 3.25, 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(back, "nan")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(back, "inf")));
    cJSON_Delete(back);
    cJSON_Delete(json);
    u3d_test_write_file(path, "{\n \"a\": 1,\n \"b\" 2}", 18);
    assert_status(u3d_json_read(path, &back), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "line 3"));
    u3d_test_write_file(path, "{}\0{}", 5);
    assert_status(u3d_json_read(path, &back), U3D_E_FORMAT);
    u3d_test_write_file(path, "{} 3", 4);
    assert_status(u3d_json_read(path, &back), U3D_E_FORMAT);
    u3d_test_write_file(path, "", 0);
    assert_status(u3d_json_read(path, &back), U3D_E_FORMAT);
    assert_int_equal(truncate(path, 64000001), 0); /* a sparse file, which occupies no disk space */
    assert_status(u3d_json_read(path, &back), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "64000001"));
    assert_status(u3d_json_read(dir, &back), U3D_E_IO);
    char *deep = u3d_new(100001, 1); /* lists nested so deeply that a parser might overflow the stack */
    memset(deep, '[', 100000);
    assert_status(u3d_json_parse(deep, "deep", &back), U3D_E_FORMAT);
    assert_null(back);
    u3d_free(deep);
    u3d_free(path);
}

static void test_csvlog(void **state)
{
    (void)state;
    char *path = u3d_test_path(dir, "log.csv");
    u3d_csvlog *log = NULL;
    const double rows[3][3] = {{10, 0.5, NAN}, {20, 1.0 / 3, 12345678}, {30, 1e-20, -0.0}};
    assert_ok(u3d_csvlog_open(path, "iteration,loss,val", 0, &log));
    for (int i = 0; i < 3; i++) assert_ok(u3d_csvlog_row(log, rows[i], 3));
    /* Every row has been flushed before the log is closed. */
    assert_content(path, "iteration,loss,val\n10,0.5,\n20,0.333333333,12345678\n30,1e-20,0\n");
    u3d_csvlog_close(log);
    FILE *f = fopen(path, "ab"); /* an incomplete line, as a crash may leave it */
    fputs("40,0.", f);
    fclose(f);
    assert_ok(u3d_csvlog_open(path, "iteration,loss,val", 20, &log));
    assert_ok(u3d_csvlog_row(log, rows[2], 3));
    u3d_csvlog_close(log);
    assert_content(path, "iteration,loss,val\n10,0.5,\n20,0.333333333,12345678\n30,1e-20,0\n");
    assert_status(u3d_csvlog_open(path, "iteration,loss", 20, &log), U3D_E_FORMAT);
    assert_content(path, "iteration,loss,val\n10,0.5,\n20,0.333333333,12345678\n30,1e-20,0\n");
    assert_status(u3d_csvlog_open("/no/such/folder/log.csv", "a", 0, &log), U3D_E_OUTPUT);
    u3d_csvlog_close(NULL);
    int64_t live = u3d_mem_live();
    for (int n = 1; n <= 6; n++) {
        u3d_mem_fail_at(n);
        u3d_status status = u3d_csvlog_open(path, "iteration,loss,val", 1000, &log);
        u3d_mem_fail_at(0);
        if (status == U3D_OK)
            u3d_csvlog_close(log);
        else
            assert_int_equal(status, U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_free(path);
}

static void test_png(void **state)
{
    (void)state;
    char *path = u3d_test_path(dir, "a.png");
    uint8_t rgb[5 * 7 * 3], back[5 * 7 * 3];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(37 * i);
    assert_ok(u3d_png_write(path, rgb, 7, 5));
    png_image image;
    memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    assert_true(png_image_begin_read_from_file(&image, path));
    assert_int_equal(image.width, 7);
    assert_int_equal(image.height, 5);
    image.format = PNG_FORMAT_RGB;
    assert_true(png_image_finish_read(&image, NULL, back, 0, NULL));
    assert_memory_equal(rgb, back, sizeof rgb);
    assert_status(u3d_png_write(path, rgb, 0, 5), U3D_E_ARG);
    assert_status(u3d_png_write("/no/such/folder/a.png", rgb, 7, 5), U3D_E_OUTPUT);
    u3d_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),   cmocka_unit_test(test_outfile), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_list),   cmocka_unit_test(test_lock),    cmocka_unit_test(test_json),
        cmocka_unit_test(test_csvlog), cmocka_unit_test(test_png),
    };
    dir = u3d_test_dir();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
