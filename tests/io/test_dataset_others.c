/* Tests of finding the cases in folders as other programs leave them: endings in any case, two files of one
 * name, files that are not read, nnU-Net v1, a copied dataset.json, numbers written as texts, and volumes
 * whose names end like channels. The rows of the table "Which files are read" in io/FILES.md that concern
 * names are tested here. */
#include "tests/support/support_cases.h"
#include "tests/support/support_nifti.h"

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/dataset.h"
#include "io/format.h"
#include "io/listing.h"
#include "io/path.h"

#include <string.h>

static char *dir;

/* Makes files FOLDER/NAME for a list of names that ends with NULL. No voxels are read, so they contain any
 * text. */
static void put(const char *folder, const char *const *names)
{
    for (; *names; names++) {
        char *in = u3d_test_path(dir, folder), *path = u3d_test_path(in, *names);
        char *parent = u3d_format("%.*s", (int)(strrchr(path, '/') - path), path);
        assert_ok(u3d_path_make_dir(parent));
        u3d_test_write_file(path, "x", 1);
        u3d_free(parent);
        u3d_free(path);
        u3d_free(in);
    }
}
#define PUT(folder, ...) put(folder, (const char *const[]){__VA_ARGS__, NULL})

static void put_json(const char *folder, const char *json)
{
    char *in = u3d_test_path(dir, folder), *path = u3d_test_path(in, "dataset.json");
    assert_ok(u3d_path_make_dir(in));
    u3d_test_write_file(path, json, strlen(json));
    u3d_free(path);
    u3d_free(in);
}

typedef enum opener { DATA, IMAGES, LABELS } opener;

static u3d_status open_as(opener how, const char *folder, int channels, u3d_dataset **out)
{
    char *path = u3d_test_path(dir, folder);
    const u3d_status status = how == DATA     ? u3d_dataset_open(path, channels, true, out)
                              : how == IMAGES ? u3d_dataset_images(path, channels, out)
                                              : u3d_dataset_labels(path, out);
    u3d_free(path);
    return status;
}

/* Fails the test unless the folder opens with exactly these ids, each with n_images files. */
static void assert_ids(opener how, const char *folder, int channels, int n_images, const char *const *ids)
{
    u3d_dataset *d = NULL;
    assert_ok(open_as(how, folder, channels, &d));
    int n = 0;
    for (; ids[n]; n++) {
        assert_true(n < d->n_cases);
        assert_string_equal(d->cases[n].id, ids[n]);
        assert_int_equal(d->cases[n].n_images, n_images);
    }
    assert_int_equal(d->n_cases, n);
    u3d_dataset_free(d);
}
#define IDS(how, folder, channels, n_images, ...)                                                            \
    assert_ids(how, folder, channels, n_images, (const char *const[]){__VA_ARGS__, NULL})

static void assert_refused_for(int channels, opener how, const char *folder, const char *says)
{
    u3d_dataset *d = NULL;
    const int64_t live = u3d_mem_live();
    assert_status(open_as(how, folder, channels, &d), U3D_E_FORMAT);
    assert_int_equal(u3d_mem_live(), live);
    u3d_test_says(says);
}

static void assert_refused(opener how, const char *folder, const char *says)
{
    assert_refused_for(0, how, folder, says);
}

/* ---- names ---- */

static void test_endings(void **state)
{
    (void)state;
    size_t stem = 0;
    assert_true(u3d_format_is_listed("d/A.NII.GZ", &stem) && stem == 3);
    assert_true(u3d_format_is_listed("a.Nii", &stem) && u3d_format_is_written("a.Nii", &stem));
    assert_true(u3d_format_is_name("a.IMG", &stem) && !u3d_format_is_listed("a.IMG", &stem));
    assert_true(u3d_format_is_pair("a.HDR") && !u3d_format_is_written("a.HDR", &stem));
    assert_false(u3d_format_is_name("d/.nii", &stem));
    assert_false(u3d_format_is_name("a.nii.zip", &stem));
    PUT("upper", "images/A.NII.GZ", "images/b.Nii", "images/c.HDR", "images/c.Img", "labels/A.nii",
        "labels/b.NII.gz", "labels/c.nii");
    IDS(DATA, "upper", 0, 1, "A", "b", "c");
    PUT("spelled", "imagesTr/a_0000.NII.GZ", "imagesTr/b_0000.nii.gz", "labelsTr/a.nii.gz",
        "labelsTr/b.Nii.Gz");
    put_json("spelled", "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \"NII.gz\"}");
    IDS(DATA, "spelled", 0, 1, "a", "b");
    PUT("listed", "imagesTr/a.NII.GZ", "labelsTr/a.nii.GZ");
    put_json("listed",
             "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\", \"label\": \"labelsTr/a.nii.gz\"}]}");
    IDS(DATA, "listed", 0, 1, "a");
}

static void test_two_of_a_name(void **state)
{
    (void)state;
    PUT("two/images", "a.nii.gz", "b.nii.gz");
    PUT("two/labels", "a.nii.gz", "b.nii", "b.NII.GZ");
    assert_refused(DATA, "two", "'b.NII.GZ' and 'b.nii' are two volumes of the same name");
    assert_refused(LABELS, "two/labels", "two volumes of the same name");
    PUT("pairs", "a.nii.gz", "a.hdr", "a.img");
    assert_refused(IMAGES, "pairs", "'a.hdr' and 'a.nii.gz'");
    PUT("nnunet", "imagesTr/a_0000.nii.gz", "imagesTr/a_0000.nii", "labelsTr/a.nii.gz");
    put_json("nnunet", "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nii.gz\"}");
    assert_refused(DATA, "nnunet", "two volumes of the same name");
    PUT("task", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "labelsTr/a.nii");
    put_json("task",
             "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\", \"label\": \"labelsTr/a.nii.gz\"}]}");
    assert_refused(DATA, "task", "two volumes of the same name");
    PUT("unzipped", "imagesTr/a_0000.nii", "labelsTr/a.nii");
    put_json("unzipped", "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nii.gz\"}");
    assert_refused(DATA, "unzipped", "expected files ending in .nii.gz, the file_ending of dataset.json");
    PUT("sizes", "a.nii.gz", "ab.nii", "a_.nii.gz"); /* different names that begin alike */
    IDS(IMAGES, "sizes", 0, 1, "a", "a_", "ab");
}

static void test_series(void **state)
{
    (void)state;
    PUT("series", "n_0000.nii.gz", "n_0001.nii.gz", "n_0002.nii", "n_0003.nii.gz", "x_0000.nii.gz",
        "y.nii.gz", "z_0002.nii.gz");
    IDS(IMAGES, "series", 1, 1, "n_0000", "n_0001", "n_0002", "n_0003", "x", "y", "z_0002");
    IDS(IMAGES, "series/n_0000.nii.gz", 1, 1, "n_0000"); /* a single file by the same rule */
    IDS(IMAGES, "series/n_0001.nii.gz", 1, 1, "n_0001");
    IDS(IMAGES, "series/x_0000.nii.gz", 1, 1, "x");
    IDS(IMAGES, "series/n_0000.nii.gz", 0, 1, "n");
    PUT("gaps", "n_0000.nii.gz", "n_0002.nii.gz");
    IDS(IMAGES, "gaps", 1, 1, "n_0000", "n_0002");
    PUT("four", "n_0000.nii.gz", "n_0001.nii.gz", "n_0002.nii.gz", "n_0003.nii.gz");
    IDS(IMAGES, "four", 4, 4, "n");
    IDS(IMAGES, "four", 0, 4, "n");
    IDS(IMAGES, "four/n_0000.nii.gz", 4, 4, "n"); /* the first file stands for all */
    IDS(IMAGES, "four/n_0001.nii.gz", 4, 1, "n_0001");
    IDS(IMAGES, "series/x_0000.nii.gz", 4, 1, "x");
    assert_refused_for(3, IMAGES, "gaps/n_0000.nii.gz",
                       "n_0002.nii.gz': channel 0001 of this case is missing");
    PUT("four", "n_0001.nii");
    assert_refused_for(4, IMAGES, "four/n_0000.nii.gz", "are both channel 0001 of 'n'");
    PUT("named/images", "n_0000.nii.gz", "n_0001.nii.gz");
    PUT("named/labels", "n.nii.gz");
    IDS(IMAGES, "named", 1, 2, "n"); /* a label says that the files are one case */

    /* Files that hold both channels of the model are volumes of their own. */
    char *folder = u3d_test_path(dir, "whole");
    assert_ok(u3d_path_make_dir(folder));
    u3d_test_nifti s = u3d_test_nifti_default();
    s.dim[0] = 4;
    s.dim[4] = 2;
    const double values[48] = {0};
    for (int i = 0; i < 2; i++) {
        char *path = u3d_test_nifti_file(folder, i ? "t_0001.nii" : "t_0000.nii", &s, values);
        u3d_free(path);
    }
    u3d_free(folder);
    IDS(IMAGES, "whole", 2, 1, "t_0000", "t_0001");
    IDS(IMAGES, "whole/t_0000.nii", 2, 1, "t_0000");
}

/* Labels that are called like the first channel of their image, in nnU-Net's layout too. */
static void test_numbered_labels(void **state)
{
    (void)state;
    PUT("numbered", "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/a_0000.nii.gz",
        "labelsTr/b.nii.gz");
    put_json("numbered", "{\"channel_names\": {\"0\": \"MRI\"}, \"file_ending\": \".nii.gz\"}");
    IDS(DATA, "numbered", 0, 1, "a", "b");
    PUT("numbered", "labelsTr/b_0000.nii.gz");
    assert_refused(DATA, "numbered", "b_0000.nii.gz' has no image");
}

static void test_match(void **state)
{
    (void)state;
    u3d_dataset *d = NULL;
    u3d_status status = U3D_OK;
    PUT("match", "a_0000.nii.gz", "b.nii.gz", "c.nii.gz", "c_0000.nii.gz");
    assert_ok(open_as(LABELS, "match", 0, &d));
    assert_int_equal(d->n_cases, 4);
    const char *const names[][2] = {{"a", "a_0000"}, {"b_0000", "b"}, {"c", "c"}, {"c_0000", "c_0000"}};
    for (int i = 0; i < 4; i++) {
        const int at = u3d_dataset_match(d, names[i][0], &status);
        assert_true(at >= 0);
        assert_string_equal(d->cases[at].id, names[i][1]);
    }
    assert_int_equal(u3d_dataset_match(d, "b_0001", &status), -1);
    assert_int_equal(status, U3D_OK);
    u3d_dataset_free(d);
}

/* ---- files that are not read ---- */

static void open_folder(void *user)
{
    u3d_dataset *d = NULL;
    const char *folder = user;
    assert_ok(open_as(folder[0] == 'u' ? DATA : IMAGES, folder, 0, &d));
    u3d_dataset_free(d);
}

static void open_hollow(void *unused)
{
    u3d_dataset *d = NULL;
    (void)unused;
    assert_status(open_as(DATA, "uhollow", 0, &d), U3D_E_FORMAT);
    u3d_test_says("no volumes found");
}

static void assert_unread(const char *folder, const char *says)
{
    char *text = u3d_test_stderr_of(open_folder, (void *)folder);
    if (says && !strstr(text, says)) fail_msg("'%s' does not contain '%s'", text, says);
    assert_int_equal(u3d_test_count_text(text, "not read"), says ? 1 : 0);
    u3d_free(text);
    text = u3d_test_stderr_of(open_folder, (void *)folder); /* said once */
    assert_int_equal(u3d_test_count_text(text, "not read"), 0);
    u3d_free(text);
}

static void test_unread(void **state)
{
    (void)state;
    u3d_log_set_level(U3D_LOG_WARN);
    PUT("unread/images", "a.nii.gz", "b.mha", "notes.txt", "c.img", "d.nii.zip", "._a.nii.gz", ".DS_Store",
        "p.hdr", "p.IMG", "splits_final.json");
    PUT("unread/labels", "a.nii.gz", "p.nii.gz");
    assert_unread("unread", "4 files were not read: b.mha, c.img, d.nii.zip, notes.txt");
    PUT("silent", "a.nii.gz", "._b.nii.gz", ".DS_Store", "dataset_fingerprint.json", "Thumbs.db");
    assert_unread("silent", NULL);
    PUT("one", "a.nii.gz", ".b.nii.gz", ".hidden");
    assert_unread("one", "1 file was not read: .b.nii.gz");
    PUT("uhollow", "images/a.mha", "labels/a.mha");
    char *text = u3d_test_stderr_of(open_hollow, NULL);
    assert_int_equal(u3d_test_count_text(text, "1 file was not read: a.mha"), 1);
    u3d_free(text);
    PUT("deep", "a.nii.gz", "patient/b.nii.gz");
    assert_unread("deep", "1 folder was not read: patient/");
    PUT("many", "a.nii.gz", "00.x", "01.x", "02.x", "03.x", "04.x", "05.x", "06.x", "07.x", "08.x", "09.x",
        "10.x", "11.x");
    assert_unread(
        "many", "12 files were not read: 00.x, 01.x, 02.x, 03.x, 04.x, 05.x, 06.x, 07.x, 08.x, 09.x, ...\n");
    /* A case that the list of a Decathlon task leaves out is not read either. */
    PUT("ulist", "imagesTr/a.nii.gz", "imagesTr/b.nii.gz", "labelsTr/a.nii.gz");
    put_json("ulist",
             "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\", \"label\": \"labelsTr/a.nii.gz\"}]}");
    assert_unread("ulist", "1 file was not read: b.nii.gz");
    u3d_log_set_level(U3D_LOG_ERROR);
}

/* ---- dataset.json ---- */

static void test_nnunet_v1(void **state)
{
    (void)state;
    static const char json[] =
        "{\"modality\": {\"0\": \"CT\", \"1\": \"PET\"}, \"labels\": {\"0\": \"background\", \"1\": \"x\"},"
        " \"numTraining\": \"2\", \"training\": [{\"image\": \"./imagesTr/a.nii.gz\", \"label\": "
        "\"./labelsTr/a.nii.gz\"},"
        " {\"image\": \"./imagesTr/b.nii.gz\", \"label\": \"./labelsTr/b.nii.gz\"}]}";
    PUT("v1", "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "imagesTr/b_0000.nii.gz",
        "imagesTr/b_0001.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz");
    put_json("v1", json);
    IDS(DATA, "v1", 0, 2, "a", "b");
    PUT("v1", "imagesTr/a_0002.nii.gz", "imagesTr/b_0002.nii.gz");
    assert_refused(DATA, "v1", "modality has 2 channels, but case 'a' has 3 image files");
    PUT("v1gap", "imagesTr/a_0000.nii.gz", "imagesTr/a_0002.nii.gz", "imagesTr/b_0000.nii.gz",
        "labelsTr/a.nii.gz", "labelsTr/b.nii.gz");
    put_json("v1gap", json);
    assert_refused(DATA, "v1gap", "modality has 2 channels, but case 'a' has 1 image files");
}

static void test_copied_json(void **state)
{
    (void)state;
    u3d_dataset *d = NULL;
    static const char nnunet[] =
        "{\"channel_names\": {\"0\": \"CT\"}, \"labels\": {\"background\": 0, \"liver\": 1, "
        "\"ignore\": 7}, \"numTraining\": 9, \"file_ending\": \".nii.gz\"}";
    static const char decathlon[] =
        "{\"modality\": {\"0\": \"CT\"}, \"labels\": {\"0\": \"background\"}, \"training\": "
        "[{\"image\": \"./imagesTr/far.nii.gz\", \"label\": \"./labelsTr/far.nii.gz\"}]}";
    for (int i = 0; i < 2; i++) {
        const char *folder = i ? "copied1" : "copied0";
        PUT(folder, "a_0000.nii.gz", "b_0000.nii.gz");
        put_json(folder, i ? decathlon : nnunet);
        IDS(IMAGES, folder, 1, 1, "a", "b");
        IDS(LABELS, folder, 0, 1, "a_0000", "b_0000");
    }
    assert_ok(open_as(LABELS, "copied0", 0, &d)); /* the copy still says what the labels mean */
    assert_true(d->has_unlabeled);
    assert_int_equal(d->unlabeled, 7);
    u3d_dataset_free(d);
    PUT("mixed", "a.nii.gz", "images/b.nii.gz"); /* references beside a folder of images */
    IDS(LABELS, "mixed", 0, 1, "a");
    put_json("gone", decathlon); /* nothing at all is there, so the missing file is named */
    assert_status(open_as(IMAGES, "gone", 1, &d), U3D_E_IO);
    u3d_test_says("imagesTr/far.nii.gz");
    PUT("beside", "images/a.nii.gz", "labels/a.nii.gz");
    put_json("beside", "{\"channel_names\": [\"CT\"], \"labels\": {\"background\": 0, \"kidney\": 1}}");
    assert_ok(open_as(DATA, "beside", 0, &d));
    assert_string_equal(d->layout, "plain");
    assert_string_equal(d->channel_names[0], "CT");
    assert_string_equal(d->labels[1].name, "kidney");
    u3d_dataset_free(d);
    put_json("beside",
             "{\"modality\": {\"1\": \"CT\"}}"); /* only a warning, because the names are not needed */
    assert_ok(open_as(DATA, "beside", 0, &d));
    assert_int_equal(d->n_channel_names, 0);
    u3d_dataset_free(d);
    put_json("beside", "{\"modality\": \"CT\"}");
    assert_ok(open_as(DATA, "beside", 0, &d));
    assert_string_equal(d->channel_names[0], "CT");
    u3d_dataset_free(d);
}

/* Opens a plain data set with these labels in its dataset.json. */
static u3d_status open_labels(const char *labels, u3d_dataset **d)
{
    char *json = u3d_format("{\"labels\": %s}", labels);
    PUT("json", "images/a.nii.gz", "labels/a.nii.gz");
    put_json("json", json);
    u3d_free(json);
    return open_as(DATA, "json", 0, d);
}

static void test_label_numbers(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"background\": \"0\", \"liver\": \"1\", \"unlabelled\": \"9\"}",
        "{\"0\": \"background\", \"1\": \"liver\", \"9\": \"Unlabeled\"}",
        "{\"background\": 0, \"liver\": 1.0, \"IGNORE\": 9}",
        "{\"background\": [0], \"liver\": [\"1\"], \"Void\": \" 9 \"}",
    };
    u3d_dataset *d = NULL;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(open_labels(good[i], &d));
        assert_int_equal(d->n_labels, 2);
        assert_string_equal(d->labels[0].name, "background");
        assert_string_equal(d->labels[1].name, "liver");
        assert_int_equal(d->labels[1].value, 1);
        assert_true(d->has_unlabeled);
        assert_int_equal(d->unlabeled, 9);
        u3d_dataset_free(d);
    }
    assert_ok(open_labels("[\"background\", \"liver\", \"ignore\"]", &d)); /* a list counts from 0 */
    assert_int_equal(d->n_labels, 2);
    assert_string_equal(d->labels[1].name, "liver");
    assert_int_equal(d->unlabeled, 2);
    u3d_dataset_free(d);
    assert_ok(open_labels("null", &d));
    assert_int_equal(d->n_labels, 0);
    u3d_dataset_free(d);
    static const char *const bad[][2] = {
        {"[\"background\", 1]", "labels[1]: expected a name"},
        {"\"liver\"", "expected an object or a list of names"},
        {"{\"background\": 0, \"whole tumor\": [1, 2, 3]}", "'whole tumor' is a region, a list of 3 values"},
        {"{\"background\": 0, \"none\": []}", "region"},
        {"{\"liver\": \"one\"}", "not a whole number"},
        {"{\"liver\": 1.5}", "not a whole number"},
        {"{\"liver\": null}", "not a whole number"},
        {"{\"ignore\": 9, \"void\": 8}", "already named as the value of voxels that nobody labelled"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_status(open_labels(bad[i][0], &d), U3D_E_FORMAT);
        u3d_test_says(bad[i][1]);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static const char *const paths[] = {"copied0", "copied0", "series", "v1m", "two_channels/n_0000.nii"};
    PUT("two_channels", "n_0000.nii", "n_0001.nii.gz");
    PUT("v1m", "imagesTr/a_0000.NII.GZ", "imagesTr/notes.txt", "labelsTr/a.nii.gz");
    put_json("v1m", "{\"training\": [{\"image\": \"imagesTr/a.nii.gz\", \"label\": \"labelsTr/a.nii.gz\"}]}");
    for (int i = 0; i < (int)(sizeof paths / sizeof *paths); i++) {
        const opener how = i == 3 ? DATA : i == 0 ? LABELS : IMAGES;
        const int64_t live = u3d_mem_live();
        for (int n = 1;; n++) {
            u3d_dataset *d = NULL;
            char *path = u3d_test_path(dir, paths[i]);
            u3d_mem_fail_at(n);
            const u3d_status status = how == DATA     ? u3d_dataset_open(path, 0, true, &d)
                                      : how == IMAGES ? u3d_dataset_images(path, i == 4 ? 2 : 1, &d)
                                                      : u3d_dataset_labels(path, &d);
            u3d_mem_fail_at(0);
            u3d_free(path);
            u3d_dataset_free(d);
            assert_int_equal(u3d_mem_live(), live);
            if (status == U3D_OK) {
                assert_true(n > 10);
                break;
            }
            assert_int_equal(status, U3D_E_NOMEM);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endings),         cmocka_unit_test(test_two_of_a_name),
        cmocka_unit_test(test_series),          cmocka_unit_test(test_match),
        cmocka_unit_test(test_numbered_labels), cmocka_unit_test(test_unread),
        cmocka_unit_test(test_nnunet_v1),       cmocka_unit_test(test_copied_json),
        cmocka_unit_test(test_label_numbers),   cmocka_unit_test(test_out_of_memory),
    };
    dir = u3d_test_dir();
    u3d_log_set_level(U3D_LOG_ERROR);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    u3d_test_dir_done(dir);
    return failed;
}
