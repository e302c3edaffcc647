/* u3d devices: lists the devices on which u3d can compute; with --ops, the implementations of each op on a
 * device; with --env, the environment variables that u3d reads. */
#include <stdio.h>

#include "backends/backends.h"
#include "engine/base/env.h"
#include "io/json.h"
#include "tools/cli/args.h"
#include "tools/commands/commands.h"

static void print_environment(void)
{
    for (u3d_env e = 0; e < U3D_ENV_COUNT; e++) {
        const u3d_env_row *row = u3d_env_describe(e);
        const char *value = u3d_env_get(e);
        printf("%-16s %-10s %s\n", row->name, value ? value : "-", row->help);
    }
}

static u3d_status print_ops(const args *a)
{
    u3d_backend *b;
    u3d_caps caps;
    U3D_TRY(args_open_backend(a, &b));
    u3d_backend_caps(b, &caps);
    printf("%s: %s\n", b->vt->name, caps.device);
    for (int op = 0; op < U3D_OP_COUNT; op++) {
        const char *impl = NULL;
        printf("  %-18s", u3d_op_info_get((u3d_op)op)->name);
        for (int i = 0; (impl = u3d_backend_impl(b, (u3d_op)op, i)) != NULL; i++) printf(" %s", impl);
        printf("%s\n", u3d_backend_impl(b, (u3d_op)op, 0) ? "" : " -");
    }
    u3d_backend_close(b);
    return U3D_OK;
}

static bool device_json(cJSON *list, const u3d_backend_vt *vt, int i, const u3d_caps *c)
{
    cJSON *d = cJSON_CreateObject();
    return d && cJSON_AddItemToArray(list, d) && cJSON_AddStringToObject(d, "backend", vt->name) &&
           cJSON_AddNumberToObject(d, "number", i) && cJSON_AddStringToObject(d, "device", c->device) &&
           cJSON_AddStringToObject(d, "driver", c->driver) &&
           cJSON_AddStringToObject(d, "platform", c->platform) &&
           cJSON_AddNumberToObject(d, "memory_bytes", (double)c->mem_bytes) &&
           cJSON_AddNumberToObject(d, "largest_allocation_bytes", (double)c->max_alloc_bytes) &&
           cJSON_AddNumberToObject(d, "local_memory_bytes", (double)c->local_bytes) &&
           cJSON_AddNumberToObject(d, "compute_units", c->compute_units) &&
           cJSON_AddBoolToObject(d, "gpu", c->gpu) && cJSON_AddBoolToObject(d, "usable", c->usable) &&
           cJSON_AddStringToObject(d, "note", c->note);
}

static void print_device(const u3d_backend_vt *vt, int i, const u3d_caps *c)
{
    printf("%-8s %d  %s, %d compute units, %.1f GB", vt->name, i, c->device, c->compute_units,
           (double)c->mem_bytes / 1e9);
    if (c->local_bytes)
        printf(" (largest buffer %.1f GB, local memory %.0f KB)", (double)c->max_alloc_bytes / 1e9,
               (double)c->local_bytes / 1024);
    printf(", %s\n", c->driver);
    if (c->platform[0])
        printf("%-11s%s, %s\n", "", c->platform, c->gpu ? "GPU" : "not a GPU: used only if you select it");
    if (c->note[0]) printf("%-11s%s\n", "", c->note);
}

u3d_status cmd_devices(const args *a)
{
    if (a->env) {
        print_environment();
        return U3D_OK;
    }
    if (a->ops) return print_ops(a);
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "devices");
    bool ok = list != NULL;
    const u3d_backend_vt *vt;
    for (int i = 0; ok && (vt = u3d_backend_at(i)) != NULL; i++) {
        u3d_caps caps[U3D_MAX_DEVICES];
        int n = 0;
        if (u3d_backend_list(vt, caps, U3D_MAX_DEVICES, &n) != U3D_OK) {
            if (!a->json) printf("%-8s %s\n", vt->name, u3d_error_text());
            continue;
        }
        for (int d = 0; ok && d < n; d++) {
            ok = device_json(list, vt, d, &caps[d]);
            if (!a->json) print_device(vt, d, &caps[d]);
        }
    }
    u3d_status status = U3D_OK;
    if (!ok)
        status = u3d_fail(U3D_E_NOMEM, "out of memory while listing the devices");
    else if (a->json)
        status = u3d_json_print(stdout, json);
    cJSON_Delete(json);
    return status;
}
