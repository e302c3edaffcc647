/* Draws two cases of an evaluation so that a person can inspect them: the worst and the median case. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "tools/commands/evaluate_out.h"
#include "tools/draw/picture.h"

typedef struct scored {
    double dice;
    int at; /* index in metric_per_case */
} scored;

static int by_dice(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->dice != y->dice) return x->dice < y->dice ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Chooses the worst and the median case. *n is 1 if there is only one case, and 0 if no case has any
 * foreground. */
static u3d_status cases_choose(const cJSON *summary, scored chosen[2], int *n)
{
    const cJSON *per_case = u3d_json_member(summary, "metric_per_case"), *c;
    scored *all = u3d_new((size_t)cJSON_GetArraySize(per_case), sizeof *all);
    int count = 0, at = 0;
    if (!all) return U3D_E_NOMEM;
    cJSON_ArrayForEach(c, per_case)
    {
        const cJSON *dice = u3d_json_member(u3d_json_member(c, "foreground_mean"), "Dice");
        if (cJSON_IsNumber(dice)) all[count++] = (scored){dice->valuedouble, at};
        at++;
    }
    qsort(all, (size_t)count, sizeof *all, by_dice);
    *n = 0;
    if (count) chosen[(*n)++] = all[0];
    if (count > 1) chosen[(*n)++] = all[count / 2];
    u3d_free(all);
    return U3D_OK;
}

typedef struct volumes {
    u3d_volume *image, *reference, *prediction;
} volumes;

static void volumes_free(volumes *v)
{
    u3d_volume_free(v->image);
    u3d_volume_free(v->reference);
    u3d_volume_free(v->prediction);
}

/* Reads the image, and brings the reference onto its grid, or, if the image has no place in space, the image
 * onto that of the reference. If that fails, the picture is drawn without it. */
static void image_read(const char *path, int32_t outside, volumes *v)
{
    u3d_status status = u3d_volume_read(path, U3D_VOLUME_IMAGE, &v->image);
    if (status == U3D_OK)
        status = u3d_volume_has_place(v->image)
                     ? u3d_volume_match_onto(&v->reference, "the reference", v->image, path, true, outside)
                     : u3d_volume_match_onto(&v->image, path, v->reference, "the reference", true, 0);
    if (status == U3D_OK) return;
    U3D_WARN("evaluate", "the picture is drawn without the image: %s", u3d_error_text());
    u3d_volume_free(v->image);
    v->image = NULL;
}

/* Reads the volumes and brings them onto one grid, which has a place in space if one of them has. Whether
 * labels may be compared was decided when they were scored. `outside` is the value of voxels that a reference
 * does not cover. */
static u3d_status volumes_read(const cJSON *entry, const char *image, int32_t outside, volumes *v)
{
    U3D_TRY(u3d_volume_read(cJSON_GetStringValue(u3d_json_member(entry, "reference_file")), U3D_VOLUME_LABEL,
                            &v->reference));
    U3D_TRY(u3d_volume_read(cJSON_GetStringValue(u3d_json_member(entry, "prediction_file")), U3D_VOLUME_LABEL,
                            &v->prediction));
    if (!u3d_volume_has_place(v->reference))
        U3D_TRY(u3d_volume_match_onto(&v->reference, "the reference", v->prediction, "the prediction", true,
                                      outside));
    if (!image) image = cJSON_GetStringValue(u3d_json_member(entry, "image_file"));
    if (image) image_read(image, outside, v);
    return u3d_volume_match_onto(&v->prediction, "the prediction", v->reference, "the reference", true, 0);
}

/* Says what the columns show. */
static void caption_make(const volumes v[2], int n, const char *convention, char *caption, size_t cap)
{
    int images = 0;
    for (int i = 0; i < n; i++) images += v[i].image != NULL;
    (void)snprintf(caption, cap, "%s%sreference, prediction, outlines (reference white); %s",
                   images ? "image" : "",
                   images == 0  ? ""
                   : images < n ? " (of one case), "
                                : ", ",
                   convention);
}

static void tell(const cJSON *per_case, const scored chosen[2], int n, const char *path, const char *caption)
{
    static const char *const WHICH[] = {"worst", "median"};
    for (int i = 0; i < n; i++)
        U3D_INFO("evaluate", "%s: %s case %s, mean foreground Dice %.4f", path, WHICH[i],
                 cJSON_GetStringValue(u3d_json_member(cJSON_GetArrayItem(per_case, chosen[i].at), "case")),
                 chosen[i].dice);
    U3D_INFO("evaluate", "%s: columns are %s", path, caption);
}

u3d_status evaluate_picture(const cJSON *summary, const char *image, const char *path, char *caption,
                            size_t cap)
{
    u3d_status status = U3D_OK;
    const cJSON *per_case = u3d_json_member(summary, "metric_per_case"),
                *unlabeled = u3d_json_member(summary, "unlabeled");
    const picture_opts o = {.has_unlabeled = cJSON_IsNumber(unlabeled),
                            .unlabeled = cJSON_IsNumber(unlabeled) ? (int32_t)unlabeled->valuedouble : 0};
    scored chosen[2];
    volumes v[2] = {{0}};
    picture_part parts[2];
    picture_result result;
    int n;
    U3D_GO(cases_choose(summary, chosen, &n));
    if (n == 0) U3D_GO(u3d_fail(U3D_E_ARG, "--picture: no case has any foreground to show"));
    for (int i = 0; i < n; i++) {
        U3D_GO(volumes_read(cJSON_GetArrayItem(per_case, chosen[i].at), image, o.unlabeled, &v[i]));
        parts[i] = (picture_part){.image = v[i].image,
                                  .labels = {v[i].reference, v[i].prediction},
                                  .n_labels = 2,
                                  .compare = true,
                                  .slices = {1, 1, 1}};
    }
    U3D_GO(picture_write(path, parts, n, &o, &result));
    caption_make(v, n, result.convention, caption, cap);
    tell(per_case, chosen, n, path, caption);
done:
    for (int i = 0; i < 2; i++) volumes_free(&v[i]);
    return status;
}
