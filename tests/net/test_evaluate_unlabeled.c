/* Tests of which voxels of a reference count as unlabelled (net/evaluate/evaluate_unlabeled.c): what the
 * options and the model say, and what u3d does if nothing says it. */
#include "tests/support/support_cases.h"

#include <string.h>

#include "engine/base/mem.h"
#include "io/json.h"
#include "net/evaluate/evaluate.h"

enum { SIDE = 16 };

static char *dir, *prediction, *reference;

/* The value of voxel v, at z, y, x, of a file. */
typedef int32_t (*value_at)(int64_t z, int64_t y, int64_t x);

static int32_t dense(int64_t z, int64_t y, int64_t x)
{
    (void)z;
    return x > 3 && x < 12 && y > 3 && y < 12 ? 2 : 0;
}

static int32_t dense_one(int64_t z, int64_t y, int64_t x) /* background is 1 */
{
    return dense(z, y, x) ? 2 : 1;
}

static bool painted(int64_t z, int64_t y)
{
    return z == 4 || z == 10 || y == 8;
}

static int32_t sparse_255(int64_t z, int64_t y, int64_t x)
{
    return painted(z, y) ? dense(z, y, x) : 255;
}

static int32_t sparse_0(int64_t z, int64_t y, int64_t x)
{
    return painted(z, y) ? dense_one(z, y, x) : 0;
}

static int32_t box_255(int64_t z, int64_t y, int64_t x) /* less than half is annotated, and not in slices */
{
    return z < 7 ? dense(z, y, x) : 255;
}

static int32_t box_0(int64_t z, int64_t y, int64_t x)
{
    return z < 7 ? dense_one(z, y, x) : 0;
}

static int32_t scribbles_4(int64_t z, int64_t y, int64_t x)
{
    return (5 * z + 3 * y + x) % 17 == 0 ? dense(z, y, x) : 4;
}

static int32_t most_255(int64_t z, int64_t y, int64_t x) /* more than half is annotated */
{
    return z < 9 ? dense(z, y, x) : 255;
}

static int32_t big(int64_t z, int64_t y, int64_t x) /* a label that fills more than half */
{
    return z < 9 && x + y >= 0 ? 2 : 0;
}

static int32_t mask(int64_t z, int64_t y, int64_t x) /* of 0 and 255 */
{
    return big(z, y, x) ? 255 : 0;
}

static int32_t nothing(int64_t z, int64_t y, int64_t x)
{
    (void)z, (void)y, (void)x;
    return 0;
}

static void file_write(const char *path, value_at at)
{
    u3d_volume *v;
    assert_ok(u3d_volume_new((int64_t[]){SIDE, SIDE, SIDE}, (double[]){1, 1, 1}, U3D_I32, 1, &v));
    int32_t *to = v->data;
    for (int64_t z = 0; z < SIDE; z++)
        for (int64_t y = 0; y < SIDE; y++)
            for (int64_t x = 0; x < SIDE; x++) *to++ = at(z, y, x);
    assert_ok(u3d_volume_write(path, v));
    u3d_volume_free(v);
}

static u3d_labels labels_make(int32_t first, bool has_unlabeled, int32_t unlabeled)
{
    return (u3d_labels){.n = 2,
                        .value = {first, 2},
                        .has_unlabeled = has_unlabeled,
                        .unlabeled = unlabeled,
                        .background = true};
}

typedef struct trial {
    u3d_evaluate_opts o;
    u3d_status status;
    double unlabeled; /* the report's value; -1: null */
    double voxels;    /* unlabelled ones */
} trial;

static void trial_run(void *user)
{
    trial *t = user;
    cJSON *out = NULL;
    t->o.prediction = prediction;
    t->o.reference = reference;
    t->o.threads = 1;
    t->unlabeled = -1;
    t->status = u3d_evaluate(&t->o, &out);
    if (t->status != U3D_OK) return;
    const cJSON *value = u3d_json_member(out, "unlabeled"),
                *entry = cJSON_GetArrayItem(u3d_json_member(out, "metric_per_case"), 0);
    if (cJSON_IsNumber(value)) t->unlabeled = value->valuedouble;
    t->voxels = u3d_json_member(entry, "unlabeled_voxels")->valuedouble;
    cJSON_Delete(out);
}

/* Scores p against r. `says`: part of what is said, NULL: no warning. Returns the result. */
static trial score(value_at p, value_at r, const u3d_evaluate_opts *o, const char *says)
{
    trial t = {.o = *o};
    file_write(prediction, p);
    file_write(reference, r);
    char *text = u3d_test_stderr_of(trial_run, &t);
    if (t.status == U3D_OK && !says) assert_int_equal(u3d_test_count_text(text, " W "), 0);
    if (t.status == U3D_OK && says) assert_int_equal(u3d_test_count_text(text, says), 1);
    if (t.status != U3D_OK) u3d_test_says(says);
    u3d_free(text);
    return t;
}

static const u3d_evaluate_opts none = {.dense = false};

static void test_nothing_known(void **state)
{
    (void)state;
    assert_int_equal(score(dense, sparse_255, &none, "give --unlabeled 255").status, U3D_E_ARG);
    assert_int_equal(score(dense, box_255, &none, "are 255, and none of the predictions").status, U3D_E_ARG);
    assert_int_equal(score(dense_one, sparse_0, &none, "give --unlabeled 0").status, U3D_E_ARG);
    assert_int_equal(score(dense, scribbles_4, &none, "give --unlabeled 4").status, U3D_OK);
    /* the prediction has 0 as well, so 0 may be background */
    assert_int_equal(score(dense, sparse_0, &none, "give --unlabeled 0").status, U3D_OK);
    assert_int_equal(score(dense, most_255, &none, "give --unlabeled 255").status, U3D_E_ARG);
    assert_int_equal(score(dense, dense, &none, NULL).status, U3D_OK);
    /* a network that found nothing is scored */
    assert_int_equal(score(nothing, big, &none, "never predicted").status, U3D_OK);
    assert_int_equal(score(nothing, dense, &none, NULL).status, U3D_OK);
    assert_int_equal(score(nothing, mask, &none, "never predicted").status, U3D_OK);
}

/* 0 and 1 in one file, 0 and 255 in the other. */
static int32_t mask_1(int64_t z, int64_t y, int64_t x)
{
    return dense(z, y, x) ? 1 : 0;
}

static int32_t mask_255(int64_t z, int64_t y, int64_t x)
{
    return dense(z, y, x) ? 255 : 0;
}

static void test_no_label_in_common(void **state)
{
    (void)state;
    assert_int_equal(score(mask_1, mask_255, &none, "no label in common").status, U3D_OK);
    assert_int_equal(score(mask_255, mask_1, &none, "no label in common").status, U3D_OK);
    assert_int_equal(score(mask_1, mask_1, &none, NULL).status, U3D_OK);
    assert_int_equal(score(mask_1, nothing, &none, NULL).status, U3D_OK);
}

static void test_dense(void **state)
{
    (void)state;
    const u3d_evaluate_opts o = {.dense = true};
    assert_true(score(dense, sparse_255, &o, NULL).voxels == 0);
    assert_true(score(dense, box_255, &o, NULL).unlabeled == -1);
}

static void test_model_knows(void **state)
{
    (void)state;
    u3d_labels l = labels_make(0, true, 255);
    const u3d_evaluate_opts o = {.trained = &l};
    assert_true(score(dense, sparse_255, &o, NULL).unlabeled == 255);
    assert_true(score(dense, box_255, &o, NULL).voxels == 9 * SIDE * SIDE);
    assert_true(score(dense, most_255, &o, NULL).voxels == 7 * SIDE * SIDE);
    assert_true(score(dense, dense, &o, NULL).voxels == 0);
    assert_true(score(dense, box_255, &(u3d_evaluate_opts){.trained = &l, .dense = true}, NULL).voxels == 0);
    const u3d_evaluate_opts other = {.trained = &l, .unlabeled_given = true, .unlabeled = 7};
    assert_int_equal(score(dense, box_255, &other, "none of the predictions").status, U3D_E_ARG);
    /* the model has a label 255 */
    l = (u3d_labels){.n = 2, .value = {0, 255}, .background = true};
    assert_int_equal(score(nothing, box_255, &o, NULL).status, U3D_OK);
}

/* The model was trained with 0 as unlabelled, but references may have 0 as background. */
static void test_model_means_other_files(void **state)
{
    (void)state;
    u3d_labels l = labels_make(1, true, 0);
    l.background = false;
    const u3d_evaluate_opts o = {.trained = &l};
    assert_true(score(dense_one, sparse_0, &o, NULL).unlabeled == 0);
    assert_true(score(dense, dense, &o, "0 counts as a label there").unlabeled == -1);
    assert_true(score(dense, sparse_0, &o, NULL).unlabeled == 0);
    assert_true(score(dense, box_0, &o, "0 counts as a label there").voxels == 0);
    l.background = true; /* 1 is the background, which predictions have as 0 */
    assert_true(score(dense, box_0, &o, NULL).voxels == 9 * SIDE * SIDE);
    assert_true(score(dense, dense, &o, "0 counts as a label there").voxels == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_known), cmocka_unit_test(test_dense),
                                       cmocka_unit_test(test_model_knows),
                                       cmocka_unit_test(test_model_means_other_files),
                                       cmocka_unit_test(test_no_label_in_common)};
    dir = u3d_test_dir();
    prediction = u3d_test_path(dir, "p.nii");
    reference = u3d_test_path(dir, "r.nii");
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_free(prediction);
    u3d_free(reference);
    u3d_test_dir_done(dir);
    return failed;
}
