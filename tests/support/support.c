/* Functions shared by the test programs; see support.h. */
#include "tests/support/support.h"

#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/cpu/cpu_impl.h"
#include "engine/base/env.h"
#include "engine/base/mem.h"

uint64_t u3d_test_seed(void)
{
    static uint64_t seed;
    if (seed) return seed;
    const char *text = u3d_env_get(U3D_ENV_SEED);
    seed = text ? strtoull(text, NULL, 0) : U3D_TEST_SEED;
    if (!seed) seed = 1;
    printf("seed %llu (U3D_SEED sets another)\n", (unsigned long long)seed);
    return seed;
}

bool u3d_test_brief(void)
{
#if defined __SANITIZE_ADDRESS__ || defined U3D_TESTS_EMULATED
    return true;
#else
    return false;
#endif
}

void u3d_test_status(u3d_status status, u3d_status expected, const char *what, const char *file, int line)
{
    if (status == expected) return;
    print_error("%s\n  returned status %d, expected %d: %s\n", what, status, expected,
                status == U3D_OK ? "(no error)" : u3d_error_text());
    _fail(file, line);
}

char *u3d_test_dir(void)
{
    const char *base = getenv("TMPDIR"); /* a variable of the system, not of u3d */
    char *dir = u3d_format("%s/u3d-test-XXXXXX", base && *base ? base : "/tmp");
    if (!dir || !mkdtemp(dir)) {
        print_error("cannot create a temporary folder\n");
        exit(1);
    }
    return dir;
}

static int dir_remove(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

void u3d_test_dir_done(char *dir)
{
    if (u3d_env_get(U3D_ENV_KEEP))
        printf("kept folder %s\n", dir);
    else
        nftw(dir, dir_remove, 16, FTW_DEPTH | FTW_PHYS);
    u3d_free(dir);
}

char *u3d_test_path(const char *dir, const char *name)
{
    char *path = u3d_format("%s/%s", dir, name);
    if (!path) exit(1);
    return path;
}

u3d_backend *u3d_test_backend(const char *name, const char *isa, int threads)
{
    u3d_backend *b = NULL;
    if (isa) setenv("U3D_CPU_ISA", isa, 1);
    u3d_status status = u3d_backend_open(name, &(u3d_backend_opts){.threads = threads}, &b);
    if (isa) unsetenv("U3D_CPU_ISA");
    if (status == U3D_OK) return b;
    print_error("cannot open backend %s %s: %s\n", name, isa ? isa : "", u3d_error_text());
    exit(1);
}

/* Ends the program with exit status 77, which ctest reports as skipped, if U3D_CPU_ISA names an instruction
 * set that this build supports but this machine does not. Any other wrong name is an error when the backend
 * is opened. */
static void skip_without_isa(void)
{
    const char *wanted = u3d_env_get(U3D_ENV_CPU_ISA);
    const cpu_isa *isa;
    for (int i = 0; wanted && (isa = cpu_isa_at(i)) != NULL; i++) {
        if (strcmp(isa->name, wanted) != 0 || isa->usable()) continue;
        printf("skipped: this machine does not support %s\n", wanted);
        exit(77);
    }
}

u3d_backend *u3d_test_cpu(void)
{
    skip_without_isa();
    return u3d_test_backend("cpu", NULL, u3d_test_brief() ? 1 : 2);
}

void u3d_test_need_device(const char *name)
{
    const u3d_backend_vt *vt = NULL;
    for (int i = 0; (vt = u3d_backend_at(i)) != NULL && strcmp(vt->name, name) != 0; i++) continue;
    u3d_caps caps;
    int n = 0;
    if (vt && vt->list(&caps, 1, &n) == U3D_OK && n > 0) return;
    printf("skipped: no device for backend %s: %s\n", name, vt ? u3d_error_text() : "not part of this build");
    exit(77);
}

static double rms_of_f32(const float *p, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)p[i] * (double)p[i];
    return sqrt(sum / (double)n);
}

u3d_test_diff u3d_test_compare_f32(const float *got, const float *want, int64_t n)
{
    double *wide = malloc((size_t)n * sizeof *wide);
    if (!wide) exit(1);
    for (int64_t i = 0; i < n; i++) wide[i] = (double)want[i];
    u3d_test_diff d = u3d_test_compare(got, wide, n);
    free(wide);
    return d;
}

void u3d_test_near(const char *what, const float *got, const float *want, int64_t n, double tol)
{
    u3d_test_diff d = u3d_test_compare_f32(got, want, n);
    if (d.rms <= tol) return;
    char text[256];
    u3d_type flat = u3d_type_f32(1, &n);
    fail_msg("%s: %s (limit %.1e, rms of the reference %.3g)", what,
             u3d_test_diff_text(&d, &flat, "", text, sizeof text), tol, rms_of_f32(want, n));
}
