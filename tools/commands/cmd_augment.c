/* u3d augment: writes a few patches as training would feed them to the network, as NIfTI files and as one
 * picture, so that a person can check them.
 *
 *   OUT/001_image.nii.gz   all channels, normalised, at the position of the box that was cut
 *   OUT/001_label.nii.gz   the labels of the network's output region, with the label values of the files
 *   OUT/augment.png        two slices of each patch, with labels: as cut on the left, as fed on the right
 *
 * The files of a rotated, scaled or deformed patch have the position of the box that was chosen. The voxels
 * themselves were sampled in and around this box. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "io/path.h"
#include "net/sample/sample.h"
#include "net/model/unet3d.h"
#include "net/sample/warp.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/net_args.h"
#include "tools/commands/commands.h"
#include "tools/draw/picture.h"

enum { MAX_COUNT = 999, MOST_DRAWN = 12, GAP_VOXELS = 4 };

typedef struct shown { /* one patch */
    int case_index;
    u3d_box box;
    u3d_volume *image[2], *label[2]; /* a slice across z, one across y; as cut and as fed side by side */
} shown;

typedef struct viewer {
    const args *a;
    args_cases found;
    u3d_cases *cases;
    u3d_config config;
    u3d_augment augment;
    u3d_patch_opts patch;
    u3d_labels labels; /* with a value for unlabelled voxels, because these occur outside of a volume */
    int32_t channels;
    u3d_sampler *changed, *plain;
    float *image[2]; /* as cut, as fed */
    uint8_t *label[2];
    uint64_t seed;
    int64_t count;
    double seconds; /* for making the patches as they are fed */
    shown *shown;
    cJSON *json;
} viewer;

static u3d_status viewer_settings(viewer *v, u3d_backend *b)
{
    const args *a = v->a;
    const char *net = a->net ? a->net : "auto";
    u3d_cases_opts o;
    int64_t out[3];
    U3D_TRY(u3d_config_preset(&v->config, net));
    for (int i = 0; i < args_set_count(a); i++) U3D_TRY(u3d_config_set(&v->config, a->set[i]));
    U3D_TRY(args_cases_open(a, "augment", 0, true, &v->found));
    U3D_TRY(net_args_cases_opts(a, &v->config, &o));
    U3D_TRY(
        u3d_cases_open(v->found.data, v->found.train, v->found.n_train, v->config.intensity, &o, &v->cases));
    U3D_TRY(net_args_from_cases(a, v->cases, net, b, &v->config));
    U3D_TRY(u3d_config_check(&v->config));
    U3D_TRY(u3d_unet3d_output_size(&v->config, v->config.patch, out));
    U3D_TRY(u3d_augment_plan(&v->config, v->cases, &v->augment));
    v->patch = u3d_sample_patch_opts(&v->config, v->cases, v->config.patch, out);
    v->channels = u3d_cases_facts(v->cases)->channels;
    v->labels = *u3d_cases_labels(v->cases);
    if (v->labels.has_unlabeled) return U3D_OK;
    v->labels.has_unlabeled = true;
    v->labels.unlabeled = U3D_UNLABELED;
    for (int32_t k = 0; k < v->labels.n; k++) /* finds the first free number from 255 on */
        if (v->labels.value[k] == v->labels.unlabeled) {
            v->labels.unlabeled++;
            k = -1;
        }
    return U3D_OK;
}

static int64_t voxels(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

static u3d_status viewer_memory(viewer *v)
{
    const u3d_augment none = {.spacing = {1, 1, 1}};
    U3D_TRY(u3d_sampler_new(&v->patch, &v->augment, v->channels, &v->changed));
    U3D_TRY(u3d_sampler_new(&v->patch, &none, v->channels, &v->plain));
    for (int i = 0; i < 2; i++) {
        v->image[i] = u3d_new((size_t)voxels(v->patch.in) * (size_t)v->channels, sizeof *v->image[i]);
        v->label[i] = u3d_new((size_t)voxels(v->patch.out), 1);
        if (!v->image[i] || !v->label[i]) return U3D_E_NOMEM;
    }
    v->shown = u3d_new((size_t)v->count, sizeof *v->shown);
    return v->shown ? U3D_OK : U3D_E_NOMEM;
}

/* ---- files ---- */

static u3d_status file_write(const viewer *v, int64_t k, const char *what, const u3d_volume *volume)
{
    char *path = u3d_format("%s/%03lld_%s.nii.gz", v->a->out, (long long)k + 1, what);
    if (!path) return U3D_E_NOMEM;
    const u3d_status status = u3d_volume_write(path, volume);
    u3d_free(path);
    return status;
}

/* Writes the patch as it is fed, positioned in the space of `grid`. */
static u3d_status patch_write(viewer *v, int64_t k, const u3d_volume *grid)
{
    u3d_status status = U3D_OK;
    u3d_volume *image = NULL, *classes = NULL, *values = NULL;
    const u3d_box *box = &v->shown[k].box;
    int64_t start[3];
    for (int a = 0; a < 3; a++) start[a] = box->start[a] + (v->patch.in[a] - v->patch.out[a]) / 2;
    U3D_GO(u3d_volume_new_box(grid, box->start, v->patch.in, U3D_F32, v->channels, &image));
    memcpy(image->data, v->image[1], (size_t)voxels(v->patch.in) * (size_t)v->channels * sizeof(float));
    U3D_GO(file_write(v, k, "image", image));
    U3D_GO(u3d_volume_new_box(grid, start, v->patch.out, U3D_U8, 1, &classes));
    memcpy(classes->data, v->label[1], (size_t)voxels(v->patch.out));
    U3D_GO(u3d_labels_to_values(&v->labels, classes, &values));
    U3D_GO(file_write(v, k, "label", values));
done:
    u3d_volume_free(image);
    u3d_volume_free(classes);
    u3d_volume_free(values);
    return status;
}

/* ---- picture ---- */

/* Number of foreground voxels in a slice of one version; side 0: as cut, 1: as fed. */
static int64_t slice_foreground(const viewer *v, int side, int axis, int64_t at)
{
    const int64_t *out = v->patch.out, stride[3] = {out[1] * out[2], out[2], 1};
    const int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
    int64_t count = 0;
    for (int64_t i = 0; i < out[p]; i++)
        for (int64_t j = 0; j < out[q]; j++) {
            const uint8_t class = v->label[side][at * stride[axis] + i * stride[p] + j * stride[q]];
            count += class != U3D_UNLABELED && !(class == 0 && v->labels.background);
        }
    return count;
}

/* Chooses a slice across an axis of the output. Of the two versions of each slice, the one with less
 * foreground counts, and the slice with the largest count is chosen. */
static int64_t slice_choose(const viewer *v, int axis)
{
    int64_t best = v->patch.out[axis] / 2, most = 0;
    for (int64_t at = 0; at < v->patch.out[axis]; at++) {
        const int64_t cut = slice_foreground(v, 0, axis, at), fed = slice_foreground(v, 1, axis, at);
        const int64_t less = cut < fed ? cut : fed;
        if (less <= most) continue;
        most = less;
        best = at;
    }
    return best;
}

/* Class at a position of the input; unlabelled outside of the network's output. */
static uint8_t class_at(const viewer *v, int side, const int64_t pos[3])
{
    int64_t i = 0;
    for (int a = 0; a < 3; a++) {
        const int64_t at = pos[a] - (v->patch.in[a] - v->patch.out[a]) / 2;
        if (at < 0 || at >= v->patch.out[a]) return U3D_UNLABELED;
        i = i * v->patch.out[a] + at;
    }
    return v->label[side][i];
}

/* Puts one slice of both versions side by side along x. The gap between them is dark and unlabelled. */
static u3d_status sheet_make(const viewer *v, int axis, const u3d_volume *grid, shown *s)
{
    const int64_t *in = v->patch.in, origin[3] = {0};
    const int64_t slice = slice_choose(v, axis) + (in[axis] - v->patch.out[axis]) / 2;
    int64_t size[3] = {in[0], in[1], 2 * in[2] + GAP_VOXELS}, pos[3];
    size[axis] = 1;
    U3D_TRY(u3d_volume_new_box(grid, origin, size, U3D_F32, 1, &s->image[axis]));
    U3D_TRY(u3d_volume_new_box(grid, origin, size, U3D_I32, 1, &s->label[axis]));
    float *image = s->image[axis]->data, darkest = v->image[0][0];
    int32_t *label = s->label[axis]->data;
    for (int64_t i = 0; i < voxels(in); i++) darkest = fminf(darkest, v->image[0][i * v->channels]);
    for (int64_t i = 0; i < voxels(size); i++) {
        const int64_t x = i % size[2];
        const int side = x >= in[2] + GAP_VOXELS;
        image[i] = darkest;
        label[i] = v->labels.unlabeled;
        pos[0] = i / (size[1] * size[2]);
        pos[1] = i / size[2] % size[1];
        pos[2] = side ? x - in[2] - GAP_VOXELS : x;
        pos[axis] = slice;
        if (pos[2] >= in[2]) continue;
        image[i] = v->image[side][((pos[0] * in[1] + pos[1]) * in[2] + pos[2]) * v->channels];
        const uint8_t class = class_at(v, side, pos);
        if (class != U3D_UNLABELED) label[i] = v->labels.value[class];
    }
    return U3D_OK;
}

/* Makes a slice across z and one across y. A flat patch has only the one across z. */
static u3d_status sheets_make(const viewer *v, const u3d_volume *grid, shown *s)
{
    U3D_TRY(sheet_make(v, 0, grid, s));
    return v->patch.in[0] > 1 ? sheet_make(v, 1, grid, s) : U3D_OK;
}

static u3d_status sheets_write(const viewer *v)
{
    picture_part parts[2 * MOST_DRAWN];
    const picture_opts o = {.has_unlabeled = true, .unlabeled = v->labels.unlabeled, .as_stored = true};
    picture_result result;
    int n = 0;
    for (int64_t k = 0; k < v->count && k < MOST_DRAWN; k++)
        for (int axis = 0; axis < 2; axis++)
            if (v->shown[k].image[axis])
                parts[n++] = (picture_part){.image = v->shown[k].image[axis],
                                            .labels = {v->shown[k].label[axis]},
                                            .n_labels = 1,
                                            .slices = {0, axis == 1, axis == 0}};
    char *path = u3d_path_join(v->a->out, "augment.png");
    if (!path) return U3D_E_NOMEM;
    const u3d_status status = picture_write(path, parts, n, &o, &result);
    u3d_free(path);
    return status;
}

/* ---- report ---- */

static u3d_status report_add(viewer *v, int64_t k)
{
    static const char *const names[3] = {"degrees", "scaling", "start"}; /* x, y, z */
    const double degree = M_PI / 180;
    const shown *s = &v->shown[k];
    u3d_warp_draw draw;
    (void)u3d_warp_choose(&v->augment, v->seed, k, &draw);
    double numbers[3][3];
    for (int a = 0; a < 3; a++) {
        numbers[0][a] = draw.angle[2 - a] / degree;
        numbers[1][a] = draw.scale[2 - a];
        numbers[2][a] = (double)s->box.start[2 - a];
    }
    const u3d_axes axes = u3d_augment_axes(&v->augment, v->seed, k, v->patch.in, v->patch.out);
    char text[16]; /* for x, y, z of the patch, the axis of the volume; -x: the x axis reversed */
    (void)snprintf(text, sizeof text, "%s%c,%s%c,%s%c", axes.flip[2] ? "-" : "", "zyx"[axes.from[2]],
                   axes.flip[1] ? "-" : "", "zyx"[axes.from[1]], axes.flip[0] ? "-" : "",
                   "zyx"[axes.from[0]]);
    const char *id = u3d_cases_id(v->cases, s->case_index);
    if (!v->a->json) {
        printf("%03lld  %s at %g,%g,%g: axes %s, rotated by %.3g,%.3g,%.3g degrees, "
               "one voxel covers %.3g,%.3g,%.3g voxels of the volume%s\n",
               (long long)k + 1, id, numbers[2][0], numbers[2][1], numbers[2][2], text, numbers[0][0],
               numbers[0][1], numbers[0][2], numbers[1][0], numbers[1][1], numbers[1][2],
               draw.elastic ? ", deformed" : "");
        return U3D_OK;
    }
    cJSON *entry = cJSON_CreateObject();
    bool ok = entry && cJSON_AddItemToArray(cJSON_GetObjectItem(v->json, "patches"), entry) &&
              cJSON_AddStringToObject(entry, "case", id) && cJSON_AddStringToObject(entry, "axes", text) &&
              cJSON_AddBoolToObject(entry, "deformed", draw.elastic);
    for (int i = 0; ok && i < 3; i++)
        ok = cJSON_AddItemToObject(entry, names[i], cJSON_CreateDoubleArray(numbers[i], 3));
    return ok ? U3D_OK : u3d_fail(U3D_E_NOMEM, "out of memory while listing the patches");
}

static u3d_status report_end(const viewer *v)
{
    const double ms = 1e3 * v->seconds / (double)v->count;
    if (!v->a->json) {
        printf("%s: %lld patches of %lldx%lldx%lld voxels, %.1f ms each on one core; augment.png shows the "
               "first %d\n",
               v->a->out, (long long)v->count, (long long)v->patch.in[2], (long long)v->patch.in[1],
               (long long)v->patch.in[0], ms, v->count < MOST_DRAWN ? (int)v->count : MOST_DRAWN);
        return U3D_OK;
    }
    if (!cJSON_AddNumberToObject(v->json, "ms_per_patch", ms))
        return u3d_fail(U3D_E_NOMEM, "out of memory while writing the report");
    return u3d_json_print(stdout, v->json);
}

/* ---- the command ---- */

static u3d_status outputs_check(const viewer *v)
{
    static const char *const WHAT[] = {"image", "label"};
    files f = {0};
    char *sheet = u3d_path_join(v->a->out, "augment.png");
    files_read_cases(&f, v->found.data);
    files_read(&f, v->a->split);
    files_write(&f, sheet, true);
    for (int64_t k = 0; k < 2 * v->count; k++) {
        char *path = u3d_format("%s/%03lld_%s.nii.gz", v->a->out, (long long)k / 2 + 1, WHAT[k % 2]);
        files_write(&f, path, true);
        u3d_free(path);
    }
    u3d_free(sheet);
    return files_check(&f, v->a);
}

static u3d_status viewer_patch(viewer *v, int64_t k)
{
    shown *s = &v->shown[k];
    const u3d_case_data *data = NULL;
    U3D_TRY(u3d_sampler_fill(v->plain, v->cases, v->seed, k, v->image[0], v->label[0], NULL, NULL, NULL));
    const double from = u3d_clock();
    U3D_TRY(u3d_sampler_fill(v->changed, v->cases, v->seed, k, v->image[1], v->label[1], NULL, &s->case_index,
                             &s->box));
    v->seconds += u3d_clock() - from;
    U3D_TRY(u3d_cases_acquire(v->cases, s->case_index, &data));
    u3d_status status = patch_write(v, k, data->image);
    if (status == U3D_OK && k < MOST_DRAWN) status = sheets_make(v, data->image, s);
    u3d_cases_release(v->cases, s->case_index);
    return status == U3D_OK ? report_add(v, k) : status;
}

static void viewer_done(viewer *v)
{
    for (int64_t k = 0; v->shown && k < v->count; k++) {
        for (int axis = 0; axis < 2; axis++) {
            u3d_volume_free(v->shown[k].image[axis]);
            u3d_volume_free(v->shown[k].label[axis]);
        }
    }
    for (int i = 0; i < 2; i++) {
        u3d_free(v->image[i]);
        u3d_free(v->label[i]);
    }
    u3d_free(v->shown);
    u3d_sampler_free(v->changed);
    u3d_sampler_free(v->plain);
    u3d_cases_free(v->cases);
    args_cases_close(&v->found);
    cJSON_Delete(v->json);
}

u3d_status cmd_augment(const args *a)
{
    u3d_status status = U3D_OK;
    u3d_backend *backend = NULL;
    viewer v = {.a = a, .count = 4};
    int64_t seed = 1;
    U3D_GO(args_need("augment", "--out DIR", a->out));
    if (a->count) U3D_GO(args_int("--count", a->count, 1, MAX_COUNT, &v.count));
    if (a->seed) U3D_GO(args_int("--seed", a->seed, 0, INT64_MAX, &seed));
    v.seed = (uint64_t)seed;
    U3D_GO(files_check_folder(a, a->out));
    U3D_GO(args_open_backend(a, &backend));
    U3D_GO(viewer_settings(&v, backend));
    U3D_GO(outputs_check(&v));
    U3D_GO(viewer_memory(&v));
    v.json = cJSON_CreateObject();
    if (!v.json || !cJSON_AddArrayToObject(v.json, "patches"))
        U3D_GO(u3d_fail(U3D_E_NOMEM, "out of memory while listing the patches"));
    U3D_GO(u3d_path_make_dir(a->out));
    for (int64_t k = 0; k < v.count; k++) U3D_GO(viewer_patch(&v, k));
    U3D_GO(sheets_write(&v));
    U3D_GO(report_end(&v));
done:
    viewer_done(&v);
    u3d_backend_close(backend);
    return status;
}
