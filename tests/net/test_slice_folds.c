/* Tests of folds over the annotated slices of one volume (net/cases/slice_folds.h): every slice belongs to
 * exactly one fold, no voxel is used for both training and testing of a fold, and none is lost. */
#include "tests/support/support.h"

#include <string.h>

#include "net/cases/slice_folds.h"

enum { BLANK = 255, NZ = 16, NY = 18, NX = 20 };

static bool annotated(int64_t z, int64_t y, int64_t x)
{
    return z == 4 || z == 9 || z == 13 || y == 6 || y == 12 || x == 3 || x == 10;
}

static u3d_volume *sparse(void)
{
    u3d_volume *v;
    assert_ok(u3d_volume_new((int64_t[]){NZ, NY, NX}, (double[]){1, 1, 1}, U3D_I32, 1, &v));
    int32_t *to = v->data;
    for (int64_t z = 0; z < NZ; z++)
        for (int64_t y = 0; y < NY; y++)
            for (int64_t x = 0; x < NX; x++) *to++ = annotated(z, y, x) ? (int32_t)((z + y + x) % 3) : BLANK;
    return v;
}

static void folds_part_the_slices(void **state)
{
    (void)state;
    u3d_volume *label = sparse();
    const int32_t *v = label->data;
    u3d_slice_folds *f;
    int64_t slices[3] = {0}, tested[NZ * NY * NX] = {0};
    assert_ok(u3d_slice_folds_new(label, BLANK, 3, &f));
    for (int k = 0; k < 3; k++) {
        u3d_volume *train, *test;
        int64_t across[3];
        u3d_slice_folds_count(f, k, across);
        assert_in_range(across[0] + across[1] + across[2], 2, 3); /* seven slices in three folds */
        for (int a = 0; a < 3; a++) slices[a] += across[a];
        assert_ok(u3d_slice_folds_make(f, label, k, &train, &test));
        const int32_t *kept = train->data, *left = test->data;
        for (int64_t i = 0; i < NZ * NY * NX; i++) {
            assert_true(kept[i] == BLANK || left[i] == BLANK);
            assert_true((kept[i] == BLANK ? left[i] : kept[i]) == v[i]);
            tested[i] += left[i] != BLANK;
        }
        u3d_volume_free(train);
        u3d_volume_free(test);
    }
    assert_true(slices[0] == 2 && slices[1] == 2 && slices[2] == 3);
    for (int64_t i = 0; i < NZ * NY * NX; i++) assert_int_equal(tested[i] > 0, v[i] != BLANK);
    u3d_slice_folds_free(f);
    u3d_volume_free(label);
}

static void too_few_slices_are_refused(void **state)
{
    (void)state;
    u3d_volume *label = sparse();
    u3d_slice_folds *f;
    assert_status(u3d_slice_folds_new(label, BLANK, 8, &f), U3D_E_UNSUPPORTED);
    assert_non_null(strstr(u3d_error_text(), "7 annotated slices"));
    assert_null(f);
    u3d_volume_free(label);
}

/* Fills planes, parts of planes or lines across z, and counts the slices that are found. */
typedef enum way { MANY_PLANES, PARTS, SCRIBBLES, WAYS } way;

static bool painted(way w, int64_t z, int64_t y, int64_t x)
{
    switch (w) {
    case MANY_PLANES: return z >= 2 && z < 13;                            /* 11 of 16 planes side by side */
    case PARTS: return z % 4 == 1 && y < 3 + z && x >= 2 && x < 11;       /* 4 boxes of different sizes  */
    case SCRIBBLES: return (z == 3 || z == 11) && (y == x || y == z + 2); /* 2 planes with strokes */
    default: return false;
    }
}

static void every_way_of_painting_works(void **state)
{
    (void)state;
    static const int64_t expected[WAYS] = {11, 4, 2};
    for (way w = 0; w < WAYS; w++) {
        u3d_volume *label = sparse();
        u3d_slice_folds *f;
        int32_t *v = label->data;
        int64_t found, across[3], slices = 0, tested = 0, labelled = 0;
        for (int64_t z = 0; z < NZ; z++)
            for (int64_t y = 0; y < NY; y++)
                for (int64_t x = 0; x < NX; x++) {
                    *v++ = painted(w, z, y, x) ? 1 : BLANK;
                    labelled += painted(w, z, y, x);
                }
        assert_ok(u3d_slice_count(label, BLANK, &found));
        if (found != expected[w]) fail_msg("way %d: found %lld slices", (int)w, (long long)found);
        assert_ok(u3d_slice_folds_new(label, BLANK, 2, &f));
        assert_int_equal(u3d_slice_folds_adjoin(f), w == MANY_PLANES);
        for (int k = 0; k < 2; k++) {
            u3d_volume *train, *test;
            u3d_slice_folds_count(f, k, across);
            assert_true(across[0] == 0 && across[1] == 0); /* all of them are across z */
            slices += across[2];
            assert_ok(u3d_slice_folds_make(f, label, k, &train, &test));
            for (int64_t i = 0; i < NZ * NY * NX; i++) tested += ((const int32_t *)test->data)[i] != BLANK;
            u3d_volume_free(train);
            u3d_volume_free(test);
        }
        assert_int_equal(slices, expected[w]);
        assert_int_equal(tested, labelled);
        u3d_slice_folds_free(f);
        u3d_volume_free(label);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folds_part_the_slices),
                                       cmocka_unit_test(too_few_slices_are_refused),
                                       cmocka_unit_test(every_way_of_painting_works)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
