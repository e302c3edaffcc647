/* Kernel programs. The source of a program is common.clh followed by the kernel file with its includes
 * expanded; the defines are passed as compiler options.
 *
 * A compiled program is found by a hash of everything it depends on: text, options, platform, device, driver.
 * The same hash is the name of its file in the cache folder. A file that is damaged or has another version is
 * never an error: the program is then compiled again. */
#include "backends/opencl/cl_program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/clock.h"
#include "engine/base/env.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"

enum { MAX_PROGRAMS = 512, PATH_CAP = 1024, LOG_CAP = 1500, FILE_CAP = 1 << 20 };

static const char MAGIC[8] = "u3dcl01";

typedef struct program {
    XXH128_hash_t key;
    cl_program handle;
} program;

struct cl_programs {
    cl_context context;
    const cl_device *dev;
    program list[MAX_PROGRAMS];
    int n;
    bool announced; /* the user has been told why the start takes long */
};

u3d_status cl_programs_new(cl_context context, const cl_device *dev, cl_programs **out)
{
    *out = u3d_new(1, sizeof **out);
    if (!*out) return U3D_E_NOMEM;
    (*out)->context = context;
    (*out)->dev = dev;
    return U3D_OK;
}

void cl_programs_free(cl_programs *p)
{
    if (!p) return;
    for (int i = 0; i < p->n; i++) cl.ReleaseProgram(p->list[i].handle);
    u3d_free(p);
}

/* ---- source text ---- */

typedef struct text {
    char *data; /* FILE_CAP bytes, zero-terminated */
    size_t used;
} text;

static u3d_status text_add(text *t, const char *more, size_t len)
{
    if (len >= FILE_CAP - t->used)
        return u3d_fail(U3D_E_DEVICE, "opencl: the source of a kernel has more than 1 MB");
    memcpy(t->data + t->used, more, len);
    t->used += len;
    t->data[t->used] = '\0';
    return U3D_OK;
}

/* Adds a file from the folder that U3D_CL_KERNELS names. Returns false if there is no such folder or file. */
static bool add_from_folder(text *t, const char *name)
{
    const char *folder = u3d_env_get(U3D_ENV_CL_KERNELS);
    char path[PATH_CAP];
    if (!folder || (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return false;
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    size_t room = FILE_CAP - 1 - t->used, len = fread(t->data + t->used, 1, room, f);
    fclose(f);
    t->used += len;
    t->data[t->used] = '\0';
    return true;
}

static u3d_status add_source(text *t, const char *name)
{
    if (add_from_folder(t, name)) return U3D_OK;
    for (const cl_source *s = cl_sources; s->name; s++)
        if (strcmp(s->name, name) == 0) return text_add(t, s->text, strlen(s->text));
    return u3d_fail(U3D_E_DEVICE, "opencl: there is no kernel file '%s'", name);
}

/* Adds a file and replaces each line that includes another file by that file. Included files must not include
 * others. */
static u3d_status add_with_includes(text *t, const char *name)
{
    static const char INCLUDE[] = "#include \"";
    u3d_status status = U3D_OK;
    text whole = {.data = u3d_new_uninit(FILE_CAP, 1)};
    if (!whole.data) return U3D_E_NOMEM;
    whole.data[0] = '\0';
    U3D_GO(add_source(&whole, name));
    for (const char *line = whole.data; *line;) {
        size_t len = strcspn(line, "\n");
        if (strncmp(line, INCLUDE, sizeof INCLUDE - 1) == 0) {
            char included[64];
            const char *begin = line + sizeof INCLUDE - 1;
            (void)snprintf(included, sizeof included, "%.*s", (int)strcspn(begin, "\"\n"), begin);
            U3D_GO(add_source(t, included));
        } else {
            U3D_GO(text_add(t, line, len));
        }
        U3D_GO(text_add(t, "\n", 1));
        line += len + (line[len] == '\n');
    }
done:
    u3d_free(whole.data);
    return status;
}

static u3d_status read_source(const char *file, text *t)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s.cl", file);
    U3D_TRY(add_source(t, "common.clh"));
    U3D_TRY(text_add(t, "\n#line 1\n", 9));
    return add_with_includes(t, name);
}

/* ---- the cache on disk ---- */

bool cl_cache_dir(char *buf, size_t cap, bool make)
{
    const char *chosen = u3d_env_get(U3D_ENV_CL_CACHE);
    if (chosen && strcmp(chosen, "off") == 0) return false;
    if (chosen ? (size_t)snprintf(buf, cap, "%s", chosen) >= cap : !u3d_env_cache_dir(buf, cap)) return false;
    if (!make) return true;
    for (char *slash = buf + 1;; slash++) { /* creates every folder on the path */
        if (*slash && *slash != '/') continue;
        char kept = *slash;
        *slash = '\0';
        bool there = mkdir(buf, 0777) == 0 || errno == EEXIST;
        *slash = kept;
        if (!there) return false;
        if (!kept) return true;
    }
}

/* Writes the name of the folder for compiled programs to `buf`. Returns false if they are not kept, as on
 * PoCL unless U3D_CL_CACHE is set: PoCL has a cache of its own that does this better. When asked for a
 * binary, PoCL compiles a second time, and the binary lacks the code that it later specialises for each
 * work-group size. */
static bool program_dir(const cl_device *dev, char *buf, size_t cap)
{
    if (!u3d_env_get(U3D_ENV_CL_CACHE) && strcmp(dev->platform_name, "Portable Computing Language") == 0)
        return false;
    return cl_cache_dir(buf, cap, false);
}

static bool cache_path(XXH128_hash_t key, bool make, char *buf, size_t cap)
{
    char dir[PATH_CAP];
    if (!cl_cache_dir(dir, sizeof dir, make)) return false;
    int len = snprintf(buf, cap, "%s/%016llx%016llx.clbin", dir, (unsigned long long)key.high64,
                       (unsigned long long)key.low64);
    return len > 0 && (size_t)len < cap;
}

typedef struct cached { /* the header of a cache file; the driver's binary follows */
    char magic[8];
    uint64_t bytes, check;
} cached;

static void cache_store(XXH128_hash_t key, const unsigned char *binary, size_t bytes)
{
    char path[PATH_CAP], temporary[PATH_CAP + 16];
    if (!cache_path(key, true, path, sizeof path)) return;
    (void)snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(temporary, "wb");
    if (!f) return;
    cached head = {.bytes = bytes, .check = XXH3_64bits(binary, bytes)};
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    bool ok = fwrite(&head, sizeof head, 1, f) == 1 && fwrite(binary, 1, bytes, f) == bytes;
    ok = fclose(f) == 0 && ok;
    if (!ok || rename(temporary, path) != 0) (void)unlink(temporary);
}

/* Returns the cached binary, which the caller frees, or NULL if there is none or it is damaged. */
static unsigned char *cache_load(XXH128_hash_t key, size_t *bytes)
{
    char path[PATH_CAP];
    unsigned char *binary = NULL;
    cached head;
    struct stat info;
    if (!cache_path(key, false, path, sizeof path)) return NULL;
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    bool ok = fstat(fileno(f), &info) == 0 && fread(&head, sizeof head, 1, f) == 1 &&
              memcmp(head.magic, MAGIC, sizeof MAGIC) == 0 && head.bytes > 0 &&
              head.bytes == (uint64_t)info.st_size - sizeof head;
    if (ok) binary = u3d_new_uninit((size_t)head.bytes, 1);
    if (binary && (fread(binary, 1, (size_t)head.bytes, f) != head.bytes ||
                   XXH3_64bits(binary, (size_t)head.bytes) != head.check)) {
        u3d_free(binary);
        binary = NULL;
    }
    fclose(f);
    if (binary) *bytes = (size_t)head.bytes;
    return binary;
}

/* ---- compiling ---- */

static cl_program load_program(const cl_programs *p, XXH128_hash_t key, const char *options)
{
    size_t bytes = 0;
    cl_int code, status = CL_SUCCESS;
    unsigned char *binary = cache_load(key, &bytes);
    if (!binary) return NULL;
    const unsigned char *binaries[1] = {binary};
    cl_program handle =
        cl.CreateProgramWithBinary(p->context, 1, &p->dev->id, &bytes, binaries, &status, &code);
    u3d_free(binary);
    if (code != CL_SUCCESS) return NULL;
    if (status == CL_SUCCESS && cl.BuildProgram(handle, 1, &p->dev->id, options, NULL, NULL) == CL_SUCCESS)
        return handle;
    cl.ReleaseProgram(handle);
    return NULL;
}

static void store_program(XXH128_hash_t key, cl_program handle)
{
    size_t bytes = 0;
    if (cl.GetProgramInfo(handle, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) != CL_SUCCESS ||
        bytes == 0)
        return;
    unsigned char *binary = u3d_new(bytes, 1), *binaries[1] = {binary};
    if (binary &&
        cl.GetProgramInfo(handle, CL_PROGRAM_BINARIES, sizeof binaries, binaries, NULL) == CL_SUCCESS)
        cache_store(key, binary, bytes);
    u3d_free(binary);
}

static u3d_status build_failed(const cl_programs *p, cl_program handle, const char *file, const char *options,
                               cl_int code)
{
    char *log = u3d_new(1, 1 << 16);
    if (log) (void)cl.GetProgramBuildInfo(handle, p->dev->id, CL_PROGRAM_BUILD_LOG, (1 << 16) - 1, log, NULL);
    u3d_status status = cl_fail(code, "compile kernels/%s.cl (%s) for %s:\n%.*s", file, options, p->dev->name,
                                LOG_CAP, log && log[0] ? log : "no log");
    u3d_free(log);
    return status == U3D_E_NOMEM ? status : U3D_E_DEVICE;
}

/* Tells the user, once per open device, that kernels are being compiled, because the first start takes a
 * while. */
static void announce(cl_programs *p)
{
    char dir[PATH_CAP];
    if (p->announced) return;
    p->announced = true;
    if (program_dir(p->dev, dir, sizeof dir))
        U3D_INFO("opencl", "compiling kernels for %s; they will be kept in %s", p->dev->name, dir);
    else
        U3D_INFO("opencl", "compiling kernels for %s", p->dev->name);
}

static u3d_status compile(cl_programs *p, const char *file, const text *source, const char *options,
                          cl_program *out)
{
    cl_int code;
    double begin = u3d_clock();
    announce(p);
    cl_program handle =
        cl.CreateProgramWithSource(p->context, 1, (const char **)&source->data, &source->used, &code);
    if (code != CL_SUCCESS) return cl_fail(code, "compile kernels/%s.cl", file);
    code = cl.BuildProgram(handle, 1, &p->dev->id, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        u3d_status status = build_failed(p, handle, file, options, code);
        cl.ReleaseProgram(handle);
        return status;
    }
    U3D_DEBUG("opencl", "compiled kernels/%s.cl%s in %.2f s", file, options, u3d_clock() - begin);
    *out = handle;
    return U3D_OK;
}

static XXH128_hash_t key_of(const cl_programs *p, const text *source, const char *options)
{
    char device[512];
    int len = snprintf(device, sizeof device, "|%s|%s|%s|%s|%s", options, p->dev->platform_name, p->dev->name,
                       p->dev->version, p->dev->driver);
    XXH128_hash_t code = XXH3_128bits(source->data, source->used);
    return XXH3_128bits_withSeed(device, (size_t)len, code.low64 ^ code.high64);
}

static u3d_status find_program(cl_programs *p, const char *file, const char *defines, cl_program *out)
{
    u3d_status status = U3D_OK;
    const char *extra = u3d_env_get(U3D_ENV_CL_OPTIONS);
    char options[1024], dir[PATH_CAP];
    text source = {.data = u3d_new_uninit(FILE_CAP, 1)};
    if (!source.data) return U3D_E_NOMEM;
    source.data[0] = '\0';
    U3D_GO(read_source(file, &source));
    (void)snprintf(options, sizeof options, " -cl-std=CL1.2 -cl-mad-enable%s%s%s%s",
                   p->dev->gpu ? "" : " -D UNROLL=", defines ? defines : "", extra ? " " : "",
                   extra ? extra : "");
    XXH128_hash_t key = key_of(p, &source, options);
    for (int i = 0; i < p->n; i++)
        if (XXH128_isEqual(p->list[i].key, key)) {
            *out = p->list[i].handle;
            goto done;
        }
    if (p->n == MAX_PROGRAMS) {
        status = u3d_fail(U3D_E_DEVICE, "opencl: more than %d kernel programs", MAX_PROGRAMS);
        goto done;
    }
    const bool kept = program_dir(p->dev, dir, sizeof dir);
    *out = kept ? load_program(p, key, options) : NULL;
    if (!*out) {
        U3D_GO(compile(p, file, &source, options, out));
        if (kept) store_program(key, *out);
    }
    p->list[p->n++] = (program){key, *out};
done:
    u3d_free(source.data);
    return status;
}

u3d_status cl_programs_kernel(cl_programs *p, const char *file, const char *name, const char *defines,
                              cl_kernel *out)
{
    cl_program handle;
    cl_int code;
    *out = NULL;
    U3D_TRY(find_program(p, file, defines, &handle));
    *out = cl.CreateKernel(handle, name, &code);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "create kernel '%s' of kernels/%s.cl", name, file);
}
