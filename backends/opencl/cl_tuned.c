/* Keeps CLBlast's tuned parameters in a file per device and driver, and passes them to CLBlast. */
#include "backends/opencl/cl_tuned.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "backends/opencl/cl_program.h"
#include "engine/base/log.h"

enum { PATH_CAP = 1024, LINE_CAP = 1024, VALUE_MAX = 1 << 20 };

static const struct {
    const char *name, *params[CL_PARAMS_MAX + 1];
} kernels[CL_TUNABLES] = {
    [CL_XGEMM] = {"Xgemm",
                  {"GEMMK", "KREG", "KWG", "KWI", "MDIMA", "MDIMC", "MWG", "NDIMB", "NDIMC", "NWG", "SA",
                   "SB", "STRM", "STRN", "VWM", "VWN"}},
    [CL_XGEMM_DIRECT] = {"XgemmDirect",
                         {"KWID", "MDIMAD", "MDIMCD", "NDIMBD", "NDIMCD", "PADA", "PADB", "VWMD", "VWND",
                          "WGD"}},
    [CL_GEMM_ROUTINE] = {"GemmRoutine", {"XGEMM_MIN_INDIRECT_SIZE"}},
};

const char *cl_tunable_name(cl_tunable t)
{
    return kernels[t].name;
}

const char *const *cl_tunable_params(cl_tunable t)
{
    return kernels[t].params;
}

static size_t params_count(cl_tunable t)
{
    size_t n = 0;
    while (kernels[t].params[n]) n++;
    return n;
}

CLBlastStatusCode cl_tuned_set(const cl_device *dev, cl_tunable t, const cl_params *p)
{
    const char *names[CL_PARAMS_MAX];
    const size_t n = params_count(t);
    for (size_t i = 0; i < n; i++) names[i] = kernels[t].params[i];
    return clblast.OverrideParameters(dev->id, kernels[t].name, CLBlastPrecisionSingle, n, names, p->value);
}

const char *cl_params_text(cl_tunable t, const cl_params *p, char *buf, size_t cap)
{
    size_t used = (size_t)snprintf(buf, cap, "%s", kernels[t].name);
    for (size_t i = 0; kernels[t].params[i] && used < cap; i++)
        used += (size_t)snprintf(buf + used, cap - used, " %s=%zu", kernels[t].params[i], p->value[i]);
    return buf;
}

/* ---- the file ---- */

/* The file name contains a hash of the platform, the device and the driver version, because another driver
 * compiles different code. */
static bool tuned_path(const cl_device *dev, bool make, char *buf, size_t cap)
{
    char dir[PATH_CAP], key[512];
    if (!cl_cache_dir(dir, sizeof dir, make)) return false;
    int len = snprintf(key, sizeof key, "%s|%s|%s", dev->platform_name, dev->name, dev->driver);
    len =
        snprintf(buf, cap, "%s/clblast-%016llx.txt", dir, (unsigned long long)XXH3_64bits(key, (size_t)len));
    return len > 0 && (size_t)len < cap;
}

static bool kernel_named(const char *name, cl_tunable *t)
{
    for (int i = 0; i < CL_TUNABLES; i++)
        if (strcmp(kernels[i].name, name) == 0) {
            *t = (cl_tunable)i;
            return true;
        }
    return false;
}

/* Reads a line, which must name a kernel and all of its parameters in their order. Empty lines and lines that
 * begin with '#' are skipped. */
static bool read_line(char *line, cl_tuned *tuned)
{
    cl_tunable t;
    char *rest, *word = strtok_r(line, " \n", &rest);
    if (!word || word[0] == '#') return true;
    if (!kernel_named(word, &t)) return false;
    for (size_t i = 0; i < params_count(t); i++) {
        const char *name = kernels[t].params[i];
        const size_t len = strlen(name);
        char *end;
        word = strtok_r(NULL, " \n", &rest);
        if (!word || strncmp(word, name, len) != 0 || word[len] != '=') return false;
        errno = 0;
        const unsigned long value = strtoul(word + len + 1, &end, 10);
        if (end == word + len + 1 || *end || errno || value > VALUE_MAX) return false;
        tuned->params[t].value[i] = value;
    }
    tuned->has[t] = strtok_r(NULL, " \n", &rest) == NULL;
    return tuned->has[t];
}

static bool read_file(FILE *f, cl_tuned *tuned)
{
    char line[LINE_CAP];
    while (fgets(line, sizeof line, f))
        if (!read_line(line, tuned)) return false;
    return true;
}

cl_tuned cl_tuned_load(const cl_device *dev)
{
    char path[PATH_CAP];
    cl_tuned tuned = {.has = {false}};
    FILE *f = tuned_path(dev, false, path, sizeof path) ? fopen(path, "r") : NULL;
    if (!f) return tuned;
    const bool ok = read_file(f, &tuned);
    fclose(f);
    if (ok) return tuned;
    U3D_WARN("opencl", "%s is damaged and is ignored; `u3d tune` writes a new one", path);
    return (cl_tuned){.has = {false}};
}

void cl_tuned_apply(const cl_device *dev)
{
    if (clblast_missing()) return;
    const cl_tuned tuned = cl_tuned_load(dev);
    for (int t = 0; t < CL_TUNABLES; t++) {
        if (!tuned.has[t]) continue;
        const CLBlastStatusCode code = cl_tuned_set(dev, (cl_tunable)t, &tuned.params[t]);
        if (code == CLBlastSuccess)
            U3D_DEBUG("opencl", "CLBlast's %s uses the parameters tuned for %s", kernels[t].name, dev->name);
        else
            U3D_WARN("opencl", "CLBlast rejects the parameters of %s that were tuned for %s (status %d)",
                     kernels[t].name, dev->name, (int)code);
    }
}

u3d_status cl_tuned_keep(const cl_device *dev, const cl_tuned *tuned, char *path, size_t cap)
{
    char temporary[PATH_CAP + 16], line[LINE_CAP];
    if (!tuned_path(dev, true, path, cap))
        return u3d_fail(U3D_E_OUTPUT, "tune: there is no folder to keep the parameters in; set U3D_CL_CACHE");
    (void)snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(temporary, "w");
    if (!f) return u3d_fail(U3D_E_OUTPUT, "tune: write %s: %s", temporary, strerror(errno));
    bool ok = fprintf(f, "# Parameters of CLBlast for %s, driver %s, measured by `u3d tune`\n", dev->name,
                      dev->driver) > 0;
    for (int t = 0; t < CL_TUNABLES; t++)
        if (tuned->has[t])
            ok =
                fprintf(f, "%s\n", cl_params_text((cl_tunable)t, &tuned->params[t], line, sizeof line)) > 0 &&
                ok;
    ok = fclose(f) == 0 && ok;
    if (ok && rename(temporary, path) == 0) return U3D_OK;
    const int why = errno;
    (void)unlink(temporary);
    return u3d_fail(U3D_E_OUTPUT, "tune: write %s: %s", path, strerror(why));
}
