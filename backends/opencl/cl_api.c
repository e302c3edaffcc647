/* Opens the OpenCL loader and CLBlast, and turns their error codes into messages. */
#include "backends/opencl/cl_api.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/log.h"

cl_api cl;
clblast_api clblast;

enum { TEXT_CAP = 512 };

static const char *const LOADERS[] = {"libOpenCL.so.1", "libOpenCL.so"};
static const char *const CLBLASTS[] = {"libclblast.so.1", "libclblast.so"};
static const char NVIDIA_DRIVER[] = "libnvidia-opencl.so.1";

/* ---- a driver that is not registered ---- */

/* Whether a file in /etc/OpenCL/vendors names NVIDIA's driver. */
static bool nvidia_is_registered(void)
{
    glob_t files = {0};
    bool found = false;
    if (glob("/etc/OpenCL/vendors/*.icd", 0, NULL, &files) == 0)
        for (size_t i = 0; i < files.gl_pathc && !found; i++) {
            char line[256] = "";
            FILE *f = fopen(files.gl_pathv[i], "r");
            if (!f) continue;
            found = fgets(line, sizeof line, f) && strstr(line, "nvidia");
            fclose(f);
        }
    globfree(&files);
    return found;
}

/* Containers often have NVIDIA's driver but not the file that tells the loader about it. An environment
 * variable can tell each of the two common loaders, if it is set before their first call. A value set by the
 * user is kept. */
static void help_nvidia(void)
{
    if (nvidia_is_registered()) return;
    void *driver = dlopen(NVIDIA_DRIVER, RTLD_NOW | RTLD_LOCAL);
    if (!driver) return;
    dlclose(driver);
    U3D_INFO("opencl",
             "%s is installed but not registered in /etc/OpenCL/vendors; u3d uses it (OCL_ICD_VENDORS=%s)",
             NVIDIA_DRIVER, NVIDIA_DRIVER);
    setenv("OCL_ICD_VENDORS", NVIDIA_DRIVER, 0);   /* ocl-icd        */
    setenv("OCL_ICD_FILENAMES", NVIDIA_DRIVER, 0); /* Khronos loader */
}

/* ---- the loader ---- */

static void *open_first(const char *const *names, int n)
{
    void *library = NULL;
    for (int i = 0; i < n && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
    return library;
}

static void *open_loader(void)
{
    const char *chosen = u3d_env_get(U3D_ENV_CL_LIBRARY);
    return chosen ? open_first(&chosen, 1) : open_first(LOADERS, sizeof LOADERS / sizeof LOADERS[0]);
}

/* Stores the address of one function in `pointer`, which may point to any function pointer. `missing` keeps
 * the first name that was not found. */
static void find(void *library, const char *name, void *pointer, const char **missing)
{
    void *function = dlsym(library, name);
    memcpy(pointer, &function, sizeof function);
    if (!function && !*missing) *missing = name;
}

static u3d_status no_loader(const char *why)
{
    if (strstr(why, "No such file"))
        return u3d_fail(U3D_E_DEVICE,
                        "the OpenCL loader %s is not installed; "
                        "on Debian and Ubuntu: apt install ocl-icd-libopencl1, and the driver of your GPU",
                        u3d_env_get(U3D_ENV_CL_LIBRARY) ? u3d_env_get(U3D_ENV_CL_LIBRARY) : LOADERS[0]);
    return u3d_fail(U3D_E_DEVICE, "the OpenCL loader cannot be opened: %s", why);
}

u3d_status cl_api_open(void)
{
    static void *library;
    const char *missing = NULL;
    if (library) return U3D_OK;
    help_nvidia();
    void *opened = open_loader();
    if (!opened) return no_loader(dlerror());
#define CL_API_FIND(name) find(opened, "cl" #name, &cl.name, &missing);
    CL_API_LIST(CL_API_FIND)
#undef CL_API_FIND
    if (missing) {
        dlclose(opened);
        return u3d_fail(U3D_E_DEVICE,
                        "the OpenCL loader has no function %s; u3d needs a loader for OpenCL 1.2 or later",
                        missing);
    }
    library = opened;
    return U3D_OK;
}

const char *clblast_missing(void)
{
    static bool tried;
    static const char *reason;
    if (tried) return reason;
    tried = true;
    const char *missing = NULL;
    void *library = open_first(CLBLASTS, sizeof CLBLASTS / sizeof CLBLASTS[0]);
    if (library) {
#define CLBLAST_API_FIND(name) find(library, "CLBlast" #name, &clblast.name, &missing);
        CLBLAST_API_LIST(CLBLAST_API_FIND)
#undef CLBLAST_API_FIND
    }
    if (!library)
        reason = "CLBlast is not installed (Debian, Ubuntu: libclblast1)";
    else if (missing)
        reason = "CLBlast is too old (u3d needs 1.5.1 or later)";
    return reason;
}

/* ---- failures ---- */

static const struct {
    cl_int code;
    const char *name;
} ERRORS[] = {
    {CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND"},
    {CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE"},
    {CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE"},
    {CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
    {CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES"},
    {CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY"},
    {CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE"},
    {CL_MAP_FAILURE, "CL_MAP_FAILURE"},
    {CL_MISALIGNED_SUB_BUFFER_OFFSET, "CL_MISALIGNED_SUB_BUFFER_OFFSET"},
    {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
    {CL_INVALID_VALUE, "CL_INVALID_VALUE"},
    {CL_INVALID_DEVICE, "CL_INVALID_DEVICE"},
    {CL_INVALID_CONTEXT, "CL_INVALID_CONTEXT"},
    {CL_INVALID_COMMAND_QUEUE, "CL_INVALID_COMMAND_QUEUE"},
    {CL_INVALID_MEM_OBJECT, "CL_INVALID_MEM_OBJECT"},
    {CL_INVALID_BINARY, "CL_INVALID_BINARY"},
    {CL_INVALID_BUILD_OPTIONS, "CL_INVALID_BUILD_OPTIONS"},
    {CL_INVALID_PROGRAM_EXECUTABLE, "CL_INVALID_PROGRAM_EXECUTABLE"},
    {CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME"},
    {CL_INVALID_ARG_INDEX, "CL_INVALID_ARG_INDEX"},
    {CL_INVALID_ARG_VALUE, "CL_INVALID_ARG_VALUE"},
    {CL_INVALID_ARG_SIZE, "CL_INVALID_ARG_SIZE"},
    {CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS"},
    {CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE"},
    {CL_INVALID_WORK_ITEM_SIZE, "CL_INVALID_WORK_ITEM_SIZE"},
    {CL_INVALID_EVENT, "CL_INVALID_EVENT"},
    {CL_INVALID_OPERATION, "CL_INVALID_OPERATION"},
    {CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE"},
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
    {-9999, "illegal access by a kernel (NVIDIA)"},
};

static const char *error_name(cl_int code)
{
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++)
        if (ERRORS[i].code == code) return ERRORS[i].name;
    return "OpenCL error";
}

u3d_status cl_fail(cl_int code, const char *fmt, ...)
{
    char what[TEXT_CAP];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
    return u3d_fail(memory ? U3D_E_NOMEM : U3D_E_DEVICE, "%s: %s (%d)", what, error_name(code), (int)code);
}

u3d_status clblast_fail(CLBlastStatusCode code, const char *fmt, ...)
{
    char what[TEXT_CAP];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    bool is_cl = code > -100; /* the codes below are CLBlast's own */
    return is_cl ? cl_fail((cl_int)code, "%s by CLBlast", what)
                 : u3d_fail(U3D_E_DEVICE, "%s: CLBlast status %d", what, (int)code);
}
