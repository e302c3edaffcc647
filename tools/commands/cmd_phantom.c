/* u3d phantom: writes synthetic volumes as a Decathlon data set, to try u3d without data.
 *
 * Each volume contains ellipsoidal cells (label 1) with a darker nucleus (label 2) on an uneven, noisy
 * background (label 0). labelsTr has labels in a few slices only; the other voxels are 255, which
 * dataset.json names "unlabeled". labelsDense has all labels. Volume k depends only on --seed and k. */
#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/rng.h"
#include "io/json.h"
#include "io/path.h"
#include "io/volume.h"
#include "net/config/config.h"
#include "tools/cli/args_data.h"
#include "tools/cli/files.h"
#include "tools/cli/result.h"
#include "tools/commands/commands.h"
#include "tools/commands/slices.h"

enum { UNLABELED = 255, MAX_CELLS = 64 };

typedef struct cell {
    double centre[3], radius[3]; /* voxels, z, y, x */
} cell;

/* Places about one cell per 24^3 voxels. Cells may touch and overlap, as real ones do. */
static int cells_place(u3d_rng *r, const int64_t size[3], cell *cells)
{
    const double wanted = (double)(size[0] * size[1] * size[2]) / (24.0 * 24 * 24);
    const int n = wanted < 1 ? 1 : wanted > MAX_CELLS ? MAX_CELLS : (int)wanted;
    for (int i = 0; i < n; i++)
        for (int a = 0; a < 3; a++) {
            cells[i].centre[a] = u3d_rng_uniform(r) * (double)size[a];
            cells[i].radius[a] = 5 + 6 * u3d_rng_uniform(r);
        }
    return n;
}

/* Squared distance to the nearest cell centre, in units of the radii of each cell. */
static double cells_distance(const cell *cells, int n, const double at[3])
{
    double best = INFINITY;
    for (int i = 0; i < n; i++) {
        double d = 0;
        for (int a = 0; a < 3; a++) {
            const double u = (at[a] - cells[i].centre[a]) / cells[i].radius[a];
            d += u * u;
        }
        best = fmin(best, d);
    }
    return best;
}

static void volume_draw(u3d_rng *r, u3d_volume *image, u3d_volume *label)
{
    static const double BRIGHTNESS[3] = {100, 180, 130};
    cell cells[MAX_CELLS];
    const int n = cells_place(r, image->size, cells);
    float *grey = image->data;
    int32_t *class = label->data;
    for (int64_t z = 0; z < image->size[0]; z++)
        for (int64_t y = 0; y < image->size[1]; y++)
            for (int64_t x = 0; x < image->size[2]; x++) {
                const double d = cells_distance(cells, n, (double[3]){(double)z, (double)y, (double)x});
                const int k = d < 0.2 ? 2 : d < 1 ? 1 : 0;
                const double shade = 15 * sin((double)x / 17) * cos((double)y / 23);
                *class ++ = k;
                *grey++ = (float)(BRIGHTNESS[k] + shade + 20 * u3d_rng_normal(r));
            }
}

static u3d_status volume_store(const char *dir, const char *folder, const char *name, const u3d_volume *v)
{
    char *path = u3d_format("%s/%s/%s", dir, folder, name);
    if (!path) return U3D_E_NOMEM;
    u3d_status status = u3d_volume_write(path, v);
    u3d_free(path);
    return status;
}

static u3d_status phantom_make(const args *a, uint64_t seed, int64_t k, const int64_t size[3],
                               const slices *which)
{
    u3d_status status = U3D_OK;
    u3d_volume *image = NULL, *label = NULL;
    u3d_rng r = u3d_rng_at(seed, U3D_RNG_PHANTOM, (uint64_t)k);
    char name[64];
    snprintf(name, sizeof name, "phantom_%03lld.nii.gz", (long long)k + 1);
    U3D_GO(u3d_volume_new(size, (double[3]){1, 1, 1}, U3D_F32, 1, &image));
    U3D_GO(u3d_volume_new_like(image, U3D_I32, 1, &label));
    volume_draw(&r, image, label);
    U3D_GO(volume_store(a->out, "imagesTr", name, image));
    U3D_GO(volume_store(a->out, "labelsDense", name, label));
    slices_keep(label, which, UNLABELED);
    U3D_GO(volume_store(a->out, "labelsTr", name, label));
done:
    u3d_volume_free(image);
    u3d_volume_free(label);
    return status;
}

static u3d_status description_write(const args *a, int64_t count)
{
    cJSON *json = cJSON_CreateObject(), *training = NULL;
    bool ok = json && cJSON_AddStringToObject(json, "name", "Phantom") &&
              cJSON_AddStringToObject(
                  json, "description",
                  "Synthetic cells with nuclei, made by u3d phantom; labelsDense has the full labels");
    cJSON *modality = cJSON_AddObjectToObject(json, "modality"),
          *labels = cJSON_AddObjectToObject(json, "labels");
    ok = ok && modality && labels && cJSON_AddStringToObject(modality, "0", "synthetic") &&
         cJSON_AddStringToObject(labels, "0", "background") && cJSON_AddStringToObject(labels, "1", "cell") &&
         cJSON_AddStringToObject(labels, "2", "nucleus") &&
         cJSON_AddStringToObject(labels, "255", "unlabeled") &&
         cJSON_AddNumberToObject(json, "numTraining", (double)count) &&
         (training = cJSON_AddArrayToObject(json, "training"));
    for (int64_t k = 0; ok && k < count; k++) {
        char image[80], label[80];
        cJSON *entry = cJSON_CreateObject();
        snprintf(image, sizeof image, "./imagesTr/phantom_%03lld.nii.gz", (long long)k + 1);
        snprintf(label, sizeof label, "./labelsTr/phantom_%03lld.nii.gz", (long long)k + 1);
        ok = entry && cJSON_AddItemToArray(training, entry) &&
             cJSON_AddStringToObject(entry, "image", image) && cJSON_AddStringToObject(entry, "label", label);
    }
    char *path = ok ? u3d_path_join(a->out, "dataset.json") : NULL;
    u3d_status status =
        path ? u3d_json_write(path, json) : u3d_fail(U3D_E_NOMEM, "out of memory while describing phantoms");
    u3d_free(path);
    cJSON_Delete(json);
    return status;
}

u3d_status cmd_phantom(const args *a)
{
    int64_t count = 4, seed = 1, size[3] = {48, 64, 64};
    slices which = {.counts = {{3, 3, 3}}, .n_sets = 1};
    U3D_TRY(args_need("phantom", "--out DIR", a->out));
    if (a->count) U3D_TRY(args_int("--count", a->count, 1, 999, &count));
    if (a->seed) U3D_TRY(args_int("--seed", a->seed, 0, INT64_MAX, &seed));
    if (a->size) U3D_TRY(u3d_parse_size(a->size, "--size", size));
    if (a->slices) U3D_TRY(args_slices(a->slices, which.counts[0]));
    for (int i = 0; i < 3; i++)
        if (size[i] < 8 || size[i] > 1024 || which.counts[0][i] > size[2 - i])
            return u3d_fail(
                U3D_E_ARG,
                "u3d phantom: expected --size from 8 to 1024 per axis, and no more --slices across an axis than "
                "voxels along it");
    U3D_TRY(files_check_folder(a, a->out));
    static const char *const FOLDERS[] = {"imagesTr", "labelsTr", "labelsDense"};
    for (int i = 0; i < 3; i++) {
        char *folder = u3d_path_join(a->out, FOLDERS[i]);
        if (!folder) return U3D_E_NOMEM;
        u3d_status status = u3d_path_make_dir(folder);
        u3d_free(folder);
        U3D_TRY(status);
    }
    for (int64_t k = 0; k < count; k++) U3D_TRY(phantom_make(a, (uint64_t)seed, k, size, &which));
    U3D_TRY(description_write(a, count));
    cJSON *json = cJSON_CreateObject();
    const bool ok = cJSON_AddStringToObject(json, "output", a->out) &&
                    cJSON_AddNumberToObject(json, "volumes", (double)count);
    return result_print(a, json, ok, "%s: %lld volumes of %lldx%lldx%lld", a->out, (long long)count,
                        (long long)size[2], (long long)size[1], (long long)size[0]);
}
