/* Tests of finding the cases in a folder (io/dataset.h): the four layouts (Decathlon, nnU-Net v2, plain
 * folders, a pair of files), mistakes in them, and nnU-Net's files that list the folds.
 *
 * Every mistake must give an error whose message names what is wrong. If any allocation fails, the error must
 * be U3D_E_NOMEM. No error may leak memory. */
#include "tests/support/support_nifti.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/dataset.h"
#include "io/path.h"

#include <string.h>
#include <unistd.h>

static char *dir;

/* Makes a file FOLDER/NAME that contains `text`, and its folders. The code under test reads no voxels, so a
 * volume may contain any text. */
static void put(const char *folder, const char *name, const char *text)
{
    char *in = u3d_test_path(dir, folder), *path = u3d_test_path(in, name);
    char *parent = u3d_format("%.*s", (int)(strrchr(path, '/') - path), path);
    assert_ok(u3d_path_make_dir(parent));
    u3d_test_write_file(path, text, strlen(text));
    u3d_free(parent);
    u3d_free(path);
    u3d_free(in);
}

static void take_away(const char *folder, const char *name)
{
    char *in = u3d_test_path(dir, folder), *path = u3d_test_path(in, name);
    assert_int_equal(unlink(path), 0);
    u3d_free(path);
    u3d_free(in);
}

static u3d_status open_folder(const char *folder, bool labels_needed, u3d_dataset **out)
{
    char *path = u3d_test_path(dir, folder);
    int64_t live = u3d_mem_live();
    u3d_status status = u3d_dataset_open(path, 0, labels_needed, out);
    if (status != U3D_OK) assert_int_equal(u3d_mem_live(), live);
    assert_true((status == U3D_OK) == (*out != NULL));
    u3d_free(path);
    return status;
}

/* Fails the test unless opening the folder fails with a message that contains `says`. */
static void assert_folder_refused(const char *folder, const char *says)
{
    u3d_dataset *d = NULL;
    u3d_status status = open_folder(folder, true, &d);
    if (status != U3D_E_FORMAT && status != U3D_E_IO)
        fail_msg("the status is %d instead of U3D_E_FORMAT or U3D_E_IO", status);
    if (!strstr(u3d_error_text(), says)) fail_msg("'%s' does not contain '%s'", u3d_error_text(), says);
}

static void assert_json_refused(const char *folder, const char *json, const char *says)
{
    put(folder, "dataset.json", json);
    assert_folder_refused(folder, says);
}

static bool ends(const char *text, const char *ending)
{
    return strlen(text) >= strlen(ending) && strcmp(text + strlen(text) - strlen(ending), ending) == 0;
}

static const char decathlon[] =
    "{\"name\": \"x\", \"modality\": {\"1\": \"T2\", \"0\": \"T1\"}, \"numTraining\": 2,\n"
    " \"labels\": {\"2\": \"back\", \"0\": \"background\", \"1\": \"front\", \"3\": \"Ignore\"},\n"
    " \"training\": [{\"image\": \"./imagesTr/b.nii.gz\", \"label\": \"./labelsTr/b.nii.gz\"},\n"
    "  {\"image\": \"./imagesTr/._b.nii.gz\", \"label\": \"./labelsTr/._b.nii.gz\"},\n"
    "  {\"image\": \"./imagesTr/a.nii.gz\", \"label\": \"./labelsTr/a.nii.gz\"}]}";

static void test_decathlon(void **state)
{
    (void)state;
    u3d_dataset *d = NULL;
    put("msd", "dataset.json", decathlon);
    put("msd", "imagesTr/a.nii.gz", "x");
    put("msd", "imagesTr/b.nii.gz", "x");
    put("msd", "labelsTr/a.nii.gz", "x");
    put("msd", "labelsTr/b.nii.gz", "x");
    assert_ok(open_folder("msd", true, &d));
    assert_string_equal(d->layout, "decathlon");
    assert_int_equal(d->n_cases, 2);
    assert_string_equal(d->cases[0].id, "a");
    assert_true(ends(d->cases[1].image[0], "/msd/imagesTr/b.nii.gz"));
    assert_true(ends(d->cases[1].label, "/msd/labelsTr/b.nii.gz"));
    assert_int_equal(d->n_labels, 3);
    assert_int_equal(d->labels[2].value, 2);
    assert_string_equal(d->labels[2].name, "back");
    assert_true(d->has_unlabeled);
    assert_int_equal(d->unlabeled, 3);
    assert_int_equal(d->n_channel_names, 2);
    assert_string_equal(d->channel_names[0], "T1");
    assert_int_equal(u3d_dataset_find(d, "b"), 1);
    assert_int_equal(u3d_dataset_find(d, "c"), -1);
    u3d_dataset_free(d);

    take_away("msd", "labelsTr/b.nii.gz");
    assert_folder_refused("msd", "labelsTr/b.nii.gz");
    put("msd", "labelsTr/b.nii.gz", "x");
    take_away("msd", "imagesTr/a.nii.gz");
    assert_folder_refused("msd", "imagesTr/a.nii.gz");
}

static void test_decathlon_mistakes(void **state)
{
    (void)state;
    put("bad", "imagesTr/a.nii.gz", "x");
    put("bad", "labelsTr/a.nii.gz", "x");
    assert_json_refused("bad", "", "empty");
    assert_json_refused("bad", "{\"training\": [}", "line 1, column 15");
    assert_json_refused("bad", "[]", "expected an object");
    assert_json_refused("bad", "{\"training\": 3}", "training: expected a list");
    assert_json_refused("bad", "{\"training\": []}", "no volumes");
    assert_json_refused("bad", "{\"training\": [3]}", "training[0]");
    assert_json_refused("bad", "{\"training\": [{\"image\": \"a.png\"}]}", "a.png");
    assert_json_refused("bad", "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\"}]}", "'a' has no label");
    assert_json_refused("bad", "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\", \"label\": 1}]}",
                        "not a file name");
    assert_json_refused(
        "bad",
        "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\", \"label\": \"labelsTr/a.nii.gz\"},"
        " {\"image\": \"imagesTr/a.nii.gz\", \"label\": \"labelsTr/a.nii.gz\"}]}",
        "two cases are called 'a'");
    assert_json_refused("bad", "{\"training\": [], \"labels\": {\"x\": \"liver\"}}",
                        "'x' is not a whole number");
    assert_json_refused("bad", "{\"training\": [], \"labels\": {\"a\": 1, \"b\": 1}}", "two names");
    assert_json_refused("bad", "{\"training\": [], \"modality\": {\"0\": \"a\", \"2\": \"b\"}}", "modality");
    assert_json_refused("bad", "{\"name\": \"neither\"}", "no dataset found");
}

static const char nnunet[] = "{\"channel_names\": {\"0\": \"CT\", \"1\": \"PET\"}, \"labels\": "
                             "{\"background\": 0, \"tumor\": 1, \"ignore\": 2},"
                             " \"numTraining\": 1, \"file_ending\": \".nii.gz\"}";

static void test_nnunet(void **state)
{
    (void)state;
    u3d_dataset *d = NULL;
    put("nnu", "dataset.json", nnunet);
    put("nnu", "imagesTr/case_7_0000.nii.gz", "x");
    put("nnu", "imagesTr/case_7_0001.nii.gz", "x");
    put("nnu", "imagesTr/._case_7_0000.nii.gz", "x");
    put("nnu", "imagesTr/notes.txt", "x");
    put("nnu", "labelsTr/case_7.nii.gz", "x");
    assert_ok(open_folder("nnu", true, &d));
    assert_string_equal(d->layout, "nnunet");
    assert_int_equal(d->n_cases, 1);
    assert_string_equal(d->cases[0].id, "case_7");
    assert_int_equal(d->cases[0].n_images, 2);
    assert_true(ends(d->cases[0].image[1], "case_7_0001.nii.gz"));
    assert_string_equal(d->channel_names[1], "PET");
    assert_int_equal(d->n_labels, 2);
    assert_true(d->has_unlabeled);
    assert_int_equal(d->unlabeled, 2);
    u3d_dataset_free(d);

    put("nnu", "imagesTr/case_8_0000.nii.gz", "x");
    put("nnu", "labelsTr/case_8.nii.gz", "x");
    assert_folder_refused("nnu", "case_8");
    put("nnu", "imagesTr/case_8_0002.nii.gz", "x");
    assert_folder_refused("nnu", "channel 0001");
    take_away("nnu", "imagesTr/case_8_0002.nii.gz");
    put("nnu", "imagesTr/case_8_0001.nii.gz", "x");
    take_away("nnu", "labelsTr/case_8.nii.gz");
    assert_folder_refused("nnu", "'case_8' has no label");
    put("nnu", "labelsTr/case_8.nii.gz", "x");
    put("nnu", "labelsTr/case_9.nii.gz", "x");
    assert_folder_refused("nnu", "case_9.nii.gz' has no image");
    take_away("nnu", "labelsTr/case_9.nii.gz");
    put("nnu", "imagesTr/plain.nii.gz", "x");
    assert_folder_refused("nnu", "plain.nii.gz");
    take_away("nnu", "imagesTr/plain.nii.gz");
    assert_json_refused("nnu",
                        "{\"channel_names\": {\"0\": \"CT\"}, \"labels\": {\"whole\": [1, 2]},"
                        " \"file_ending\": \".nii.gz\"}",
                        "region");
    assert_json_refused("nnu", "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nrrd\"}", ".nrrd");
    assert_json_refused("nnu", "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nii.gz\"}",
                        "channel_names has 1");
    put("nnu", "dataset.json",
        "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nii.gz\", \"dataset\":"
        " {\"only\": {\"images\": [\"imagesTr/case_7_0000.nii.gz\"], \"label\": "
        "\"labelsTr/case_7.nii.gz\"}}}");
    assert_ok(open_folder("nnu", true, &d));
    assert_int_equal(d->n_cases, 1);
    assert_string_equal(d->cases[0].id, "only");
    u3d_dataset_free(d);
}

static void test_plain(void **state)
{
    (void)state;
    u3d_dataset *d = NULL;
    put("plain", "images/scan_0002.nii", "x"); /* a case, not a channel, because it has a label of its own */
    put("plain", "images/scan_0000.nii", "x");
    put("plain", "images/pair.img", "x");
    put("plain", "images/pair.hdr", "x");
    put("plain", "labels/scan_0000.nii.gz", "x");
    put("plain", "labels/scan_0002.nii.gz", "x");
    put("plain", "labels/pair.nii", "x");
    assert_ok(open_folder("plain", true, &d));
    assert_string_equal(d->layout, "plain");
    assert_int_equal(d->n_cases, 3);
    assert_string_equal(d->cases[0].id, "pair");
    assert_true(ends(d->cases[0].image[0], "pair.hdr"));
    assert_string_equal(d->cases[2].id, "scan_0002");
    u3d_dataset_free(d);
    take_away("plain", "labels/scan_0002.nii.gz");
    assert_folder_refused("plain", "scan_0002");
    assert_ok(open_folder("plain", false, &d));
    assert_null(d->cases[2].label);
    u3d_dataset_free(d);
    put("plain", "images/scan_0000.nii.gz", "x");
    put("plain", "labels/scan_0002.nii.gz", "x");
    assert_folder_refused("plain", "two volumes of the same name");

    put("grouped", "images/c_0000.nii.gz", "x");
    put("grouped", "images/c_0001.nii.gz", "x");
    put("grouped", "labels/c.nii.gz", "x");
    assert_ok(open_folder("grouped", true, &d));
    assert_int_equal(d->n_cases, 1);
    assert_string_equal(d->cases[0].id, "c");
    assert_int_equal(d->cases[0].n_images, 2);
    u3d_dataset_free(d);

    put("empty", "notes.txt", "x");
    assert_folder_refused("empty", "images/");
    put("hollow", "images/notes.txt", "x");
    put("hollow", "labels/notes.txt", "x");
    assert_folder_refused("hollow", "no volumes");
    put("lonely", "images/a.nii", "x");
    assert_folder_refused("lonely", "labels/");
    assert_folder_refused("nowhere", "no such folder");
}

static void test_pair_and_images(void **state)
{
    (void)state;
    u3d_dataset *d = NULL;
    put("files", "brain_0000.nii.gz", "x");
    put("files", "other.nii", "x");
    put("files", "other_mask.nii", "x");
    char *folder = u3d_test_path(dir, "files"), *image = u3d_test_path(folder, "brain_0000.nii.gz");
    char *label = u3d_test_path(folder, "other_mask.nii"), *missing = u3d_test_path(folder, "gone.nii");
    assert_ok(u3d_dataset_pair(image, label, &d));
    assert_string_equal(d->layout, "pair");
    assert_string_equal(d->cases[0].id, "brain");
    assert_string_equal(d->cases[0].label, label);
    u3d_dataset_free(d);
    assert_status(u3d_dataset_pair(missing, label, &d), U3D_E_IO);
    assert_status(u3d_dataset_pair(folder, label, &d), U3D_E_FORMAT);
    assert_ok(u3d_dataset_images(image, 0, &d));
    assert_string_equal(d->cases[0].id, "brain");
    assert_null(d->cases[0].label);
    u3d_dataset_free(d);
    assert_ok(u3d_dataset_images(folder, 0, &d));
    assert_int_equal(d->n_cases, 3);
    assert_string_equal(d->cases[0].id, "brain");
    assert_string_equal(d->cases[2].id, "other_mask");
    u3d_dataset_free(d);
    assert_status(u3d_dataset_images(missing, 0, &d), U3D_E_IO);
    u3d_free(folder);
    u3d_free(image);
    u3d_free(label);
    u3d_free(missing);
}

static void test_split(void **state)
{
    (void)state;
    static const char *const names[] = {"images/a.nii", "images/b.nii", "images/c.nii", "images/d.nii"};
    static const struct {
        const char *text;
        int fold;
        u3d_status status;
        const char *says;
    } cases[] = {
        {"[{\"train\": [\"d\", \"a\"], \"val\": [\"c\"]}, {\"train\": [], \"val\": []}]", 0, U3D_OK, NULL},
        {"[{\"train\": [\"a\"], \"val\": [\"c\"]}]", 1, U3D_E_ARG, "fold 1"},
        {"[{\"train\": [\"a\"], \"val\": [\"c\"]}]", -1, U3D_E_ARG, "fold -1"},
        {"[]", 0, U3D_E_ARG, "fold 0"},
        {"{}", 0, U3D_E_FORMAT, "list of folds"},
        {"[{\"train\": [\"a\"]}]", 0, U3D_E_FORMAT, "'val' is not a list"},
        {"[3]", 0, U3D_E_FORMAT, "'train' is not a list"},
        {"[{\"train\": [\"a\"], \"val\": [\"a\"]}]", 0, U3D_E_FORMAT, "'a' is named twice"},
        {"[{\"train\": [\"x\"], \"val\": [\"a\"]}]", 0, U3D_E_FORMAT, "'x'"},
        {"[{\"train\": [1], \"val\": [\"a\"]}]", 0, U3D_E_FORMAT, "not the name of a case"},
        {"[{\"train\": [", 0, U3D_E_FORMAT, "not valid JSON"},
    };
    u3d_dataset *d = NULL;
    for (int i = 0; i < 4; i++) put("split", names[i], "x");
    assert_ok(open_folder("split", false, &d));
    char *path = u3d_test_path(dir, "split/splits_final.json");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int *train = NULL, *val = NULL, n_train = 0, n_val = 0;
        put("split", "splits_final.json", cases[i].text);
        assert_status(u3d_split_read(path, cases[i].fold, d, &train, &n_train, &val, &n_val),
                      cases[i].status);
        if (cases[i].status == U3D_OK) {
            assert_int_equal(n_train, 2);
            assert_int_equal(train[0], 0);
            assert_int_equal(train[1], 3);
            assert_int_equal(n_val, 1);
            assert_int_equal(val[0], 2);
        } else if (!strstr(u3d_error_text(), cases[i].says)) {
            fail_msg("'%s' does not contain '%s'", u3d_error_text(), cases[i].says);
        }
        u3d_free(train);
        u3d_free(val);
    }
    u3d_free(path);
    u3d_dataset_free(d);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static const char *const folders[] = {"m1", "m2", "m3"};
    put("m1", "dataset.json", decathlon);
    put("m2", "dataset.json", nnunet);
    for (int i = 0; i < 2; i++) {
        const char *id = i ? "b" : "a";
        char *image = u3d_format("imagesTr/%s.nii.gz", id), *label = u3d_format("labelsTr/%s.nii.gz", id);
        char *channel0 = u3d_format("imagesTr/%s_0000.nii.gz", id),
             *channel1 = u3d_format("imagesTr/%s_0001.nii.gz", id);
        char *plain = u3d_format("images/%s.nii.gz", id), *plain_label = u3d_format("labels/%s.nii.gz", id);
        put("m1", image, "x"), put("m1", label, "x");
        put("m2", channel0, "x"), put("m2", channel1, "x"), put("m2", label, "x");
        put("m3", plain, "x"), put("m3", plain_label, "x");
        u3d_free(image), u3d_free(label), u3d_free(channel0), u3d_free(channel1);
        u3d_free(plain), u3d_free(plain_label);
    }
    for (int i = 0; i < 3; i++) {
        char *path = u3d_test_path(dir, folders[i]);
        int64_t live = u3d_mem_live();
        for (int n = 1;; n++) {
            u3d_dataset *d = NULL;
            u3d_mem_fail_at(n);
            u3d_status status = u3d_dataset_open(path, 0, true, &d);
            u3d_mem_fail_at(0);
            u3d_dataset_free(d);
            assert_int_equal(u3d_mem_live(), live);
            if (status == U3D_OK) {
                assert_true(n > 10);
                break;
            }
            assert_int_equal(status, U3D_E_NOMEM);
        }
        u3d_free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decathlon),       cmocka_unit_test(test_decathlon_mistakes),
        cmocka_unit_test(test_nnunet),          cmocka_unit_test(test_plain),
        cmocka_unit_test(test_pair_and_images), cmocka_unit_test(test_split),
        cmocka_unit_test(test_out_of_memory),
    };
    dir = u3d_test_dir();
    u3d_log_set_level(U3D_LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
