/* Platforms and devices: reads what a device can do, decides whether that is enough for u3d, and finds a
 * device by number or name. */
#include "backends/opencl/cl_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"

enum {
    MAX_PLATFORMS = 16,
    LEAST_ALIGN = 128,      /* bytes: a cache line, float4 loads */
    LEAST_LOCAL = 32 << 10, /* bytes that kernels may use        */
    LEAST_GROUP = 256,
    LIST_CAP = 1024
};

/* ---- one device ---- */

static void read_text(cl_device_id id, cl_device_info what, char *buf, size_t cap)
{
    char text[1024] = "";
    if (cl.GetDeviceInfo(id, what, sizeof text, text, NULL) != CL_SUCCESS) text[0] = '\0';
    text[sizeof text - 1] = '\0';
    const char *begin = text + strspn(text, " ");
    (void)snprintf(buf, cap, "%s", begin);
}

static uint64_t read_number(cl_device_id id, cl_device_info what)
{
    cl_ulong value = 0; /* an answer of 4 bytes leaves the upper bytes zero: u3d's hosts are little-endian */
    return cl.GetDeviceInfo(id, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

/* Whether a version such as "OpenCL 3.0 CUDA" is at least 1.2. */
static bool is_recent(const char *version)
{
    int major = 0, minor = 0;
    return sscanf(version, "OpenCL %d.%d", &major, &minor) == 2 && (major > 1 || (major == 1 && minor >= 2));
}

/* Values for train_flops in u3d_caps. That of a GPU is a guess, because no GPU has been measured yet; that of
 * one compute unit of a CPU is the speed at which PoCL trains. */
static const double GPU_TRAIN_FLOPS = 8e12, CPU_UNIT_TRAIN_FLOPS = 5e9;

static const char *why_unusable(const cl_device *d)
{
    if (!read_number(d->id, CL_DEVICE_AVAILABLE)) return "it is not available";
    if (!read_number(d->id, CL_DEVICE_COMPILER_AVAILABLE)) return "its driver has no compiler";
    if (!read_number(d->id, CL_DEVICE_ENDIAN_LITTLE)) return "it is big-endian";
    if (!is_recent(d->version)) return "it is older than OpenCL 1.2";
    if (d->local_bytes < LEAST_LOCAL) return "it has less than 32 KB of local memory";
    if (d->max_group < LEAST_GROUP) return "its work-groups hold fewer than 256 work-items";
    return NULL;
}

static void describe(cl_platform_id platform, cl_device_id id, cl_device *d)
{
    *d = (cl_device){.platform = platform, .id = id};
    if (cl.GetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof d->platform_name - 1, d->platform_name, NULL) !=
        CL_SUCCESS)
        (void)snprintf(d->platform_name, sizeof d->platform_name, "OpenCL");
    read_text(id, CL_DEVICE_NAME, d->name, sizeof d->name);
    read_text(id, CL_DEVICE_VENDOR, d->vendor, sizeof d->vendor);
    read_text(id, CL_DRIVER_VERSION, d->driver, sizeof d->driver);
    read_text(id, CL_DEVICE_VERSION, d->version, sizeof d->version);
    d->mem_bytes = read_number(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    d->max_alloc_bytes = read_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    d->local_bytes = read_number(id, CL_DEVICE_LOCAL_MEM_SIZE);
    d->max_group = read_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    d->compute_units = (uint32_t)read_number(id, CL_DEVICE_MAX_COMPUTE_UNITS);
    d->align = (uint32_t)read_number(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
    if (d->align < LEAST_ALIGN) d->align = LEAST_ALIGN;
    d->gpu = (read_number(id, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_GPU) != 0;
    d->nvidia = strstr(d->vendor, "NVIDIA") != NULL;
    d->unusable = why_unusable(d);
}

void cl_device_caps(const cl_device *dev, u3d_caps *out)
{
    *out = (u3d_caps){
        .mem_bytes = dev->mem_bytes,
        .max_alloc_bytes = dev->max_alloc_bytes,
        .local_bytes = dev->local_bytes,
        .align = dev->align,
        .compute_units = (int32_t)dev->compute_units,
        .train_flops = dev->gpu ? GPU_TRAIN_FLOPS : CPU_UNIT_TRAIN_FLOPS * dev->compute_units,
        .deterministic = true,
        .gpu = dev->gpu,
        .usable = dev->unusable == NULL,
    };
    const char *missing = clblast_missing();
    (void)snprintf(out->device, sizeof out->device, "%s", dev->name);
    (void)snprintf(out->platform, sizeof out->platform, "%s", dev->platform_name);
    (void)snprintf(out->driver, sizeof out->driver, "%.60s, driver %.50s", dev->version, dev->driver);
    if (dev->unusable)
        (void)snprintf(out->note, sizeof out->note, "not usable: %s", dev->unusable);
    else if (missing)
        (void)snprintf(out->note, sizeof out->note, "u3d's own kernels for all ops; %s", missing);
    else
        (void)snprintf(out->note, sizeof out->note, "u3d's own kernels, and CLBlast for matrix products");
}

/* ---- listing devices ---- */

static u3d_status no_platform(cl_int code)
{
    return u3d_fail(U3D_E_DEVICE,
                    "no driver is registered with the OpenCL loader (%d); install the driver of your GPU "
                    "(Debian and Ubuntu: nvidia-opencl-icd, intel-opencl-icd, mesa-opencl-icd), "
                    "or write the name of its library into /etc/OpenCL/vendors/NAME.icd",
                    (int)code);
}

static int append(cl_platform_id platform, bool gpu, cl_device *out, int cap, int n)
{
    cl_device_id ids[CL_MAX_DEVICES];
    cl_uint found = 0;
    if (cl.GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, CL_MAX_DEVICES, ids, &found) != CL_SUCCESS) return n;
    for (cl_uint i = 0; i < found && i < CL_MAX_DEVICES && n < cap; i++) {
        describe(platform, ids[i], &out[n]);
        if (out[n].gpu == gpu) n++;
    }
    return n;
}

u3d_status cl_devices(cl_device *out, int cap, int *n)
{
    *n = 0;
    U3D_TRY(cl_api_open());
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint n_platforms = 0;
    cl_int code = cl.GetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms);
    if (code != CL_SUCCESS || n_platforms == 0) return no_platform(code);
    if (n_platforms > MAX_PLATFORMS) n_platforms = MAX_PLATFORMS;
    for (int pass = 0; pass < 2; pass++) /* GPUs, then the rest */
        for (cl_uint p = 0; p < n_platforms; p++) *n = append(platforms[p], pass == 0, out, cap, *n);
    if (*n > 0) return U3D_OK;
    return u3d_fail(
        U3D_E_DEVICE,
        "the OpenCL drivers have no device (%u platforms); is the GPU visible here (nvidia-smi, clinfo)? "
        "It must be passed into a container",
        (unsigned)n_platforms);
}

/* ---- picking one ---- */

static u3d_status no_such_device(const char *wanted, const cl_device *all, int n)
{
    char list[LIST_CAP] = "";
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof list; i++)
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%d '%s'%s%s", i ? ", " : "", i, all[i].name,
                             all[i].unusable ? " not usable: " : "", all[i].unusable ? all[i].unusable : "");
    if (wanted) return u3d_fail(U3D_E_DEVICE, "no usable device matches '%s'; there are: %s", wanted, list);
    return u3d_fail(U3D_E_DEVICE, "no usable device; there are: %s", list);
}

static bool is_meant(const char *wanted, int i, const cl_device *d)
{
    if (!wanted) return true;
    if (wanted[strspn(wanted, "0123456789")] == '\0') return strtol(wanted, NULL, 10) == i;
    return strcasestr(d->name, wanted) || strcasestr(d->platform_name, wanted);
}

u3d_status cl_device_pick(const char *wanted, cl_device *out)
{
    cl_device all[CL_MAX_DEVICES];
    int n;
    if (!wanted) wanted = u3d_env_get(U3D_ENV_CL_DEVICE);
    U3D_TRY(cl_devices(all, CL_MAX_DEVICES, &n));
    for (int i = 0; i < n; i++)
        if (!all[i].unusable && is_meant(wanted, i, &all[i])) {
            *out = all[i];
            return U3D_OK;
        }
    return no_such_device(wanted, all, n);
}
