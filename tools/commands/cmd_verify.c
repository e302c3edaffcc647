/* u3d verify: checks whether a device computes correctly. Every op, a training step and a prediction are
 * compared with the oracle in double precision and with the CPU backend. The exit code is 1 if anything
 * disagrees. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "backends/backends.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "io/json.h"
#include "tools/cli/net_args.h"
#include "tools/commands/commands.h"
#include "tools/verify/verify.h"

/* ---- rows ---- */

void verify_count(verify_row *r, const char *where, double excess, double error, double limit)
{
    const bool first = r->cases++ == 0;
    if (!first && excess <= r->excess) return;
    r->excess = excess;
    r->error = error;
    r->limit = limit;
    snprintf(r->where, sizeof r->where, "%s", where);
}

void verify_wrong(verify_row *r, const char *fmt, ...)
{
    if (r->n_wrong++ > 0) return;
    va_list list;
    va_start(list, fmt);
    vsnprintf(r->text, sizeof r->text, fmt, list);
    va_end(list);
}

static bool row_json(cJSON *json, const verify_row *r)
{
    cJSON *list = u3d_json_member(json, r->list);
    if (!list) list = cJSON_AddArrayToObject(json, r->list);
    cJSON *o = cJSON_CreateObject();
    bool ok = list && o && cJSON_AddItemToArray(list, o) && cJSON_AddStringToObject(o, "name", r->name) &&
              cJSON_AddStringToObject(o, "part", r->part) && cJSON_AddNumberToObject(o, "cases", r->cases) &&
              cJSON_AddItemToObject(o, "worst_error", u3d_json_number(r->error)) &&
              cJSON_AddItemToObject(o, "tolerance", u3d_json_number(r->limit)) &&
              cJSON_AddStringToObject(o, "worst_at", r->where) &&
              cJSON_AddNumberToObject(o, "wrong", r->n_wrong) &&
              cJSON_AddBoolToObject(o, "ok", r->n_wrong == 0);
    if (ok && r->n_wrong) ok = cJSON_AddStringToObject(o, "failure", r->text) != NULL;
    return ok;
}

static void row_print(verify *v, const verify_row *r)
{
    if (v->n_rows == 0)
        printf("%-20s %-18s %6s %11s %9s  %-26s %s\n", "op or network", "implementation", "cases",
               "worst error", "allowed", "at", "");
    const char *result = r->n_wrong ? "FAILED" : "ok";
    if (r->cases > 0)
        printf("%-20s %-18s %6d %11.1e %9.1e  %-26s %s\n", r->name, r->part, r->cases, r->error, r->limit,
               r->where, result);
    else
        printf("%-20s %-18s %6d %11s %9s  %-26s %s\n", r->name, r->part, 0, "-", "-", "-", result);
    if (r->n_wrong) printf("    %s%s\n", r->text, r->n_wrong > 1 ? "; there are more" : "");
    fflush(stdout);
}

u3d_status verify_report(verify *v, const verify_row *r)
{
    if (v->json && !row_json(v->json, r))
        return u3d_fail(U3D_E_NOMEM, "verify: out of memory for the report");
    if (!v->json) row_print(v, r);
    v->n_rows++;
    if (r->n_wrong && v->n_failed++ == 0) snprintf(v->first, sizeof v->first, "%s %s", r->name, r->part);
    return U3D_OK;
}

u3d_status verify_stopped(const verify *v)
{
    return v->a->stop && *v->a->stop ? u3d_fail(U3D_E_CANCELLED, "verify: interrupted") : U3D_OK;
}

/* ---- networks ---- */

/* Networks that are small enough for the oracle. Together they cover what graphs are made of: both paddings,
 * the norms, activations and losses, deep supervision, the optimizers, fused and plain nodes, numbers of
 * channels below and above 4 and 8, and lengths that differ per axis. */
static const struct {
    const char *name, *preset, *set[20];
} nets[] = {
    {"paper-bn",
     "paper-bn",
     {"levels=3", "base=4", "channels=3", "labels=3", "norm_statistics=running", "patch=52x48x44",
      "nesterov=true", "weight_decay=0.001", "average=0.99", NULL}},
    {"instance-leaky-deep",
     "auto",
     {"levels=4", "base=6", "channels=1", "labels=4", "batch=2", "patch=24x16x8", "optimizer=adam",
      "momentum=0.9", "clip_norm=0.1", "deep_supervision=on", NULL}},
    {"flat-plain",
     "paper2d",
     {"levels=3", "base=5", "channels=2", "labels=2", "batch=2", "padding=same", "patch=28x32x3", "fuse=off",
      "loss=ce+dice", "precision=strict", NULL}},
    /* Only with --full, because the oracle takes several times as long as for the others together: as many
     * channels as the deep levels of the paper's network have, where the implementations change their path. */
    {"wide",
     "paper-bn",
     {"levels=3", "base=32", "channels=1", "labels=3", "padding=same", "patch=12x12x12", NULL}},
};
enum { N_NETS = sizeof nets / sizeof *nets, N_QUICK_NETS = N_NETS - 1 };

/* The network that --net names, with the size of --input. Without --input it is the smallest legal size that
 * leaves four voxels per axis at the coarsest level. */
static u3d_status config_named(const args *a, u3d_backend *b, u3d_config *c)
{
    U3D_TRY(net_args_config(a, "verify", a->net, b, c));
    if (!a->input) {
        int64_t want[3] = {4, 4, 4};
        for (int axis = 0; axis < 3; axis++)
            for (int64_t level = 0; level < c->levels - 1; level++) want[axis] *= c->pool[level][axis];
        u3d_unet3d_legal_size(c, want, c->patch);
    }
    return net_args_size(a, c);
}

static u3d_status one_net(verify *v, const char *name, const u3d_config *c)
{
    u3d_status status = verify_net(v, name, c);
    if (status == U3D_OK) status = verify_predict(v, name, c);
    if (status != U3D_E_UNSUPPORTED) return status;
    /* The backend does not implement an op of this network. */
    verify_row row = {.list = "nets", .name = name, .part = "-"};
    verify_wrong(&row, "%s", u3d_error_text());
    return verify_report(v, &row);
}

static u3d_status verify_nets(verify *v)
{
    u3d_config c;
    if (v->a->net) {
        U3D_TRY(config_named(v->a, v->backend, &c));
        return one_net(v, v->a->net, &c);
    }
    for (int i = 0; i < (v->a->full ? N_NETS : N_QUICK_NETS); i++) {
        U3D_TRY(u3d_config_preset(&c, nets[i].preset));
        for (int k = 0; nets[i].set[k]; k++) U3D_TRY(u3d_config_set(&c, nets[i].set[k]));
        U3D_TRY(u3d_config_check(&c));
        U3D_TRY(one_net(v, nets[i].name, &c));
    }
    return U3D_OK;
}

/* ---- the command ---- */

static u3d_status begin(verify *v)
{
    int64_t seed = U3D_TEST_SEED;
    u3d_caps caps;
    if (v->a->seed) U3D_TRY(args_int("--seed", v->a->seed, 0, INT64_MAX, &seed));
    v->seed = (uint64_t)seed;
    U3D_TRY(args_open_backend(v->a, &v->backend));
    U3D_TRY(u3d_backend_open("cpu", &(u3d_backend_opts){.threads = 1}, &v->cpu));
    u3d_backend_caps(v->backend, &caps);
    U3D_INFO("verify", "%s: %s, %s", v->backend->vt->name, caps.device, caps.driver);
    if (!v->a->json) return U3D_OK;
    v->json = cJSON_CreateObject();
    const bool ok = v->json && cJSON_AddStringToObject(v->json, "backend", v->backend->vt->name) &&
                    cJSON_AddStringToObject(v->json, "device", caps.device) &&
                    cJSON_AddStringToObject(v->json, "driver", caps.driver) &&
                    cJSON_AddBoolToObject(v->json, "full", v->a->full);
    return ok ? U3D_OK : u3d_fail(U3D_E_NOMEM, "verify: out of memory for the report");
}

static u3d_status verdict(verify *v)
{
    u3d_caps caps;
    u3d_backend_caps(v->backend, &caps);
    if (v->json) {
        if (!cJSON_AddBoolToObject(v->json, "ok", v->n_failed == 0))
            return u3d_fail(U3D_E_NOMEM, "verify: out of memory for the report");
        U3D_TRY(u3d_json_print(stdout, v->json));
    }
    if (v->n_failed)
        return u3d_fail(
            U3D_E_CHECK,
            "%s computes wrong results: %d of %d checks failed, the first is %s; use another device or driver",
            caps.device, v->n_failed, v->n_rows, v->first);
    if (!v->json) printf("all %d checks agree: %s computes correctly\n", v->n_rows, caps.device);
    return U3D_OK;
}

u3d_status cmd_verify(const args *a)
{
    u3d_status status = U3D_OK;
    verify v = {.a = a};
    U3D_GO(begin(&v));
    U3D_GO(verify_ops(&v));
    U3D_GO(verify_nets(&v));
    U3D_GO(verdict(&v));
done:
    cJSON_Delete(v.json);
    u3d_backend_close(v.cpu);
    u3d_backend_close(v.backend);
    return status;
}
