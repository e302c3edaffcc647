/* Predicts volume after volume, notes which fail and why, and says so at the end. */
#include "tools/cli/result.h"
#include "tools/commands/predict_batch.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/path.h"

/* Whether nothing after this failure could succeed: the disk is full, the device is gone, the user wants to
 * stop. */
static bool ends_batch(u3d_status status)
{
    return status == U3D_E_CANCELLED || status == U3D_E_OUTPUT || status == U3D_E_DEVICE;
}

/* Notes the failure of a volume, or hands it on if it is the failure of the whole batch. */
static u3d_status job_fail(const batch *b, job *j, u3d_status status)
{
    if (b->single || ends_batch(status)) return status;
    j->failure = u3d_strdup(u3d_error_text());
    if (!j->failure) return U3D_E_NOMEM;
    U3D_WARN("predict", "%s is left out: %s", j->input->id, j->failure);
    return U3D_OK;
}

/* ---- --skip-existing ---- */

/* Sets *whole to whether `path` is a readable volume. U3D_E_FORMAT: it has another size than the input. */
static u3d_status output_check(const char *path, u3d_volume_kind kind, const u3d_volume *input, bool *whole)
{
    u3d_volume *found = NULL;
    *whole = false;
    if (!u3d_path_exists(path)) return U3D_OK;
    u3d_status status = u3d_volume_read(path, kind, &found);
    if (status == U3D_E_NOMEM) return status;
    if (status != U3D_OK) {
        U3D_WARN("predict", "%s is not whole and is written again: %s", path, u3d_error_text());
        return U3D_OK;
    }
    *whole = memcmp(found->size, input->size, sizeof found->size) == 0;
    u3d_volume_free(found);
    if (*whole) return U3D_OK;
    return u3d_fail(U3D_E_FORMAT,
                    "%s exists, but has another size than its input; remove it, or give --force instead of "
                    "--skip-existing",
                    path);
}

static u3d_status job_skip(job *j)
{
    u3d_volume *grid;
    bool whole;
    if (!u3d_path_exists(j->out) && !(j->probabilities && u3d_path_exists(j->probabilities))) return U3D_OK;
    U3D_TRY(u3d_volume_probe(j->input->image[0], &grid));
    u3d_status status = output_check(j->out, U3D_VOLUME_LABEL, grid, &whole);
    j->write_out = !whole;
    if (status == U3D_OK && j->probabilities) {
        status = output_check(j->probabilities, U3D_VOLUME_IMAGE, grid, &whole);
        j->write_probabilities = !whole;
    }
    u3d_volume_free(grid);
    return status;
}

static bool job_is_complete(const job *j)
{
    return !j->write_out && !j->write_probabilities;
}

u3d_status batch_skip(batch *b)
{
    int n = 0;
    for (int i = 0; i < b->n; i++) {
        const u3d_status status = job_skip(&b->jobs[i]);
        if (status != U3D_OK) U3D_TRY(job_fail(b, &b->jobs[i], status));
        n += job_is_complete(&b->jobs[i]);
    }
    U3D_INFO("predict", "%d of %d volumes are predicted already and are skipped", n, b->n);
    return U3D_OK;
}

int batch_left(const batch *b)
{
    int n = 0;
    for (int i = 0; i < b->n; i++) n += !job_is_complete(&b->jobs[i]) && !b->jobs[i].failure;
    return n;
}

/* ---- running ---- */

u3d_status batch_run(batch *b, u3d_predictor *p, const u3d_model *m, const args *a)
{
    for (int i = 0; i < b->n; i++) {
        job *j = &b->jobs[i];
        if (job_is_complete(j) || j->failure) continue;
        const u3d_status status = u3d_predict_check(p, m, j->input);
        if (status != U3D_OK) U3D_TRY(job_fail(b, j, status));
    }
    for (int i = 0; i < b->n; i++) {
        job *j = &b->jobs[i];
        if (job_is_complete(j) || j->failure) continue;
        if (*a->stop) return u3d_fail(U3D_E_CANCELLED, "predicting: interrupted before %s", j->input->id);
        const double start = u3d_clock();
        const u3d_status status = u3d_predict_case(p, m, j->input, j->write_out ? j->out : NULL,
                                                   j->write_probabilities ? j->probabilities : NULL);
        if (status != U3D_OK) U3D_TRY(job_fail(b, j, status));
        j->done = status == U3D_OK;
        if (j->done) U3D_INFO("predict", "%d/%d %s in %.2f s", i + 1, b->n, j->out, u3d_clock() - start);
    }
    return U3D_OK;
}

/* ---- results ---- */

static bool case_add(cJSON *list, const job *j, cJSON **entry)
{
    *entry = cJSON_CreateObject();
    return *entry && cJSON_AddItemToArray(list, *entry) &&
           cJSON_AddStringToObject(*entry, "case", j->input->id);
}

static bool job_json(const job *j, cJSON *predictions, cJSON *skipped, cJSON *failures)
{
    cJSON *entry;
    if (j->failure)
        return case_add(failures, j, &entry) && cJSON_AddStringToObject(entry, "error", j->failure);
    if (!j->done && !job_is_complete(j)) return true; /* the batch ended before it */
    return case_add(j->done ? predictions : skipped, j, &entry) &&
           cJSON_AddStringToObject(entry, "output", j->out) &&
           (!j->probabilities || cJSON_AddStringToObject(entry, "probabilities", j->probabilities));
}

static u3d_status print_json(const batch *b, double seconds)
{
    cJSON *json = cJSON_CreateObject(), *predictions = cJSON_AddArrayToObject(json, "predictions"),
          *skipped = cJSON_AddArrayToObject(json, "skipped"),
          *failures = cJSON_AddArrayToObject(json, "failures");
    bool ok = predictions && skipped && failures && cJSON_AddNumberToObject(json, "seconds", seconds);
    for (int i = 0; ok && i < b->n; i++) ok = job_json(&b->jobs[i], predictions, skipped, failures);
    return result_json(json, ok);
}

u3d_status batch_print(const batch *b, const args *a, double seconds)
{
    if (a->json) return print_json(b, seconds);
    for (int i = 0; i < b->n; i++)
        if (b->jobs[i].done) printf("%s\n", b->jobs[i].out);
    return U3D_OK;
}

u3d_status batch_end(const batch *b, u3d_status status)
{
    int n_failed = 0, n_done = 0;
    for (int i = 0; i < b->n; i++) {
        const job *j = &b->jobs[i];
        n_done += !j->failure && (j->done || job_is_complete(j));
        if (!j->failure) continue;
        n_failed++;
        U3D_WARN("predict", "not predicted: %s: %s", j->input->id, j->failure);
    }
    if (status != U3D_OK && !b->single) {
        char cause[1000];
        (void)snprintf(cause, sizeof cause, "%s", u3d_error_text());
        return u3d_fail(status, "%s; %d of %d volumes are done%s", cause, n_done, b->n,
                        b->of_fold ? "" : ", and the same command with --skip-existing does the rest");
    }
    if (status != U3D_OK || !n_failed) return status;
    return u3d_fail(U3D_E_FORMAT, "%d of %d volumes were not predicted (listed above)%s", n_failed, b->n,
                    b->of_fold ? ""
                               : "; when they are mended, the same command with --skip-existing does the rest");
}

void batch_free(batch *b)
{
    for (int i = 0; b->jobs && i < b->n; i++) {
        u3d_free(b->jobs[i].out);
        u3d_free(b->jobs[i].probabilities);
        u3d_free(b->jobs[i].failure);
    }
    u3d_free(b->jobs);
}
