/* Tests properties of ops that a backend must have, without any reference: the algebra of the ops is checked
 * on the backend itself.
 *
 *   linearity      op(a*x1 + b*x2) = a*op(x1) + b*op(x2) for convolutions and their gradients
 *   impulse        a convolution of one bright voxel shows the mirrored kernel around it
 *   shift          if the input moves by a voxel, the output of a convolution moves by a voxel
 *   adjointness    <op(x), y> = <x, op_dx(y)> = <w, op_dw(x, y)>: the forward op and both gradients are the
 *                  same trilinear form in x, w and y
 *   repetition     two equal runs give the same bits if the backend claims to be deterministic
 *
 * usage: test_props [BACKEND]     the default is cpu
 *
 * The idea is from FFTW's verification without a reference (linearity, impulse, time shift). */
#include "tests/support/support.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "tests/support/support_op.h"

/* The rounding error of an inner product of a few thousand f32 terms is about 1e-6 of the sum of their
 * magnitudes. */
static const double TOLERANCE = 3e-6;

/* The precision of convolutions. The algebra holds for both precisions, up to their rounding errors. */
static bool strict;

static double rounding(void)
{
    return strict ? 1 : 10;
}

static u3d_backend *backend;

/* ---- arrays ---- */

static float *new_floats(int64_t n)
{
    float *p = u3d_new((size_t)n, sizeof *p);
    assert_non_null(p);
    return p;
}

static float *new_random(const u3d_type *t, uint64_t index)
{
    int64_t n = u3d_type_elems(t);
    float *p = new_floats(n);
    u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, index);
    u3d_test_normal(&r, p, n);
    return p;
}

/* Returns <a, b>, and in *size the sum of the magnitudes of its terms, the scale of its rounding error. */
static double dot(const float *a, const float *b, int64_t n, double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
        *size += fabs((double)a[i] * (double)b[i]);
    }
    return sum;
}

/* ---- ops of a case ---- */

static void describe(const u3d_op_case *c, u3d_op_desc *d)
{
    assert_ok(u3d_op_case_desc(c, d));
    if (d->op <= U3D_OP_CONV3D_DW) d->attr.conv.strict = strict;
}

/* Runs an op and returns out[0], which the caller frees; other outputs are discarded. */
static float *apply(const u3d_op_desc *d, const void *const *in)
{
    void *out[U3D_MAX_OUT] = {NULL};
    for (int i = 0; i < d->n_out; i++) {
        out[i] = u3d_new((size_t)u3d_type_bytes(&d->out[i]), 1);
        assert_non_null(out[i]);
    }
    assert_ok(u3d_op_once(backend, d, in, out));
    for (int i = 1; i < d->n_out; i++) u3d_free(out[i]);
    return out[0];
}

/* The case of another op with the same tag. The three ops of a convolution have cases with the same
 * geometries. */
static const u3d_op_case *sibling(const u3d_op_case *c, u3d_op op)
{
    for (int i = 0; i < u3d_op_case_count; i++)
        if (u3d_op_cases[i].op == op && strcmp(u3d_op_cases[i].tag, c->tag) == 0) return &u3d_op_cases[i];
    fail_msg("no case of %s has the tag %s", u3d_op_info_get(op)->name, c->tag);
    return NULL;
}

typedef void (*case_check)(const u3d_op_case *c);

static void for_cases(u3d_op op, case_check check)
{
    int n = 0;
    for (int i = 0; i < u3d_op_case_count; i++) {
        const u3d_op_case *c = &u3d_op_cases[i];
        if (c->op != op || u3d_op_case_fused(c)) continue;
        /* test_ops runs the large cases, too, which matters to sanitizers. */
        if (u3d_test_brief() && strncmp(c->tag, "large", 5) == 0) continue;
        check(c);
        n++;
    }
    assert_true(n > 0);
}

static void require_equal(const char *what, const u3d_op_case *c, double got, double want, double size)
{
    if (fabs(got - want) <= rounding() * TOLERANCE * size) return;
    fail_msg("%s %s: %s: %.10g and %.10g differ by more than %.1e times %.4g", u3d_op_info_get(c->op)->name,
             c->tag, what, got, want, rounding() * TOLERANCE, size);
}

/* ---- adjointness ---- */

/* The forward op runs without a bias, so that it is linear in x and in w. */
static void check_adjoint_conv(const u3d_op_case *c)
{
    bool up = c->op == U3D_OP_UPCONV3D;
    u3d_op_desc f, dx, dw;
    describe(c, &f);
    describe(sibling(c, up ? U3D_OP_UPCONV3D_DX : U3D_OP_CONV3D_DX), &dx);
    describe(sibling(c, up ? U3D_OP_UPCONV3D_DW : U3D_OP_CONV3D_DW), &dw);
    f.n_in = 2;
    memset(&f.in[2], 0, sizeof f.in[2]);
    float *x = new_random(&f.in[0], 1), *w = new_random(&f.in[1], 2), *y = new_random(&f.out[0], 3);
    float *fx = apply(&f, (const void *[]){x, w}), *x_back = apply(&dx, (const void *[]){y, w});
    float *w_back = apply(&dw, (const void *[]){x, y});
    double size_y, size_x, size_w;
    double forward = dot(fx, y, u3d_type_elems(&f.out[0]), &size_y);
    double by_x = dot(x, x_back, u3d_type_elems(&f.in[0]), &size_x);
    double by_w = dot(w, w_back, u3d_type_elems(&f.in[1]), &size_w);
    require_equal("<op(x), y> and <x, op_dx(y)>", c, by_x, forward, fmax(size_y, size_x));
    require_equal("<op(x), y> and <w, op_dw(x, y)>", c, by_w, forward, fmax(size_y, size_w));
    float *const all[] = {x, w, y, fx, x_back, w_back};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) u3d_free(all[i]);
}

static void test_adjoint_conv(void **state)
{
    (void)state;
    for_cases(U3D_OP_CONV3D, check_adjoint_conv);
    for_cases(U3D_OP_UPCONV3D, check_adjoint_conv);
}

/* Concatenation: <y, cat(up, skip)> = <dup, up> + <dskip, skip>. */
static void check_adjoint_crop(const u3d_op_case *c)
{
    u3d_op_desc f, b;
    double size[3];
    describe(c, &f);
    describe(sibling(c, U3D_OP_CROP_CONCAT_BACK), &b);
    float *up = new_random(&f.in[0], 1), *skip = new_random(&f.in[1], 2), *y = new_random(&f.out[0], 3);
    float *joined = apply(&f, (const void *[]){up, skip});
    float *dup = new_floats(u3d_type_elems(&b.out[0])), *dskip = new_floats(u3d_type_elems(&b.out[1]));
    assert_ok(u3d_op_once(backend, &b, (const void *[]){y}, (void *[]){dup, dskip}));
    double forward = dot(joined, y, u3d_type_elems(&f.out[0]), &size[0]);
    double back = dot(up, dup, u3d_type_elems(&b.out[0]), &size[1]);
    back += dot(skip, dskip, u3d_type_elems(&b.out[1]), &size[2]);
    require_equal("<cat(up, skip), y> and <up, dup> + <skip, dskip>", c, back, forward, size[0]);
    float *const all[] = {up, skip, y, joined, dup, dskip};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) u3d_free(all[i]);
}

static void test_adjoint_crop(void **state)
{
    (void)state;
    for_cases(U3D_OP_CROP_CONCAT, check_adjoint_crop);
}

/* With a fixed index, pooling only selects elements and is linear: <pool(x), y> = <x, pool_dx(y, index)>. */
static void check_adjoint_pool(const u3d_op_case *c)
{
    u3d_op_desc f, b;
    double size;
    describe(c, &f);
    describe(sibling(c, U3D_OP_MAXPOOL3D_DX), &b);
    float *x = new_random(&f.in[0], 1), *y = new_random(&f.out[0], 2),
          *top = new_floats(u3d_type_elems(&f.out[0]));
    uint8_t *index = u3d_new((size_t)u3d_type_elems(&f.out[1]), 1);
    assert_non_null(index);
    assert_ok(u3d_op_once(backend, &f, (const void *[]){x}, (void *[]){top, index}));
    float *back = apply(&b, (const void *[]){y, index});
    double forward = dot(top, y, u3d_type_elems(&f.out[0]), &size);
    require_equal("<pool(x), y> and <x, pool_dx(y)>", c, dot(x, back, u3d_type_elems(&f.in[0]), &size),
                  forward, size);
    float *const all[] = {x, y, top, back};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) u3d_free(all[i]);
    u3d_free(index);
}

static void test_adjoint_pool(void **state)
{
    (void)state;
    for_cases(U3D_OP_MAXPOOL3D, check_adjoint_pool);
}

/* ---- linearity ---- */

/* Checks that an op is linear in input `i` while the other inputs are fixed. */
static void check_linear_in(const u3d_op_case *c, const u3d_op_desc *d, int i)
{
    const float a = 0.75F, b = -1.5F;
    const void *in[U3D_MAX_IN] = {NULL};
    float *fixed[U3D_MAX_IN] = {NULL};
    for (int k = 0; k < d->n_in; k++) in[k] = fixed[k] = new_random(&d->in[k], 10 + (uint64_t)k);
    int64_t n = u3d_type_elems(&d->in[i]), n_out = u3d_type_elems(&d->out[0]);
    float *x1 = fixed[i], *x2 = new_random(&d->in[i], 20), *mixed = new_floats(n);
    for (int64_t e = 0; e < n; e++) mixed[e] = a * x1[e] + b * x2[e];
    float *y1 = apply(d, in);
    in[i] = x2;
    float *y2 = apply(d, in);
    in[i] = mixed;
    float *y = apply(d, in);
    for (int64_t e = 0; e < n_out; e++) y1[e] = a * y1[e] + b * y2[e];
    char what[128];
    snprintf(what, sizeof what, "%s %s is not linear in input %d", u3d_op_info_get(c->op)->name, c->tag, i);
    u3d_test_near(what, y, y1, n_out, rounding() * TOLERANCE);
    float *const all[] = {x2, mixed, y1, y2, y};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) u3d_free(all[k]);
    for (int k = 0; k < d->n_in; k++) u3d_free(fixed[k]);
}

static void check_linear(const u3d_op_case *c)
{
    u3d_op_desc d;
    describe(c, &d);
    if (d.n_in == 3) memset(&d.in[2], 0, sizeof d.in[2]); /* without bias */
    if (d.n_in == 3) d.n_in = 2;
    if (u3d_type_elems(&d.out[0]) < 8) return; /* so few sums may all cancel, so that only rounding is left */
    check_linear_in(c, &d, 0);
    if (d.n_in == 2) check_linear_in(c, &d, 1);
}

static void test_linear(void **state)
{
    (void)state;
    const u3d_op linear[] = {U3D_OP_CONV3D,   U3D_OP_CONV3D_DX,   U3D_OP_CONV3D_DW,
                             U3D_OP_UPCONV3D, U3D_OP_UPCONV3D_DX, U3D_OP_UPCONV3D_DW};
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) for_cases(linear[i], check_linear);
}

/* ---- impulse and shift ---- */

typedef struct picture { /* a 3x3x3 convolution with same padding of a map that is zero near its border */
    u3d_op_desc d;
    float *x, *w;
} picture;

enum { SIZE = 9, CI = 5, CO = 19 };

static int64_t voxel(int64_t z, int64_t y, int64_t x)
{
    return (z * SIZE + y) * SIZE + x;
}

static picture picture_new(void)
{
    picture p = {.d = {.op = U3D_OP_CONV3D, .n_in = 2, .n_out = 1}};
    p.d.attr.conv = (u3d_conv_attr){.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}};
    p.d.attr.conv.strict = strict;
    p.d.in[0] = u3d_type_map(1, (const int64_t[]){SIZE, SIZE, SIZE}, CI);
    p.d.in[1] = u3d_type_f32(5, (const int64_t[]){3, 3, 3, CI, CO});
    assert_ok(u3d_op_info_get(p.d.op)->infer(&p.d));
    p.x = new_floats(u3d_type_elems(&p.d.in[0]));
    p.w = new_random(&p.d.in[1], 30);
    return p;
}

static void picture_done(picture *p)
{
    u3d_free(p->x);
    u3d_free(p->w);
}

/* y[center - offset] = w[offset], which is the mirrored kernel. All other terms of the sums are zero. */
static void test_impulse(void **state)
{
    (void)state;
    picture p = picture_new();
    const int64_t cz = 3, cy = 4, cx = 5, ci = 2;
    p.x[voxel(cz, cy, cx) * CI + ci] = 1;
    float *y = apply(&p.d, (const void *[]){p.x, p.w});
    for (int64_t z = 0; z < SIZE; z++)
        for (int64_t yy = 0; yy < SIZE; yy++)
            for (int64_t x = 0; x < SIZE; x++)
                for (int64_t co = 0; co < CO; co++) {
                    int64_t kz = cz - z + 1, ky = cy - yy + 1, kx = cx - x + 1;
                    bool near = kz >= 0 && kz < 3 && ky >= 0 && ky < 3 && kx >= 0 && kx < 3;
                    float want = near ? p.w[(((kz * 3 + ky) * 3 + kx) * CI + ci) * CO + co] : 0;
                    float got = y[voxel(z, yy, x) * CO + co];
                    if (fabsf(got - want) > 1e-6F * (float)rounding())
                        fail_msg("impulse: y[%lld,%lld,%lld,%lld] is %g, expected %g", (long long)z,
                                 (long long)yy, (long long)x, (long long)co, (double)got, (double)want);
                }
    u3d_free(y);
    picture_done(&p);
}

/* The input is a 3x3x3 blob far from the border, then the same blob moved by one voxel along an axis. */
static void test_shift(void **state)
{
    (void)state;
    for (int axis = 0; axis < 3; axis++) {
        picture p = picture_new();
        u3d_type blob_type = u3d_type_map(1, (const int64_t[]){3, 3, 3}, CI);
        float *blob = new_random(&blob_type, 40), *y[2];
        int64_t step[3] = {axis == 0, axis == 1, axis == 2};
        for (int64_t moved = 0; moved < 2; moved++) {
            memset(p.x, 0, (size_t)u3d_type_bytes(&p.d.in[0]));
            for (int64_t e = 0; e < u3d_type_elems(&blob_type); e++) {
                int64_t v = e / CI, z = 3 + v / 9 + moved * step[0], yy = 3 + v / 3 % 3 + moved * step[1];
                p.x[voxel(z, yy, 3 + v % 3 + moved * step[2]) * CI + e % CI] = blob[e];
            }
            y[moved] = apply(&p.d, (const void *[]){p.x, p.w});
        }
        int64_t offset = voxel(step[0], step[1], step[2]) * CO, n = u3d_type_elems(&p.d.out[0]) - offset;
        u3d_test_near("the output for the moved input differs from the moved output", y[1] + offset, y[0], n,
                      1e-6 * rounding());
        float *const all[] = {blob, y[0], y[1]};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) u3d_free(all[i]);
        picture_done(&p);
    }
}

/* ---- repetition ---- */

static void run_case(const u3d_op_data *data, void **out)
{
    u3d_need need;
    const char *trouble;
    assert_ok(u3d_backend_query(backend, &data->desc, &need));
    u3d_op_trial t = {.work_bytes = need.work_best};
    for (int i = 0; i < data->desc.n_out; i++) {
        out[i] = u3d_new((size_t)u3d_type_bytes(&data->desc.out[i]), 1);
        assert_non_null(out[i]);
    }
    assert_ok(u3d_op_data_run(backend, data, &t, out, &trouble));
}

/* Tells whether the backend runs a case. It may refuse only optional cases. */
static bool is_run(const u3d_op_case *c, const u3d_op_data *data)
{
    u3d_need need;
    return !u3d_op_case_optional(c) || u3d_backend_query(backend, &data->desc, &need) == U3D_OK;
}

static void check_repeat(const u3d_op_case *c, const u3d_op_data *data)
{
    void *out[2][U3D_MAX_OUT];
    for (int k = 0; k < 2; k++) run_case(data, out[k]);
    for (int k = 0; k < data->desc.n_out; k++) {
        if (memcmp(out[0][k], out[1][k], (size_t)u3d_type_bytes(&data->desc.out[k])) != 0)
            fail_msg("%s %s: out[%d] differs between two runs", u3d_op_info_get(c->op)->name, c->tag, k);
        u3d_free(out[0][k]);
        u3d_free(out[1][k]);
    }
}

static void test_repeat(void **state)
{
    (void)state;
    u3d_caps caps;
    u3d_backend_caps(backend, &caps);
    if (!caps.deterministic) {
        print_message("skipped: the backend does not claim to be deterministic\n");
        return;
    }
    for (int i = 0; i < u3d_op_case_count; i++) {
        u3d_op_data *data;
        assert_ok(u3d_op_data_new(&u3d_op_cases[i], u3d_test_seed(), &data));
        if (is_run(&u3d_op_cases[i], data)) check_repeat(&u3d_op_cases[i], data);
        u3d_op_data_free(data);
    }
}

static const char *backend_name;

static int open_backend(void **state)
{
    (void)state;
    u3d_caps caps;
    backend = strcmp(backend_name, "cpu") == 0 ? u3d_test_cpu() : u3d_test_backend(backend_name, NULL, 0);
    u3d_backend_caps(backend, &caps);
    print_message("%s: %s, %s\n", backend_name, caps.device, strict ? "strict" : "fast");
    return 0;
}

static int close_backend(void **state)
{
    (void)state;
    u3d_backend_close(backend);
    return 0;
}

/* Runs the tests of convolutions in both precisions. test_repeat runs once, because each case of the table
 * sets its own precision. */
int main(int argc, char **argv)
{
    const struct CMUnitTest fast[] = {
        cmocka_unit_test(test_adjoint_conv), cmocka_unit_test(test_adjoint_crop),
        cmocka_unit_test(test_adjoint_pool), cmocka_unit_test(test_linear),
        cmocka_unit_test(test_impulse),      cmocka_unit_test(test_shift),
        cmocka_unit_test(test_repeat),
    };
    const struct CMUnitTest precise[] = {
        cmocka_unit_test(test_adjoint_conv),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_impulse),
        cmocka_unit_test(test_shift),
    };
    backend_name = argc > 1 ? argv[1] : "cpu";
    u3d_test_seed();
    u3d_test_need_device(backend_name);
    int failed = cmocka_run_group_tests(fast, open_backend, close_backend);
    strict = true;
    return failed + cmocka_run_group_tests(precise, open_backend, close_backend);
}
