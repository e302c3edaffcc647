/* The table of backends, and the choice that "auto" makes.
 *
 * The table has one row per backend that is compiled in; nothing registers itself. A backend that exists in
 * this project but not in this build gets a message of its own, so that nobody looks for a typing error. */
#include "backends/backends.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/child.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

extern const u3d_backend_vt u3d_backend_cpu;
#if U3D_HAVE_OPENCL
extern const u3d_backend_vt u3d_backend_opencl;
#endif

static const u3d_backend_vt *const table[] = {
    &u3d_backend_cpu,
#if U3D_HAVE_OPENCL
    &u3d_backend_opencl,
#endif
};

const u3d_backend_vt *u3d_backend_at(int i)
{
    return i >= 0 && (size_t)i < sizeof table / sizeof table[0] ? table[i] : NULL;
}

static const u3d_backend_vt *find_backend(const char *name)
{
    const u3d_backend_vt *vt;
    for (int i = 0; (vt = u3d_backend_at(i)) != NULL; i++)
        if (strcmp(vt->name, name) == 0) return vt;
    return NULL;
}

static u3d_status unknown_backend(const char *name)
{
    char known[256] = "auto";
    const u3d_backend_vt *vt;
    for (int i = 0; (vt = u3d_backend_at(i)) != NULL; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, ", %s", vt->name);
    }
    if (strcmp(name, "opencl") == 0)
        return u3d_fail(U3D_E_DEVICE,
                        "open backend 'opencl': this build has no OpenCL backend; use one of %s", known);
    return u3d_fail(U3D_E_ARG, "open backend '%s': unknown name; the known names are %s", name, known);
}

/* The result of a search for devices, as the child process sends it back. */
typedef struct found {
    u3d_status status;
    char text[400];
    int n;
    u3d_caps caps[U3D_MAX_DEVICES];
} found;

typedef struct question {
    const u3d_backend_vt *vt;
    found *answer;
} question;

static void search(void *context)
{
    const question *q = context;
    found *f = q->answer;
    f->status = q->vt->list(f->caps, U3D_MAX_DEVICES, &f->n);
    if (f->status != U3D_OK) (void)snprintf(f->text, sizeof f->text, "%s", u3d_error_text());
}

static u3d_status search_elsewhere(const u3d_backend_vt *vt, found *f)
{
    int signal_number;
    question q = {vt, f};
    if (u3d_child_run(search, &q, f, sizeof *f, &signal_number))
        return f->status == U3D_OK ? U3D_OK : u3d_fail(f->status, "%s", f->text);
    return u3d_fail(U3D_E_DEVICE,
                    "a driver of %s crashed when asked for its devices (signal %d); remove or repair it",
                    vt->name, signal_number);
}

u3d_status u3d_backend_list(const u3d_backend_vt *vt, u3d_caps *out, int cap, int *n)
{
    *n = 0;
    found *f = u3d_new(1, sizeof *f);
    if (!f) return U3D_E_NOMEM;
    u3d_status status = search_elsewhere(vt, f);
    if (status == U3D_OK) *n = f->n < cap ? f->n : cap;
    memcpy(out, f->caps, (size_t)*n * sizeof *out);
    u3d_free(f);
    return status;
}

/* Whether the backend has a usable GPU. If not, `reason` gets a short explanation for the log. */
static bool has_gpu(const u3d_backend_vt *vt, char *reason, size_t cap)
{
    u3d_caps caps[U3D_MAX_DEVICES];
    int n = 0;
    if (u3d_backend_list(vt, caps, U3D_MAX_DEVICES, &n) != U3D_OK) {
        const char *text = u3d_error_text(); /* the advice after the semicolon is left out */
        (void)snprintf(reason, cap, "%.*s", (int)strcspn(text, ";"), text);
        return false;
    }
    (void)snprintf(reason, cap, "%s has no device of type GPU", vt->name);
    for (int i = 0; i < n; i++) {
        if (caps[i].gpu && caps[i].usable) return true;
        if (caps[i].gpu) (void)snprintf(reason, cap, "%.127s: %.127s", caps[i].device, caps[i].note);
    }
    return false;
}

/* Opens a usable GPU if there is one and our own CPU backend otherwise, because a CPU behind another
 * interface (PoCL) is only for tests. o->device is passed to each backend that is tried. Without a usable GPU
 * OpenCL is not tried at all, so that o->device cannot select one of its other devices; --backend=opencl
 * can. */
static u3d_status open_auto(const u3d_backend_opts *o, u3d_backend **out)
{
    char reason[512] = "this build has no GPU backend";
    u3d_caps caps;
    const u3d_backend_vt *vt;
    for (int i = 1; (vt = u3d_backend_at(i)) != NULL; i++) {
        if (!has_gpu(vt, reason, sizeof reason)) continue;
        if (vt->open(o, out) == U3D_OK) {
            u3d_backend_caps(*out, &caps);
            U3D_INFO("backend", "auto: %s (%s, %s); --backend=cpu computes on the CPU instead", vt->name,
                     caps.device, caps.driver);
            return U3D_OK;
        }
        (void)snprintf(reason, sizeof reason, "%s", u3d_error_text());
    }
    U3D_TRY(u3d_backend_cpu.open(o, out));
    u3d_backend_caps(*out, &caps);
    U3D_INFO("backend", "auto: cpu (%s, %d threads); no GPU: %s", caps.device, caps.compute_units, reason);
    return U3D_OK;
}

u3d_status u3d_backend_open(const char *name, const u3d_backend_opts *o, u3d_backend **out)
{
    *out = NULL;
    if (strcmp(name, "auto") == 0) return open_auto(o, out);
    const u3d_backend_vt *vt = find_backend(name);
    return vt ? vt->open(o, out) : unknown_backend(name);
}
