/* Tests of evaluation (net/evaluate/evaluate.h, net/volume/metrics.h): scores are compared with values that
 * were computed by hand for volumes of six voxels. Also tests which files belong together, labels that are
 * missing from a file, and references that are only partly annotated. test_surface tests the distances. */
#include "tests/support/support_cases.h"
#include "tests/support/support_nifti.h"

#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/evaluate/evaluate.h"
#include "net/volume/metrics.h"

#include <math.h>
#include <string.h>

static char *dir;

/* Writes a label file of 6x1x1 voxels (x, y, z) with spacing 0.5, 1 and 2. */
static void label_file(const char *name, const int32_t values[6])
{
    u3d_volume *v;
    char *path = u3d_test_path(dir, name);
    assert_ok(u3d_volume_new((int64_t[]){1, 1, 6}, (double[]){2, 1, 0.5}, U3D_I32, 1, &v));
    memcpy(v->data, values, 6 * sizeof *values);
    assert_ok(u3d_volume_write(path, v));
    u3d_volume_free(v);
    u3d_free(path);
}

static double metric(const cJSON *parent, const char *label, const char *name)
{
    const cJSON *o = label ? u3d_json_member(parent, label) : parent;
    const cJSON *v = u3d_json_member(o, name);
    assert_non_null(v);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static cJSON *evaluate(const char *prediction, const char *reference, bool unlabeled, int32_t value)
{
    char *p = u3d_test_path(dir, prediction), *r = u3d_test_path(dir, reference);
    cJSON *out;
    const u3d_evaluate_opts o = {.prediction = p,
                                 .reference = r,
                                 .unlabeled_given = unlabeled,
                                 .unlabeled = value,
                                 .surface = true,
                                 .tolerance = 1,
                                 .threads = 2};
    assert_ok(u3d_evaluate(&o, &out));
    u3d_free(p);
    u3d_free(r);
    return out;
}

static void counts_are_as_by_hand(void **state)
{
    (void)state;
    label_file("p.nii.gz", (int32_t[]){0, 1, 1, 2, 7, 1});
    label_file("r.nii.gz", (int32_t[]){0, 1, 2, 2, 9, 9});
    cJSON *s = evaluate("p.nii.gz", "r.nii.gz", true, 9);
    const cJSON *m = u3d_json_member(s, "mean");
    assert_true(metric(m, "1", "TP") == 1 && metric(m, "1", "FP") == 1 && metric(m, "1", "FN") == 0 &&
                metric(m, "1", "TN") == 2);
    assert_true(metric(m, "2", "TP") == 1 && metric(m, "2", "FP") == 0 && metric(m, "2", "FN") == 1 &&
                metric(m, "2", "TN") == 2);
    assert_true(fabs(metric(m, "1", "Dice") - 2.0 / 3) < 1e-12 && fabs(metric(m, "2", "IoU") - 0.5) < 1e-12);
    assert_true(metric(m, "1", "volume_pred") == 2 * 1.0); /* two voxels of 2 * 1 * 0.5 */
    assert_null(u3d_json_member(m, "7"));                  /* predicted only in an unlabelled voxel */
    assert_null(u3d_json_member(m, "0"));
    const cJSON *f = u3d_json_member(s, "foreground_mean");
    assert_true(fabs(metric(f, NULL, "Dice") - 2.0 / 3) < 1e-12);
    cJSON_Delete(s);
}

/* A case in which neither file shows a label must not count in the means of that label. */
static void absent_labels_do_not_count(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        char *folder = u3d_test_path(dir, i ? "r" : "p");
        assert_ok(u3d_path_make_dir(folder));
        u3d_free(folder);
    }
    label_file("p/one.nii.gz", (int32_t[]){0, 1, 1, 0, 0, 0});
    label_file("r/one.nii.gz", (int32_t[]){0, 1, 1, 1, 1, 0});
    label_file("p/two.nii.gz", (int32_t[]){0, 0, 0, 0, 0, 2});
    label_file("r/two.nii.gz", (int32_t[]){0, 0, 0, 0, 0, 2});
    label_file("r/three.nii.gz", (int32_t[]){0, 0, 0, 0, 0, 2});
    cJSON *s = evaluate("p", "r", false, 0);
    const cJSON *m = u3d_json_member(s, "mean");
    assert_true(fabs(metric(m, "1", "Dice") - 2.0 / 3) < 1e-12 && metric(m, "2", "Dice") == 1);
    assert_true(metric(s, NULL, "references_without_prediction") == 1);
    assert_int_equal(cJSON_GetArraySize(u3d_json_member(s, "metric_per_case")), 2);
    cJSON_Delete(s);
}

static void classes_are_counted_where_labelled(void **state)
{
    (void)state;
    uint8_t p[] = {0, 1, 1, 2, 1, 0}, r[] = {0, 1, 2, 2, U3D_UNLABELED, 1};
    u3d_volume a = {.dtype = U3D_U8, .channels = 1, .size = {1, 1, 6}, .data = p}, b = a;
    u3d_overlap ov[3] = {{0}};
    b.data = r;
    u3d_overlap_add(&a, &b, 3, ov);
    assert_true(ov[1].tp == 1 && ov[1].fp == 1 && ov[1].fn == 1 && ov[1].tn == 2);
    assert_true(fabs(u3d_overlap_dice(&ov[1]) - 0.5) < 1e-12 &&
                fabs(u3d_overlap_iou(&ov[1]) - 1.0 / 3) < 1e-12);
    assert_true(isnan(u3d_overlap_dice(&(u3d_overlap){0, 0, 0, 9})));
}

static const cJSON *member(const cJSON *object, const char *name)
{
    const cJSON *m = u3d_json_member(object, name);
    assert_non_null(m);
    return m;
}

static bool is_null(const cJSON *metrics, const char *name)
{
    return cJSON_IsNull(member(metrics, name));
}

/* The volume is a single row along x with spacing 0.5, so all voxels of a label belong to its surface. */
static void surfaces_are_as_by_hand(void **state)
{
    (void)state;
    label_file("p.nii.gz", (int32_t[]){1, 1, 0, 0, 0, 2});
    label_file("r.nii.gz", (int32_t[]){1, 0, 0, 0, 1, 2});
    cJSON *s = evaluate("p.nii.gz", "r.nii.gz", false, 0);
    const cJSON *one = member(member(s, "mean"), "1"), *two = member(member(s, "mean"), "2");
    /* The distances from the prediction to the reference are 0 and 0.5, those back are 0 and 1.5. */
    assert_true(fabs(metric(one, NULL, "HD95") - 0.95 * 1.5) < 1e-12 && metric(one, NULL, "ASSD") == 0.5);
    assert_true(metric(one, NULL, "MASD") == 0.5 && metric(one, NULL, "NSD") == 0.75);
    assert_true(metric(one, NULL, "Precision") == 0.5 && metric(one, NULL, "Recall") == 0.5);
    assert_true(metric(one, NULL, "RVD") == 0 && metric(one, NULL, "volume_difference") == 0);
    assert_true(metric(two, NULL, "HD95") == 0 && metric(two, NULL, "NSD") == 1);
    assert_true(fabs(metric(member(s, "foreground_mean"), NULL, "NSD") - 0.875) < 1e-12);
    const cJSON *surface = member(s, "surface");
    assert_true(metric(surface, NULL, "tolerance") == 1 && metric(surface, NULL, "cases") == 1);
    assert_string_equal(cJSON_GetStringValue(member(surface, "unit")), "mm");
    const cJSON *entry = cJSON_GetArrayItem(member(s, "metric_per_case"), 0);
    assert_true(fabs(metric(member(entry, "foreground_mean"), NULL, "Dice") - 0.75) < 1e-12);
    cJSON_Delete(s);
}

static void volumes_differ_with_a_sign(void **state)
{
    (void)state;
    label_file("p.nii.gz", (int32_t[]){1, 1, 1, 0, 2, 0});
    label_file("r.nii.gz", (int32_t[]){1, 1, 0, 2, 2, 0});
    cJSON *s = evaluate("p.nii.gz", "r.nii.gz", false, 0);
    const cJSON *one = member(member(s, "mean"), "1"), *two = member(member(s, "mean"), "2");
    assert_true(metric(one, NULL, "RVD") == 0.5 && metric(two, NULL, "RVD") == -0.5);
    assert_true(metric(one, NULL, "volume_difference") == 1 && metric(two, NULL, "volume_difference") == -1);
    assert_true(metric(two, NULL, "volume_difference_abs") == 1 && metric(two, NULL, "RVD_abs") == 0.5);
    assert_true(metric(member(s, "foreground_mean"), NULL, "RVD_abs") == 0.5);
    cJSON_Delete(s);
}

/* A label that is missing from one of the files has no distances, and its NSD is 0. */
static void missing_labels_have_no_distances(void **state)
{
    (void)state;
    label_file("p.nii.gz", (int32_t[]){0, 1, 0, 0, 3, 0});
    label_file("r.nii.gz", (int32_t[]){0, 1, 2, 0, 0, 0});
    cJSON *s = evaluate("p.nii.gz", "r.nii.gz", false, 0);
    const cJSON *means = member(s, "mean"), *missed = member(means, "2"), *invented = member(means, "3");
    assert_true(is_null(missed, "HD95") && is_null(missed, "ASSD") && is_null(missed, "MASD"));
    assert_true(metric(missed, NULL, "NSD") == 0 && metric(missed, NULL, "distance_cases") == 0);
    assert_true(metric(missed, NULL, "Recall") == 0 && is_null(missed, "Precision"));
    assert_true(is_null(invented, "HD95") && metric(invented, NULL, "NSD") == 0);
    assert_true(metric(invented, NULL, "Precision") == 0 && is_null(invented, "Recall") &&
                is_null(invented, "RVD"));
    assert_true(metric(member(means, "1"), NULL, "distance_cases") == 1);
    cJSON_Delete(s);
}

/* If a reference has unlabelled voxels, the edge of the annotated part is not a surface. Then no surface
 * measure is computed for the case, but the overlap is. */
static void sparse_references_are_not_measured(void **state)
{
    (void)state;
    label_file("p.nii.gz", (int32_t[]){0, 1, 1, 0, 0, 0});
    label_file("r.nii.gz", (int32_t[]){0, 1, 1, 0, 9, 9});
    cJSON *s = evaluate("p.nii.gz", "r.nii.gz", true, 9);
    const cJSON *one = member(member(s, "mean"), "1");
    assert_true(metric(one, NULL, "Dice") == 1 && is_null(one, "HD95") && is_null(one, "NSD"));
    assert_true(metric(member(s, "surface"), NULL, "cases") == 0 && metric(s, NULL, "unlabeled") == 9);
    assert_non_null(cJSON_GetStringValue(member(member(s, "surface"), "note")));
    const cJSON *entry = cJSON_GetArrayItem(member(s, "metric_per_case"), 0);
    assert_true(metric(entry, NULL, "unlabeled_voxels") == 2);
    cJSON_Delete(s);
    label_file("r.nii.gz", (int32_t[]){0, 1, 1, 0, 0, 0});
    s = evaluate("p.nii.gz", "r.nii.gz", true, 9); /* no voxel has the unlabelled value 9 */
    assert_true(metric(member(member(s, "mean"), "1"), NULL, "NSD") == 1);
    cJSON_Delete(s);
}

static void evaluate_sparse(void *user)
{
    cJSON_Delete(evaluate("p.nii.gz", "r.nii.gz", *(bool *)user, 9));
}

/* If a value fills more than half of the references and is never predicted, a warning asks whether it means
 * unlabelled, unless --unlabeled was given. */
static void unpainted_references_are_noticed(void **state)
{
    (void)state;
    label_file("p.nii.gz", (int32_t[]){0, 1, 1, 0, 0, 0});
    label_file("r.nii.gz", (int32_t[]){0, 1, 9, 9, 9, 9});
    for (int named = 0; named < 2; named++) {
        bool given = named;
        char *text = u3d_test_stderr_of(evaluate_sparse, &given);
        assert_int_equal(u3d_test_count_text(text, "give --unlabeled 9"), !named);
        u3d_free(text);
    }
}

/* Numbered files are separate cases in both folders, and two files of one case in a folder are an error. */
static void names_are_whole(void **state)
{
    (void)state;
    cJSON *out;
    char *p = u3d_test_path(dir, "np"), *r = u3d_test_path(dir, "nr");
    assert_ok(u3d_path_make_dir(p));
    assert_ok(u3d_path_make_dir(r));
    for (int i = 0; i < 3; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "np/vol_%04d.nii.gz", i);
        label_file(name, (int32_t[]){0, 1, 1, 0, 0, 0});
        (void)snprintf(name, sizeof name, "nr/vol_%04d.nii.gz", i);
        label_file(name, (int32_t[]){0, 1, 1, 0, 0, i});
    }
    cJSON *s = evaluate("np", "nr", false, 0);
    assert_int_equal(cJSON_GetArraySize(u3d_json_member(s, "metric_per_case")), 3);
    assert_true(metric(s, NULL, "references_without_prediction") == 0);
    cJSON_Delete(s);
    label_file("np/vol_0001.nii", (int32_t[]){0, 1, 1, 0, 0, 0});
    assert_status(u3d_evaluate(&(u3d_evaluate_opts){.prediction = p, .reference = r}, &out), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "two volumes of the same name"));
    u3d_free(p);
    u3d_free(r);
}

static void surfaces_may_be_left_out(void **state)
{
    (void)state;
    char *p = u3d_test_path(dir, "p.nii.gz");
    cJSON *s;
    label_file("p.nii.gz", (int32_t[]){0, 1, 1, 0, 0, 0});
    assert_ok(u3d_evaluate(&(u3d_evaluate_opts){.prediction = p, .reference = p}, &s));
    assert_null(u3d_json_member(member(member(s, "mean"), "1"), "HD95"));
    assert_true(metric(member(member(s, "mean"), "1"), NULL, "RVD_abs") == 0 && is_null(s, "surface"));
    cJSON_Delete(s);
    u3d_free(p);
}

static void other_grids_are_refused(void **state)
{
    (void)state;
    u3d_volume *v;
    char *a = u3d_test_path(dir, "a.nii.gz"), *b = u3d_test_path(dir, "b.nii.gz");
    cJSON *out;
    label_file("a.nii.gz", (int32_t[]){0, 1, 1, 2, 7, 1});
    assert_ok(u3d_volume_new((int64_t[]){1, 1, 6}, (double[]){2, 1, 0.75}, U3D_I32, 1, &v));
    assert_ok(u3d_volume_write(b, v));
    const int64_t live = u3d_mem_live();
    assert_status(u3d_evaluate(&(u3d_evaluate_opts){.prediction = a, .reference = b}, &out), U3D_E_FORMAT);
    assert_non_null(strstr(u3d_error_text(), "a.nii.gz"));
    assert_non_null(strstr(u3d_error_text(), "--resample-labels"));
    assert_status(u3d_evaluate(&(u3d_evaluate_opts){.prediction = a, .reference = dir}, &out), U3D_E_ARG);
    assert_int_equal(u3d_mem_live(), live);
    u3d_volume_free(v);
    u3d_free(a);
    u3d_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_as_by_hand),
        cmocka_unit_test(absent_labels_do_not_count),
        cmocka_unit_test(classes_are_counted_where_labelled),
        cmocka_unit_test(surfaces_are_as_by_hand),
        cmocka_unit_test(volumes_differ_with_a_sign),
        cmocka_unit_test(missing_labels_have_no_distances),
        cmocka_unit_test(sparse_references_are_not_measured),
        cmocka_unit_test(unpainted_references_are_noticed),
        cmocka_unit_test(names_are_whole),
        cmocka_unit_test(surfaces_may_be_left_out),
        cmocka_unit_test(other_grids_are_refused),
    };
    dir = u3d_test_dir();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
