/* The folds of a cross-validation: how many there are, which cases are in which, and the plan that they
 * share. */
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/rng.h"
#include "io/json.h"
#include "io/path.h"
#include "net/cases/slice_folds.h"
#include "tools/cli/args_data.h"
#include "tools/commands/commands.h"
#include "tools/commands/crossval_impl.h"

enum { FOLDS_DEFAULT = 5 };

/* Lowers the default number of folds to the number of annotated slices. */
static u3d_status folds_of_slices(crossval *c)
{
    u3d_volume *label;
    int64_t slices = 0;
    U3D_TRY(u3d_volume_read(c->a->label, U3D_VOLUME_LABEL, &label));
    u3d_status status = u3d_volume_turn_to_file(label); /* the folds are slices of the file */
    if (status == U3D_OK) status = u3d_slice_count(label, c->unlabeled, &slices);
    u3d_volume_free(label);
    if (status != U3D_OK || slices >= c->n || slices < 2) return status;
    c->n = (int)slices;
    U3D_INFO("crossval", "%d folds, because %d slices are annotated", c->n, c->n);
    return U3D_OK;
}

u3d_status crossval_number(crossval *c)
{
    const args *a = c->a;
    int64_t n = FOLDS_DEFAULT;
    if (a->folds) U3D_TRY(args_int("--folds", a->folds, 2, CROSSVAL_FOLDS_MOST, &n));
    c->n = (int)n;
    if (!a->data && !a->folds) return folds_of_slices(c);
    if (!a->split) return U3D_OK;
    if (a->folds)
        return u3d_fail(U3D_E_ARG, "u3d crossval: leave out --folds, because --split defines the folds");
    return u3d_split_count(a->split, &c->n);
}

/* Sets of[case] to -1 for the cases that the plan leaves out, and to 0 for the others, whose number is
 * returned. */
static int folds_usable(const cJSON *plan, const u3d_dataset *data, int *of)
{
    const cJSON *id;
    int n = data->n_cases;
    cJSON_ArrayForEach(id, u3d_json_member(plan, "left_out"))
    {
        const int at = cJSON_IsString(id) ? u3d_dataset_find(data, id->valuestring) : -1;
        if (at < 0) continue;
        of[at] = -1;
        n--;
    }
    return n;
}

/* Sets of[case] to the fold of each case for which it is not -1. These cases are dealt to the folds in turn,
 * in random order, so the sizes of the folds differ by at most one. */
static u3d_status folds_deal(int n_cases, int usable, int n, uint64_t seed, int *of)
{
    u3d_rng rng = u3d_rng_at(seed, U3D_RNG_SPLIT, 1); /* training uses index 0 to choose held-out cases */
    int *dealt = u3d_new((size_t)usable, sizeof *dealt);
    if (!dealt) return U3D_E_NOMEM;
    for (int i = 0; i < usable; i++) dealt[i] = i % n;
    for (int i = usable - 1; i > 0; i--) { /* Fisher-Yates shuffle */
        const int64_t j = u3d_rng_below(&rng, i + 1);
        const int kept = dealt[i];
        dealt[i] = dealt[j];
        dealt[j] = kept;
    }
    for (int i = 0, next = 0; i < n_cases; i++)
        if (of[i] >= 0) of[i] = dealt[next++];
    u3d_free(dealt);
    return U3D_OK;
}

static u3d_status split_make(const crossval *c, uint64_t seed)
{
    int *of = NULL;
    cJSON *plan = NULL;
    u3d_dataset *data;
    U3D_TRY(u3d_dataset_open(c->a->data, 0, true, &data));
    u3d_status status;
    if (c->plan) U3D_GO(u3d_json_read(c->plan, &plan));
    of = u3d_new((size_t)data->n_cases, sizeof *of);
    if (!of) U3D_GO(U3D_E_NOMEM);
    const int usable = folds_usable(plan, data, of);
    if (c->n > usable)
        U3D_GO(u3d_fail(U3D_E_ARG, "cannot make %d folds of the %d %scases of '%s'", c->n, usable,
                        usable < data->n_cases ? "labelled " : "", data->path));
    U3D_GO(folds_deal(data->n_cases, usable, c->n, seed, of));
    status = u3d_split_write(c->split, data, c->n, of);
done:
    u3d_free(of);
    cJSON_Delete(plan);
    u3d_dataset_free(data);
    return status;
}

/* Sets the file with the plan, which is made before the first fold is trained. */
u3d_status crossval_plan(crossval *c, bool begun)
{
    char *path = u3d_path_join(c->a->out, "plan.json");
    if (!path) return U3D_E_NOMEM;
    u3d_status status = U3D_OK;
    if (!u3d_path_exists(path) && !begun) {
        args a = *c->a;
        a.plan_file = path;
        U3D_INFO("crossval", "planning for all folds");
        status = crossval_task("planning", train_plan, &a);
    }
    if (status == U3D_OK && u3d_path_exists(path)) {
        c->plan = path;
        return U3D_OK;
    }
    u3d_free(path);
    return status;
}

/* Sets the file that lists the folds: the one of --split, or splits_final.json, which is written if it is
 * missing. */
u3d_status crossval_split(crossval *c)
{
    const args *a = c->a;
    int64_t seed = 1;
    if (!a->data) return U3D_OK;
    if (a->split) {
        c->split = u3d_strdup(a->split);
        return c->split ? U3D_OK : U3D_E_NOMEM;
    }
    if (a->seed) U3D_TRY(args_int("--seed", a->seed, 0, INT64_MAX, &seed));
    c->split = u3d_path_join(a->out, "splits_final.json");
    if (!c->split) return U3D_E_NOMEM;
    return u3d_path_exists(c->split) ? U3D_OK : split_make(c, (uint64_t)seed);
}
