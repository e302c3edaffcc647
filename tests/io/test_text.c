/* Tests of text formats: JSON is UTF-8 whatever strings it holds (json.h), and tables are read as they are
 * written (csv.h). */
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "io/csv.h"
#include "io/json.h"
#include "tests/support/support_nifti.h"

/* Whether a text is UTF-8: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static bool is_utf8(const unsigned char *p)
{
    while (*p) {
        uint32_t c = *p++;
        int more = 0;
        if (c >= 0x80) {
            more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
            if (c < 0xc0 || c > 0xf7) return false;
            c &= 0x3fu >> more;
        }
        for (int i = 0; i < more; i++, p++) {
            if (*p >> 6 != 2) return false;
            c = c << 6 | (*p & 63);
        }
        static const uint32_t least[4] = {0, 0x80, 0x800, 0x10000};
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
    }
    return true;
}

/* Strings that are not UTF-8 are written as UTF-8 and read again as they were, as values, as names of
 * members, and as JSON inside of a JSON string. */
static void test_json_utf8(void **state)
{
    (void)state;
    static const char *const strings[] = {
        "Niere",
        "na\303\257ve \345\267\246 \360\237\247\240", /* UTF-8 */
        "ni\350re",                                   /* Latin-1 */
        "\351",
        "end\303",
        "\300\257",         /* overlong */
        "\355\240\200",     /* a surrogate */
        "\364\220\200\200", /* above U+10FFFF */
        "\377\376",
        "\342\202\"\\\n",
        "\356\276\200", /* U+EF80, which stands for a byte */
        "\356\277\277\200",
    };
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        cJSON *json = cJSON_CreateObject(), *inner = cJSON_CreateObject(), *back, *inner_back;
        cJSON_AddStringToObject(json, "name", strings[i]);
        cJSON_AddNumberToObject(json, strings[i], 1);
        cJSON_AddStringToObject(inner, "name", strings[i]);
        char *nested = u3d_json_text(inner);
        cJSON_AddStringToObject(json, "nested", nested);
        char *text = u3d_json_text(json);
        assert_true(is_utf8((const unsigned char *)text));
        assert_ok(u3d_json_parse(text, "test", &back));
        assert_string_equal(u3d_json_member(back, "name")->valuestring, strings[i]);
        assert_non_null(u3d_json_member(back, strings[i]));
        assert_ok(u3d_json_parse(u3d_json_member(back, "nested")->valuestring, "test", &inner_back));
        assert_string_equal(u3d_json_member(inner_back, "name")->valuestring, strings[i]);
        if (i < 2) assert_non_null(strstr(text, strings[i]));
        cJSON_Delete(json);
        cJSON_Delete(inner);
        cJSON_Delete(back);
        cJSON_Delete(inner_back);
        u3d_free(text);
        u3d_free(nested);
    }
}

static void test_csv_parse(void **state)
{
    (void)state;
    u3d_csv t;
    assert_ok(u3d_csv_parse("\xef\xbb\xbf"
                            "case,label,Dice\r\n"
                            "\"a,b\",1,0.5\r\n"
                            "\r\n"
                            "\"say \"\"hi\"\"\",2,\n"
                            "\"two\nlines\" more,\"\",\"\"\"\"",
                            "test", &t));
    assert_int_equal(t.n, 4);
    assert_int_equal(u3d_csv_column(&t, "case"), 0);
    assert_int_equal(u3d_csv_column(&t, "Dice"), 2);
    assert_int_equal(u3d_csv_column(&t, "IoU"), -1);
    assert_int_equal(u3d_csv_width(&t, 2), 3);
    assert_string_equal(u3d_csv_cell(&t, 1, 0), "a,b");
    assert_string_equal(u3d_csv_cell(&t, 1, 2), "0.5");
    assert_string_equal(u3d_csv_cell(&t, 2, 0), "say \"hi\"");
    assert_string_equal(u3d_csv_cell(&t, 2, 2), "");
    assert_string_equal(u3d_csv_cell(&t, 3, 0), "two\nlines more");
    assert_string_equal(u3d_csv_cell(&t, 3, 1), "");
    assert_string_equal(u3d_csv_cell(&t, 3, 2), "\"");
    assert_string_equal(u3d_csv_cell(&t, 3, 3), "");
    u3d_csv_free(&t);

    assert_ok(u3d_csv_parse("a,", "test", &t));
    assert_int_equal(u3d_csv_width(&t, 0), 2);
    u3d_csv_free(&t);
    assert_ok(u3d_csv_parse("\n\r\n", "test", &t));
    assert_int_equal(t.n, 0);
    assert_int_equal(u3d_csv_column(&t, "a"), -1);
    u3d_csv_free(&t);
    assert_status(u3d_csv_parse("a,b\n1,\"2\n", "test", &t), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "cell 2 of row 2 is never closed"));
    u3d_csv_free(&t);
}

/* Whatever cells hold, they are read as they were written. */
static void test_csv_round_trip(void **state)
{
    (void)state;
    static const char *const cells[2][3] = {{"a,b", "\"", "c\r\nd"}, {"", "plain", "\"x\",\n"}};
    char *dir = u3d_test_dir(), *path = u3d_test_path(dir, "t.csv");
    FILE *f = fopen(path, "w");
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 3; c++) {
            u3d_csv_put(f, cells[r][c]);
            fputc(c < 2 ? ',' : '\n', f);
        }
    fclose(f);
    u3d_csv t;
    assert_ok(u3d_csv_read(path, &t));
    assert_int_equal(t.n, 2);
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 3; c++) assert_string_equal(u3d_csv_cell(&t, r, c), cells[r][c]);
    u3d_csv_free(&t);
    u3d_test_write_file(path, "a\0b", 3);
    assert_status(u3d_csv_read(path, &t), U3D_E_FORMAT);
    u3d_csv_free(&t);
    u3d_test_write_file(path, "", 0);
    assert_ok(u3d_csv_read(path, &t));
    assert_int_equal(t.n, 0);
    u3d_csv_free(&t);
    remove(path);
    assert_status(u3d_csv_read(path, &t), U3D_E_IO);
    u3d_csv_free(&t);
    u3d_free(path);
    u3d_test_dir_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_json_utf8), cmocka_unit_test(test_csv_parse),
                                       cmocka_unit_test(test_csv_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
