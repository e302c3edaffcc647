/* From options to the settings of a network that is not trained. */
#include "tools/cli/net_args.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "net/model/autoplan.h"
#include "net/cases/cases.h"
#include "net/train/train.h"
#include "tools/cli/args_data.h"

/* The paper's data have three fluorescence channels, and the labels inside tubule, tubule and background. */
enum { PAPER_CHANNELS = 3, PAPER_LABELS = 3 };

static u3d_status autoplan(const args *a, const u3d_cases *cases, u3d_backend *b, u3d_config *c)
{
    char *why = NULL;
    uint64_t memory;
    double seconds = 0;
    U3D_TRY(args_memory(a, &memory));
    if (a->time) U3D_TRY(args_seconds("--time", a->time, &seconds));
    const uint64_t cap = memory ? memory : u3d_mem_machine() / 10 * 9;
    const uint64_t volumes = u3d_cases_resident_bytes(cases);
    U3D_TRY(u3d_autoplan(c, u3d_cases_facts(cases), u3d_cases_labels(cases)->n, (const char *const *)a->set,
                         args_set_count(a), cap > volumes ? cap - volumes : 1, seconds, 0, b, &why));
    for (char *line = strtok(why, "\n"); line; line = strtok(NULL, "\n")) U3D_INFO("autoplan", "%s", line);
    u3d_free(why);
    return U3D_OK;
}

u3d_status net_args_cases_opts(const args *a, const u3d_config *c, u3d_cases_opts *o)
{
    *o = (u3d_cases_opts){.dense = a->dense, .resample_labels = a->resample_labels};
    U3D_TRY(args_unlabeled(a, &o->unlabeled_given, &o->unlabeled));
    U3D_TRY(args_background(a, &o->background_given, &o->background));
    U3D_TRY(args_memory(a, &o->memory_limit));
    if (o->memory_limit == 0) o->memory_limit = u3d_mem_machine() / 10 * 9;
    o->memory_cap = o->memory_limit / 2;
    u3d_resampling_of(c, &o->resampling);
    o->across = u3d_config_across(c);
    o->plane = o->across >= 0;
    o->slices_only = u3d_config_slices_only(c);
    return U3D_OK;
}

/* Gives the same as training on these data would, except that training also sets cases aside, and measures the
 * speed of this machine where this uses an estimate. */
u3d_status net_args_from_cases(const args *a, const u3d_cases *cases, const char *net, u3d_backend *b,
                               u3d_config *c)
{
    const u3d_resampling *r = u3d_cases_resampling(cases);
    if (r->on) u3d_spacing_text(r->spacing, c->spacing, sizeof c->spacing);
    if (!c->labels) c->labels = u3d_cases_labels(cases)->n;
    if (!c->channels) c->channels = u3d_cases_facts(cases)->channels;
    u3d_config_settle_pseudo(c, u3d_cases_facts(cases)->sparse, u3d_cases_labels(cases)->background);
    return strcmp(net, "auto") == 0 ? autoplan(a, cases, b, c) : U3D_OK;
}

static u3d_status config_from_data(const args *a, const char *command_name, const char *net, u3d_backend *b,
                                   u3d_config *c)
{
    u3d_status status = U3D_OK;
    args_cases found = {0};
    u3d_cases *cases = NULL;
    u3d_cases_opts o;
    U3D_GO(args_cases_open(a, command_name, 0, true, &found));
    U3D_GO(net_args_cases_opts(a, c, &o));
    U3D_GO(u3d_cases_open(found.data, found.train, found.n_train, c->intensity, &o, &cases));
    U3D_GO(net_args_from_cases(a, cases, net, b, c));
done:
    u3d_cases_free(cases);
    args_cases_close(&found);
    return status;
}

u3d_status net_args_config(const args *a, const char *command_name, const char *net, u3d_backend *b,
                           u3d_config *c)
{
    const bool is_auto = strcmp(net, "auto") == 0;
    U3D_TRY(u3d_config_preset(c, net));
    for (int i = 0; i < args_set_count(a); i++) U3D_TRY(u3d_config_set(c, a->set[i]));
    if (a->data || a->image)
        U3D_TRY(config_from_data(a, command_name, net, b, c));
    else if (is_auto)
        return u3d_fail(U3D_E_ARG, "u3d %s: --net auto is planned from data; give --data DIR", command_name);
    if (!c->labels) c->labels = PAPER_LABELS;
    if (!c->channels) c->channels = PAPER_CHANNELS;
    return U3D_OK;
}

u3d_status net_args_size(const args *a, u3d_config *c)
{
    if (a->input) U3D_TRY(u3d_parse_size(a->input, "--input", c->patch));
    if (a->batch) U3D_TRY(args_int("--batch", a->batch, 1, 4096, &c->batch));
    return u3d_config_check(c);
}
