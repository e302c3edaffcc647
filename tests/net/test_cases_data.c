/* Tests of training cases in use (net/cases/cases.h): normalised intensities, cases that do not fit into the
 * memory budget and are read again from their files, failing allocations, and slices that are held out of
 * training. test_cases tests what is found when cases are opened. */
#include "tests/support/support_cases.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"

static const u3d_cases_opts dense = {.dense = true};

/* ---- intensities ---- */

static void test_zscore(void **state)
{
    (void)state;
    const int64_t size[3] = {4, 5, 6};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, u3d_test_voxel_mix, NULL, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_AUTO, &dense, &c));
    assert_int_equal(u3d_cases_intensity(c)->kind[0], U3D_INTENSITY_ZSCORE);
    assert_ok(u3d_cases_acquire(c, 0, &data));
    assert_null(data->label);
    for (int ch = 0; ch < 2; ch++) {
        double sum = 0, squares = 0;
        for (int64_t v = 0; v < 120; v++) {
            double x = (double)((float *)data->image->data)[v * 2 + ch];
            sum += x;
            squares += x * x;
        }
        u3d_test_close(sum / 120, 0, 1e-6);
        u3d_test_close(squares / 120, 1, 1e-6);
    }
    u3d_cases_release(c, 0);
    u3d_cases_free(c);
    u3d_test_set_done(&s);

    u3d_volume *flat = NULL;
    assert_ok(u3d_volume_new(size, (const double[]){1, 1, 1}, U3D_F32, 1, &flat));
    for (int v = 0; v < 120; v++) ((float *)flat->data)[v] = 0.1f;
    const u3d_intensity_stats zscore = {.kind = {U3D_INTENSITY_ZSCORE}, .channels = 1};
    assert_ok(u3d_intensity_normalise(flat, &zscore));
    for (int v = 0; v < 120; v++) assert_true(((float *)flat->data)[v] == 0.0f);
    u3d_volume_free(flat);
}

/* For CT, the statistics cover only the foreground, which contains the numbers 500 to 999 here. */
static void test_ct(void **state)
{
    (void)state;
    const int64_t size[3] = {10, 10, 10};
    u3d_test_set s;
    u3d_cases *c = NULL;
    const u3d_case_data *data = NULL;
    static u3d_intensity_stats back;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_ramp, u3d_test_voxel_half, NULL);
    u3d_test_set_add(&s, "b", size, 1, u3d_test_voxel_ramp, u3d_test_voxel_half, NULL);
    u3d_test_set_name_channel(&s, "ct");
    for (int pass = 0; pass < 2; pass++) { /* 0: cases stay in memory; 1: they are read for each use */
        const u3d_cases_opts o = {.dense = true, .memory_cap = pass ? 1 : 0};
        assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_AUTO, &o, &c));
        const u3d_intensity_stats *t = u3d_cases_intensity(c);
        assert_int_equal(t->kind[0], U3D_INTENSITY_CT);
        u3d_test_close(t->mean[0], 749.5, 1e-9);
        u3d_test_close(t->sd[0], sqrt((500.0 * 500 - 1) / 12), 1e-9);
        assert_true(t->low[0] >= 502 && t->low[0] <= 503 && t->high[0] >= 996 && t->high[0] <= 997);
        assert_ok(u3d_cases_acquire(c, 1, &data));
        const float *v = data->image->data;
        u3d_test_close(v[0], (t->low[0] - t->mean[0]) / t->sd[0], 1e-6);
        u3d_test_close(v[700], (700 - t->mean[0]) / t->sd[0], 1e-6);
        u3d_test_close(v[999], (t->high[0] - t->mean[0]) / t->sd[0], 1e-6);
        u3d_cases_release(c, 1);
        cJSON *json = NULL;
        assert_ok(u3d_intensity_to_json(t, &json));
        assert_ok(u3d_intensity_from_json(&back, json, "test"));
        assert_memory_equal(t, &back, sizeof back);
        cJSON_Delete(json);
        u3d_cases_free(c);
    }
    u3d_test_set_done(&s);
}

/* ---- memory ---- */

enum { BUDGET_CASES = 6, BUDGET_THREADS = 4 };

static u3d_volume *copy_of(const u3d_volume *v)
{
    u3d_volume *out = NULL;
    assert_ok(u3d_volume_new_like(v, v->dtype, v->channels, &out));
    memcpy(out->data, v->data, (size_t)(u3d_volume_voxels(v) * v->channels) * u3d_dtype_size(v->dtype));
    return out;
}

static bool same_data(const u3d_volume *a, const u3d_volume *b)
{
    return memcmp(a->data, b->data,
                  (size_t)(u3d_volume_voxels(a) * a->channels) * u3d_dtype_size(a->dtype)) == 0;
}

typedef struct borrower {
    u3d_cases *c;
    u3d_volume *const *image;
    int number, wrong;
} borrower;

static void *borrow_at_random(void *user)
{
    borrower *b = user;
    u3d_rng r = u3d_rng_at(1, U3D_RNG_TEST, (uint64_t)b->number);
    for (int round = 0; round < 60; round++) {
        const u3d_case_data *data = NULL;
        int i = (int)u3d_rng_below(&r, BUDGET_CASES);
        if (u3d_cases_acquire(b->c, i, &data) != U3D_OK) {
            b->wrong++;
            continue;
        }
        b->wrong += !same_data(data->image, b->image[i]);
        u3d_cases_release(b->c, i);
    }
    return NULL;
}

/* If the budget has room for only two of six cases, every case must have the same contents as with room for
 * all, whether one thread uses the cases or four. */
static void test_budget(void **state)
{
    (void)state;
    u3d_test_set s;
    u3d_cases *all = NULL, *few = NULL;
    u3d_volume *image[BUDGET_CASES];
    const u3d_test_list list = {3, {0, 1, 9}};
    u3d_test_set_new(&s);
    for (int i = 0; i < BUDGET_CASES; i++) {
        const int64_t size[3] = {4, 5, 6 + i};
        char id[8];
        (void)snprintf(id, sizeof id, "c%d", i);
        u3d_test_set_add(&s, id, size, 1, u3d_test_voxel_mix, u3d_test_voxel_of_list, &list);
    }
    const u3d_cases_opts o = {.dense = true, .memory_cap = 2 * 5 * 4 * 5 * 11};
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &dense, &all));
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_ZSCORE, &o, &few));
    assert_int_equal(u3d_cases_resident_bytes(few), o.memory_cap);
    assert_true(u3d_cases_resident_bytes(all) > o.memory_cap);
    for (int i = 0; i < BUDGET_CASES; i++) {
        const u3d_case_data *a = NULL, *b = NULL;
        assert_ok(u3d_cases_acquire(all, i, &a));
        assert_ok(u3d_cases_acquire(few, i, &b));
        assert_true(same_data(a->image, b->image));
        assert_true(same_data(a->label, b->label));
        image[i] = copy_of(a->image);
        u3d_cases_release(all, i);
        u3d_cases_release(few, i);
    }
    int64_t live = u3d_mem_live();
    pthread_t thread[BUDGET_THREADS];
    borrower b[BUDGET_THREADS];
    for (int i = 0; i < BUDGET_THREADS; i++) {
        b[i] = (borrower){.c = few, .image = image, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, borrow_at_random, &b[i]), 0);
    }
    for (int i = 0; i < BUDGET_THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(b[i].wrong, 0);
    }
    /* Only as many cases may stay in memory as were borrowed at the same time. */
    assert_true(u3d_mem_live() <= live + 4 * BUDGET_THREADS);

    /* Borrowing all cases at the same time exceeds the budget, but must work. */
    const u3d_case_data *data[BUDGET_CASES];
    for (int i = 0; i < BUDGET_CASES; i++) assert_ok(u3d_cases_acquire(few, i, &data[i]));
    for (int i = 0; i < BUDGET_CASES; i++) {
        assert_true(same_data(data[i]->image, image[i]));
        u3d_cases_release(few, i);
    }

    bool held[BUDGET_CASES] = {false};
    held[0] = held[2] = true;
    assert_ok(u3d_cases_hold(all, held));
    assert_string_equal(u3d_cases_id(all, 0), u3d_cases_id(few, 1));
    assert_string_equal(u3d_cases_id(all, BUDGET_CASES - 2), u3d_cases_id(few, 0));
    assert_string_equal(u3d_cases_id(all, BUDGET_CASES - 1), u3d_cases_id(few, 2));
    assert_int_equal(u3d_cases_count(all), BUDGET_CASES - 2);
    assert_ok(u3d_cases_acquire(all, BUDGET_CASES - 1, &data[0]));
    u3d_cases_release(all, BUDGET_CASES - 1);
    for (int i = 0; i < BUDGET_CASES; i++) u3d_volume_free(image[i]);
    u3d_cases_free(all);
    u3d_cases_free(few);
    u3d_test_set_done(&s);
}

/* Whichever allocation fails, opening the cases must return U3D_E_NOMEM and leak nothing. */
static void test_out_of_memory(void **state)
{
    (void)state;
    const int64_t size[3] = {6, 6, 6};
    const u3d_test_slices some = {.across = {true, true, true}, .step = 2, .blank = 0};
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 0};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 2, u3d_test_voxel_mix, u3d_test_voxel_slices, &some);
    u3d_test_set_add(&s, "b", size, 2, u3d_test_voxel_mix, u3d_test_voxel_slices, &some);
    for (int ct = 0; ct < 2; ct++)
        for (int64_t n = 1;; n++) {
            u3d_cases *c = NULL;
            int64_t live = u3d_mem_live();
            u3d_mem_fail_at(n);
            u3d_status status = u3d_test_set_open(&s, ct ? U3D_INTENSITY_CT : U3D_INTENSITY_ZSCORE, &o, &c);
            u3d_mem_fail_at(0);
            if (status == U3D_OK) {
                u3d_cases_free(c);
                assert_int_equal(u3d_mem_live(), live);
                assert_true(n > 20);
                break;
            }
            assert_int_equal(status, U3D_E_NOMEM);
            assert_null(c);
            assert_int_equal(u3d_mem_live(), live);
        }
    u3d_test_set_done(&s);
}

/* ---- held-out slices ---- */

/* Checks that every labelled voxel of `before` is now either held out or left for training, but not both, and
 * that the counts of the case agree. Returns the share of labelled voxels that are held out. */
static double check_held(u3d_cases *c, const u3d_volume *before, const u3d_volume *held)
{
    const u3d_case_data *data = NULL;
    assert_ok(u3d_cases_acquire(c, 0, &data));
    const uint8_t *was = before->data, *rest = data->label->data, *taken = held->data;
    int64_t n = u3d_volume_voxels(before), n_taken = 0, n_rest = 0;
    for (int64_t v = 0; v < n; v++) {
        bool in_rest = rest[v] != U3D_UNLABELED, in_taken = taken[v] != U3D_UNLABELED;
        assert_false(in_rest && in_taken);
        if (was[v] == U3D_UNLABELED)
            assert_false(in_rest || in_taken);
        else
            assert_int_equal(in_rest ? rest[v] : taken[v], was[v]);
        n_taken += in_taken;
        n_rest += in_rest;
    }
    assert_int_equal(u3d_cases_voxels(c, 0, -1), n_rest);
    int64_t sum = 0;
    for (int k = 0; k < u3d_cases_labels(c)->n; k++) sum += u3d_cases_voxels(c, 0, k);
    assert_int_equal(sum, n_rest);
    u3d_cases_release(c, 0);
    return (double)n_taken / (double)(n_taken + n_rest);
}

static u3d_volume *class_copy(u3d_cases *c)
{
    const u3d_case_data *data = NULL;
    assert_ok(u3d_cases_acquire(c, 0, &data));
    u3d_volume *copy = copy_of(data->label);
    u3d_cases_release(c, 0);
    return copy;
}

static void test_hold_slices(void **state)
{
    (void)state;
    const int64_t size[3] = {24, 40, 48};
    const u3d_test_slices painted = {.across = {true, true, true}, .step = 8, .blank = 255};
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 255},
                         tight = {.unlabeled_given = true, .unlabeled = 255, .memory_cap = 1};
    u3d_test_set s;
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, u3d_test_voxel_slices, &painted);
    u3d_test_set_add(&s, "b", size, 1, u3d_test_voxel_mix, u3d_test_voxel_slices, &painted);
    int one = 0;
    /* In pass 0 the case stays in memory. In pass 1 it is read for each use, and the same slices must be
     * hidden each time. */
    for (int pass = 0; pass < 2; pass++) {
        u3d_cases *c = NULL;
        u3d_volume *held = NULL;
        char text[256];
        assert_ok(u3d_cases_open(&s.d, &one, 1, U3D_INTENSITY_ZSCORE, pass ? &tight : &o, &c));
        u3d_volume *before = class_copy(c);
        assert_ok(u3d_cases_hold_slices(c, 0.3, &held, text, sizeof text));
        /* 6 slices are annotated across x, 5 across y and 3 across z; of these 2, 2 and 1 are held out. */
        if (!strstr(text, "2 of 6 annotated slices across x, 2 of 5 across y, 1 of 3 across z"))
            fail_msg("wrong numbers of held-out slices: %s", text);
        double share = check_held(c, before, held);
        assert_true(share > 0.25 && share < 0.5);
        const uint8_t *taken = held->data;
        assert_true(taken[(size_t)12 * 40 * 48 + 1] != U3D_UNLABELED); /* the middle z slice is held out */
        assert_true(taken[(size_t)4 * 40 * 48 + 1] == U3D_UNLABELED);  /* the first z slice is not       */
        u3d_volume *again = NULL;
        assert_status(u3d_cases_hold_slices(c, 0.3, &again, text, sizeof text), U3D_E_UNSUPPORTED);
        u3d_volume_free(before);
        u3d_volume_free(held);
        u3d_cases_free(c);
    }
    for (int64_t n = 1;; n++) { /* if an allocation fails, the case must not change */
        u3d_cases *c = NULL;
        u3d_volume *held = NULL;
        char text[256];
        assert_ok(u3d_cases_open(&s.d, &one, 1, U3D_INTENSITY_ZSCORE, &o, &c));
        int64_t live = u3d_mem_live(), labelled = u3d_cases_voxels(c, 0, -1);
        u3d_volume *before = class_copy(c);
        u3d_mem_fail_at(n);
        u3d_status status = u3d_cases_hold_slices(c, 0.3, &held, text, sizeof text);
        u3d_mem_fail_at(0);
        if (status != U3D_OK) {
            u3d_volume *after = class_copy(c);
            assert_int_equal(status, U3D_E_NOMEM);
            assert_true(same_data(before, after));
            assert_int_equal(u3d_cases_voxels(c, 0, -1), labelled);
            u3d_volume_free(after);
        }
        u3d_volume_free(before);
        u3d_volume_free(held);
        if (status != U3D_OK) assert_int_equal(u3d_mem_live(), live);
        u3d_cases_free(c);
        if (status == U3D_OK) break;
    }
    u3d_test_set_done(&s);
}

/* Holds out a quarter of the slices of one case with these labels. */
static u3d_status hold_of(const int64_t size[3], u3d_test_voxel voxel, const void *user, int32_t unlabeled,
                          double *share, char *text, size_t cap)
{
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_volume *held = NULL;
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = unlabeled};
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", size, 1, u3d_test_voxel_mix, voxel, user);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
    u3d_volume *before = class_copy(c);
    u3d_status status = u3d_cases_hold_slices(c, 0.25, &held, text, cap);
    if (status == U3D_OK) *share = check_held(c, before, held);
    u3d_volume_free(before);
    u3d_volume_free(held);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
    return status;
}

static void test_hold_other(void **state)
{
    (void)state;
    char text[256];
    double share = 0;
    const int64_t size[3] = {20, 24, 24}, flat[3] = {1, 24, 32};
    const u3d_test_list full = {2, {0, 1}};
    const u3d_test_slices lone = {
        .across = {true, true, true}, .step = 16, .blank = 0}; /* one slice across each axis */
    assert_ok(hold_of(size, u3d_test_voxel_of_list, &full, 99, &share, text, sizeof text));
    assert_non_null(strstr(text, "slab"));
    assert_true(share > 0.2 && share < 0.31);
    assert_ok(hold_of(flat, u3d_test_voxel_of_list, &full, 99, &share, text, sizeof text));
    assert_true(share > 0.15 && share < 0.35);
    assert_status(hold_of(size, u3d_test_voxel_slices, &lone, 0, &share, text, sizeof text),
                  U3D_E_UNSUPPORTED);
    u3d_test_says("at least 3");
}

/* The slices z = 4, 12, 20, 28 and 36 are annotated. All of them show class 1. Class 2 is large in the middle
 * slice, z = 20, and small in z = 12. */
static double rare_voxel(int64_t z, int64_t y, int64_t x, const void *unused)
{
    (void)unused;
    if (z % 8 != 4) return 255;
    if (x < 8 && y < 8) return 1;
    return (z == 20 && x > 16) || (z == 12 && x > 22) ? 2 : 0;
}

static void test_hold_spares_rare_classes(void **state)
{
    (void)state;
    char text[256];
    u3d_test_set s;
    u3d_cases *c = NULL;
    u3d_volume *held = NULL;
    const u3d_cases_opts o = {.unlabeled_given = true, .unlabeled = 255};
    u3d_test_set_new(&s);
    u3d_test_set_add(&s, "a", (int64_t[]){40, 24, 24}, 1, u3d_test_voxel_mix, rare_voxel, NULL);
    assert_ok(u3d_test_set_open(&s, U3D_INTENSITY_NONE, &o, &c));
    const int64_t before = u3d_cases_voxels(c, 0, 2);
    assert_ok(u3d_cases_hold_slices(c, 0.15, &held, text, sizeof text));
    assert_true((double)u3d_cases_voxels(c, 0, 2) > 0.7 * (double)before);
    /* Slice 12 is held out. It shows all three classes, and slice 20 would cost too much of class 2. */
    assert_true(((const uint8_t *)held->data)[12 * 24 * 24] != U3D_UNLABELED);
    u3d_volume_free(held);
    u3d_cases_free(c);
    u3d_test_set_done(&s);
}

int main(void)
{
    u3d_log_set_level(U3D_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zscore),      cmocka_unit_test(test_ct),
        cmocka_unit_test(test_budget),      cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_hold_slices), cmocka_unit_test(test_hold_spares_rare_classes),
        cmocka_unit_test(test_hold_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
