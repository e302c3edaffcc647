/* Tests of `u3d tune`: the file with CLBlast's parameters is written and read again, a damaged file does no
 * harm, and matrix products are right with both of CLBlast's kernels. CLBlast uses its direct kernel for
 * small products; here the threshold is changed, so that every case also runs through the tiled kernel with
 * its copies and temporary memory. Skipped if there is no OpenCL device or no CLBlast. */
#include "tests/support/support.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tests/support/support_op.h"

static char *dir;   /* folder named by U3D_CL_CACHE              */
static char *tuned; /* file with the parameters in that folder   */

static u3d_backend *open_device(void)
{
    const u3d_backend_opts o = {0};
    u3d_backend *b;
    assert_ok(u3d_backend_open("opencl", &o, &b));
    return b;
}

static bool count_line(void *user, const char *line)
{
    ++*(int *)user;
    assert_true(strlen(line) > 0);
    return true;
}

/* With a time limit of 0, only CLBlast's own parameters are measured, and no others are tried. */
static void test_tune(void **state)
{
    (void)state;
    int n_lines = 0;
    glob_t files = {0};
    u3d_backend *b = open_device();
    assert_ok(u3d_backend_tune(b, 0, count_line, &n_lines));
    u3d_backend_close(b);
    assert_true(n_lines >= 2);
    char *pattern = u3d_test_path(dir, "clblast-*.txt");
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 1);
    tuned = u3d_strdup(files.gl_pathv[0]);
    globfree(&files);
    u3d_free(pattern);
}

static void write_tuned(const char *text)
{
    FILE *f = fopen(tuned, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void run_case(u3d_backend *b, const u3d_op_case *c, const char *impl, uint32_t accumulate, bool least)
{
    u3d_op_data *data;
    u3d_need need;
    void *out[U3D_MAX_OUT] = {NULL};
    const char *trouble = NULL;
    assert_ok(u3d_op_data_new(c, u3d_test_seed(), &data));
    u3d_op_desc d = data->desc;
    d.impl = impl;
    d.accumulate = accumulate;
    if (u3d_backend_query(b, &d, &need) == U3D_OK) {
        const u3d_op_trial t = {impl, accumulate, least ? need.work_min : need.work_best, false};
        for (int i = 0; i < d.n_out; i++) out[i] = u3d_new((size_t)u3d_type_elems(&d.out[i]), sizeof(float));
        assert_ok(u3d_op_data_run(b, data, &t, out, &trouble));
        assert_null(trouble);
        for (int i = 0; i < d.n_out; i++) {
            const int64_t n = u3d_type_elems(&d.out[i]);
            float *want = u3d_new((size_t)n, sizeof *want);
            for (int64_t e = 0; e < n; e++) {
                const float before = accumulate >> i & 1U ? ((const float *)data->before[i])[e] : 0;
                want[e] = (float)(data->want[i][e] + (double)before);
            }
            u3d_test_near(c->tag, out[i], want, n, c->tol);
            u3d_free(want);
        }
    }
    for (int i = 0; i < d.n_out; i++) u3d_free(out[i]);
    u3d_op_data_free(data);
}

/* Selects convolutions and up-convolutions with different kinds of shapes: odd, unpadded, several slabs. */
static bool is_tried(const u3d_op_case *c)
{
    static const char *const tags[] = {"odd",  "point", "joined_lazy_both", "head", "half",
                                       "unet", "wide",  "lazy_odd",         "large"};
    const size_t n = u3d_test_brief() ? 3 : sizeof tags / sizeof tags[0];
    if (c->op < U3D_OP_CONV3D || c->op > U3D_OP_UPCONV3D_DW) return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(c->tag, tags[i]) == 0) return true;
    return false;
}

static void test_tiled(void **state)
{
    (void)state;
    write_tuned("# everything by tiles\nGemmRoutine XGEMM_MIN_INDIRECT_SIZE=1\n");
    u3d_backend *b = open_device();
    for (int i = 0; i < u3d_op_case_count; i++) {
        const u3d_op_case *c = &u3d_op_cases[i];
        if (!is_tried(c)) continue;
        run_case(b, c, "clblast", 0, false);
        run_case(b, c, c->op < U3D_OP_UPCONV3D ? "unfold" : "clblast", 0, true);
        if (u3d_op_info_get(c->op)->accumulates & 1U)
            run_case(b, c, c->op < U3D_OP_UPCONV3D ? "unfold" : "clblast", 1, true);
    }
    u3d_backend_close(b);
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const bad[] = {"Xgemm GEMMK=0",
                                      "XgemmDirect",
                                      "Nonsense A=1",
                                      "GemmRoutine XGEMM_MIN_INDIRECT_SIZE=x",
                                      "GemmRoutine XGEMM_MIN_INDIRECT_SIZE=1 2",
                                      "\001\002"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_tuned(bad[i]);
        u3d_backend_close(open_device());
    }
}

/* The CPU backend has nothing to tune. */
static void test_cpu(void **state)
{
    (void)state;
    int n_lines = 0;
    u3d_backend *b = u3d_test_cpu();
    assert_status(u3d_backend_tune(b, 0, count_line, &n_lines), U3D_E_UNSUPPORTED);
    assert_int_equal(n_lines, 0);
    u3d_backend_close(b);
}

static bool has_clblast(void)
{
    const u3d_backend_opts o = {0};
    u3d_backend *b;
    u3d_need need;
    u3d_op_desc d;
    bool has = false;
    if (u3d_backend_open("opencl", &o, &b) != U3D_OK) return false;
    for (int i = 0; i < u3d_op_case_count && !has; i++) {
        if (u3d_op_cases[i].op != U3D_OP_UPCONV3D || u3d_op_case_desc(&u3d_op_cases[i], &d) != U3D_OK)
            continue;
        d.impl = "clblast";
        has = u3d_backend_query(b, &d, &need) == U3D_OK;
    }
    u3d_backend_close(b);
    return has;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cpu), cmocka_unit_test(test_tune),
                                       cmocka_unit_test(test_tiled), cmocka_unit_test(test_damaged)};
    if (!has_clblast()) {
        printf("skipped: %s\n", u3d_error_text());
        return 77;
    }
    dir = u3d_test_dir();
    if (setenv("U3D_CL_CACHE", dir, 1) != 0) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_free(tuned);
    u3d_test_dir_done(dir);
    return failed;
}
