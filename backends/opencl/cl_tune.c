/* Finds the parameters of CLBlast that suit a device. It tries a short list of candidates, best guesses
 * first. Each candidate is compiled, checked against a product in double precision, and timed on products
 * like those of our convolutions: one long, unfolded operand in the storage order that the tiled kernel
 * needs.
 *
 * CLBlast has two kernels for a product: the tiled one (Xgemm) and the direct one (XgemmDirect); a threshold
 * on m n k chooses between them. The search forces each kernel in turn by moving the threshold out of the
 * way, and times it at all SIZES. The present parameters come first, because CLBlast's own can no longer be
 * queried once they have been overridden. Finally, the best times of both kernels give the threshold. */
#include "backends/opencl/cl_tune.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/opencl/cl_gemm.h"
#include "backends/opencl/cl_tuned.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"

enum { SIZES = 4, N = 128, K = 256, M_MAX = 32768, CHECKS = 4096, REPEAT = 3, BIG = 2 };

/* The sizes of the products, given as the edge of a cube because CLBlast's threshold is such an edge:
 * m = edge^3 / (N K). */
static const int64_t EDGE[SIZES] = {128, 256, 512, 1024};
static const double LEAST_S = 0.01;   /* seconds that one timing lasts at least                       */
static const double GAIN = 1.03;      /* a smaller gain over CLBlast's own parameters may be chance   */
static const double TOLERANCE = 1e-4; /* of a sum of K products of numbers up to 1, relative to sqrt(K) */

/* The candidates, with values in the order of cl_tunable_params. They have work-groups of 16x16 down to 8x8,
 * register tiles of 8x8 down to 4x4, and at most 32 KB of local memory. Tiles of 8x8 suit the larger GPUs of
 * NVIDIA and AMD; CLBlast has no parameters for those after 2020. */
static const cl_params xgemm[] = {
    /*  GEMMK KREG KWG KWI MDIMA MDIMC MWG NDIMB NDIMC NWG SA SB STRM STRN VWM VWN */
    {{0, 1, 16, 2, 16, 16, 128, 16, 16, 128, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 16, 2, 8, 8, 64, 16, 16, 128, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 16, 2, 8, 8, 64, 8, 8, 64, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 32, 2, 16, 16, 128, 16, 16, 128, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 16, 2, 16, 16, 128, 16, 16, 128, 1, 1, 1, 1, 4, 4}},
    {{0, 1, 16, 8, 16, 16, 128, 16, 16, 128, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 16, 2, 16, 16, 128, 8, 8, 64, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 32, 2, 16, 16, 64, 16, 16, 128, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 16, 2, 16, 16, 128, 16, 16, 128, 1, 1, 0, 0, 2, 2}},
    {{0, 1, 32, 2, 16, 16, 64, 16, 16, 64, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 32, 2, 8, 8, 64, 8, 8, 64, 1, 1, 0, 0, 4, 4}},
    {{0, 1, 16, 2, 8, 8, 64, 8, 8, 64, 0, 0, 0, 0, 4, 4}},
    {{0, 1, 32, 2, 8, 16, 64, 8, 8, 64, 1, 0, 0, 0, 4, 4}},
    {{0, 1, 32, 2, 8, 8, 32, 8, 8, 64, 1, 1, 0, 0, 4, 4}},
};

static const cl_params direct[] = {
    /*  KWID MDIMAD MDIMCD NDIMBD NDIMCD PADA PADB VWMD VWND WGD */
    {{2, 8, 8, 8, 8, 1, 1, 4, 4, 32}},     {{2, 16, 16, 16, 16, 1, 1, 4, 4, 64}},
    {{8, 8, 8, 8, 8, 1, 1, 2, 4, 64}},     {{2, 8, 8, 8, 8, 1, 1, 1, 1, 32}},
    {{2, 16, 16, 16, 16, 1, 1, 2, 2, 32}}, {{2, 8, 8, 8, 8, 1, 1, 2, 2, 16}},
    {{8, 16, 16, 16, 16, 1, 1, 1, 2, 64}}, {{16, 8, 16, 16, 8, 1, 1, 1, 2, 32}},
};

typedef struct tuning {
    const cl_host *h;
    double deadline;
    u3d_tune_say *say;
    void *user;
    bool stop;
    float *a, *b, *c; /* host: a [K, m], b [K, N], c [m, N] */
    cl_mem mem[4];    /* a, b, c, temporary                 */
    uint64_t temp_bytes;
} tuning;

typedef struct timing {
    double gflops[SIZES];
    double score; /* geometric mean of gflops; 0 if a product failed */
} timing;

static int64_t rows_of(int size)
{
    return EDGE[size] * EDGE[size] * EDGE[size] / (N * K);
}

/* ---- one product ---- */

static cl_gemm product_of(int size)
{
    const int64_t m = rows_of(size);
    return (cl_gemm){.trans_a = true, .m = m, .n = N, .k = K, .lda = m, .ldb = N, .ldc = N};
}

static u3d_status enqueue(const tuning *t, int size)
{
    const cl_gemm g = product_of(size);
    const uint64_t temp = cl_gemm_temp_bytes(&t->h->dev, &g);
    if (temp > t->temp_bytes)
        return u3d_fail(U3D_E_NOMEM, "it needs %llu bytes of temporary memory", (unsigned long long)temp);
    return cl_gemm_run(&t->h->dev, t->h->compute, &g, (cl_gemm_at){t->mem[0], 0}, (cl_gemm_at){t->mem[1], 0},
                       (cl_gemm_at){t->mem[2], 0}, (cl_gemm_at){t->mem[3], 0});
}

static u3d_status wait_for(const tuning *t)
{
    const cl_int code = cl.Finish(t->h->compute);
    return code == CL_SUCCESS ? U3D_OK : cl_fail(code, "matrix product");
}

/* Compares CHECKS elements of c, spread over all of it, with sums in double precision. */
static u3d_status check(tuning *t, int size)
{
    const int64_t m = rows_of(size);
    const float nan = NAN;
    const size_t bytes = (size_t)(m * N) * sizeof(float);
    cl_int code = cl.EnqueueFillBuffer(t->h->compute, t->mem[2], &nan, sizeof nan, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) return cl_fail(code, "fill the result");
    U3D_TRY(enqueue(t, size));
    code = cl.EnqueueReadBuffer(t->h->compute, t->mem[2], CL_TRUE, 0, bytes, t->c, 0, NULL, NULL);
    if (code != CL_SUCCESS) return cl_fail(code, "read the result");
    for (int64_t i = 0; i < CHECKS; i++) {
        /* 7919 is a prime, so that all columns are checked. */
        const int64_t at = i * 7919 % (m * N), row = at / N, column = at % N;
        double want = 0;
        for (int64_t k = 0; k < K; k++) want += (double)t->a[k * m + row] * (double)t->b[k * N + column];
        if (!(fabs((double)t->c[at] - want) <= TOLERANCE * sqrt(K)))
            return u3d_fail(U3D_E_CHECK, "wrong result: c[%lld, %lld] is %g, expected %g", (long long)row,
                            (long long)column, (double)t->c[at], want);
    }
    return U3D_OK;
}

static u3d_status time_size(const tuning *t, int size, double *gflops)
{
    double seconds = 0, best = 1e30;
    int runs = 1;
    for (int i = 0; i < REPEAT;) {
        const double begin = u3d_clock();
        for (int r = 0; r < runs; r++) U3D_TRY(enqueue(t, size));
        U3D_TRY(wait_for(t));
        seconds = u3d_clock() - begin;
        if (seconds < LEAST_S && runs < 1 << 12) {
            runs *= 2;
            continue;
        }
        if (seconds / runs < best) best = seconds / runs;
        i++;
    }
    *gflops = 2e-9 * (double)rows_of(size) * N * K / best;
    return U3D_OK;
}

/* Checks and times all sizes, the largest first. They share the same random numbers: a is stored as [K, m],
 * so each m reads the same block of memory as a different matrix. */
static u3d_status time_all(tuning *t, timing *out)
{
    *out = (timing){{0}, 0};
    double product = 1;
    for (int s = SIZES - 1; s >= 0; s--) {
        U3D_TRY(check(t, s));
        U3D_TRY(time_size(t, s, &out->gflops[s]));
        product *= out->gflops[s];
    }
    out->score = pow(product, 1.0 / SIZES);
    return U3D_OK;
}

/* ---- the search ---- */

static void tell(tuning *t, const char *line)
{
    if (!t->say(t->user, line)) t->stop = true;
}

static bool over(const tuning *t)
{
    return t->stop || u3d_clock() > t->deadline;
}

/* Times CLBlast with its present parameters and reports a line of progress. Returns false if they fail. If
 * the device is lost, all later candidates fail as well. */
static bool try_one(tuning *t, const char *what, timing *out)
{
    char line[1024];
    const u3d_status status = time_all(t, out);
    if (status == U3D_OK)
        (void)snprintf(line, sizeof line, "%8.1f %8.1f %8.1f %8.1f GFLOP/s  %s", out->gflops[0],
                       out->gflops[1], out->gflops[2], out->gflops[3], what);
    else
        (void)snprintf(line, sizeof line, "failed: %s  (%s)", what, u3d_error_text());
    tell(t, line);
    return status == U3D_OK;
}

/* Finds the best parameters of one kernel among the present ones (CLBlast's own, or those kept by an earlier
 * run) and the candidates. */
static void search(tuning *t, cl_tunable kernel, const cl_params *list, int n, cl_tuned *best,
                   timing *best_time)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%s with %s", cl_tunable_name(kernel),
                   best->has[kernel] ? "the parameters kept before" : "CLBlast's own parameters");
    if (!try_one(t, text, best_time)) best_time->score = 0;
    for (int i = 0; i < n && !over(t); i++) {
        timing now;
        (void)cl_params_text(kernel, &list[i], text, sizeof text);
        if (cl_tuned_set(&t->h->dev, kernel, &list[i]) != CLBlastSuccess || !try_one(t, text, &now)) continue;
        if (now.score < best_time->score * (best->has[kernel] ? 1 : GAIN)) continue;
        best->has[kernel] = true;
        best->params[kernel] = list[i];
        *best_time = now;
    }
}

/* Makes CLBlast use one of its two kernels for all products. */
static u3d_status force(const tuning *t, bool tiled)
{
    const cl_params p = {{tiled ? 1 : 1 << 20}};
    const CLBlastStatusCode code = cl_tuned_set(&t->h->dev, CL_GEMM_ROUTINE, &p);
    return code == CLBlastSuccess ? U3D_OK
                                  : clblast_fail(code, "tune: set the threshold between CLBlast's kernels");
}

/* The smallest edge at and above which the tiled kernel is faster. */
static size_t threshold(const timing *tiled, const timing *untiled)
{
    int s = SIZES;
    while (s > 0 && tiled->gflops[s - 1] > untiled->gflops[s - 1]) s--;
    return (size_t)(s < SIZES ? EDGE[s] : BIG * EDGE[SIZES - 1]);
}

static u3d_status search_all(tuning *t, cl_tuned *best)
{
    timing tiled, untiled;
    const double begin = u3d_clock(), all = t->deadline - begin;
    t->deadline = begin + 0.6 * all; /* the tiled kernel gets more time because it can gain more */
    U3D_TRY(force(t, true));
    search(t, CL_XGEMM, xgemm, sizeof xgemm / sizeof xgemm[0], best, &tiled);
    t->deadline = begin + all;
    U3D_TRY(force(t, false));
    search(t, CL_XGEMM_DIRECT, direct, sizeof direct / sizeof direct[0], best, &untiled);
    if (tiled.score <= 0 && untiled.score <= 0)
        return u3d_fail(U3D_E_CHECK, "tune: CLBlast gave no correct result on %s", t->h->dev.name);
    best->has[CL_GEMM_ROUTINE] = true;
    best->params[CL_GEMM_ROUTINE].value[0] = threshold(&tiled, &untiled);
    return U3D_OK;
}

/* ---- memory ---- */

/* Pseudo-random numbers between -1 and 1, so that no error cancels out in a sum. */
static void fill(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(seed >> 8) * (2.0F / (float)(1 << 24)) - 1.0F;
    }
}

static u3d_status tuning_open(tuning *t)
{
    const size_t n[4] = {(size_t)M_MAX * K, (size_t)N * K, (size_t)M_MAX * N, 2 * (size_t)M_MAX * (N + K)};
    float **host[3] = {&t->a, &t->b, &t->c};
    cl_int code = CL_SUCCESS;
    t->temp_bytes = n[3] * sizeof(float);
    for (int i = 0; i < 3; i++) {
        *host[i] = u3d_new_uninit(n[i], sizeof(float));
        if (!*host[i]) return U3D_E_NOMEM;
    }
    fill(t->a, n[0], 1);
    fill(t->b, n[1], 2);
    for (int i = 0; i < 4 && code == CL_SUCCESS; i++)
        t->mem[i] = cl.CreateBuffer(t->h->context, CL_MEM_READ_WRITE, n[i] * sizeof(float), NULL, &code);
    for (int i = 0; i < 2 && code == CL_SUCCESS; i++)
        code = cl.EnqueueWriteBuffer(t->h->compute, t->mem[i], CL_TRUE, 0, n[i] * sizeof(float), *host[i], 0,
                                     NULL, NULL);
    return code == CL_SUCCESS ? U3D_OK
                              : cl_fail(code, "tune: allocate memory for products on %s", t->h->dev.name);
}

static void tuning_close(tuning *t)
{
    for (int i = 0; i < 4; i++)
        if (t->mem[i]) cl.ReleaseMemObject(t->mem[i]);
    u3d_free(t->a);
    u3d_free(t->b);
    u3d_free(t->c);
}

u3d_status cl_tune(const cl_host *h, double seconds, u3d_tune_say *say, void *user)
{
    u3d_status status;
    char path[1024], line[1100];
    const char *missing = clblast_missing();
    if (missing) return u3d_fail(U3D_E_DEVICE, "tune: %s", missing);
    cl_tuned best = cl_tuned_load(&h->dev); /* the parameters in force since the device was opened */
    tuning t = {.h = h, .deadline = u3d_clock() + seconds, .say = say, .user = user};
    U3D_GO(tuning_open(&t));
    U3D_GO(search_all(&t, &best));
    U3D_GO(cl_tuned_keep(&h->dev, &best, path, sizeof path));
    for (int k = 0; k < CL_TUNABLES; k++) {
        if (best.has[k])
            tell(&t, cl_params_text((cl_tunable)k, &best.params[k], line, sizeof line));
        else
            tell(&t, k == CL_XGEMM ? "Xgemm keeps CLBlast's own parameters"
                                   : "XgemmDirect keeps CLBlast's own parameters");
    }
    (void)snprintf(line, sizeof line, "kept in %s", path);
    tell(&t, line);
done:
    tuning_close(&t);
    return status;
}
