/* Tests of the plan that the folds of a cross-validation share (u3d_train_plan). */
#include "tests/support/support_run.h"

#include "engine/base/mem.h"
#include "net/model/model.h"
#include "net/predict/predict.h"

/* Values 0 and 1, and in the first case also 2. */
static double two_or_three(int64_t z, int64_t y, int64_t x, const void *first)
{
    return z < 10 ? 0 : first && y < 5 && x < 5 ? 2 : 1;
}

/* Trains on two of the three cases, with the plan unless it is NULL, and loads the model. */
static u3d_model *train_fold(u3d_test_run *f, const char *name, int left_out, const cJSON *plan)
{
    u3d_train_result r;
    u3d_model *m;
    f->train[0] = left_out == 0 ? 1 : 0;
    f->train[1] = left_out == 2 ? 1 : 2;
    f->o.n_train = 2;
    f->o.plan = plan;
    u3d_free(f->out);
    f->o.out = f->out = u3d_test_path(f->set.dir, name);
    assert_ok(u3d_test_run_train(f, 2, &r));
    assert_ok(u3d_model_load(f->out, &m));
    return m;
}

static u3d_status average(const u3d_model *const *models)
{
    const u3d_predict_opts o = {.step = 0.5, .quiet = true};
    u3d_predictor *p = NULL;
    u3d_backend *b = u3d_test_cpu();
    u3d_status status = u3d_predictor_open(b, models, 3, &o, &p);
    u3d_predictor_free(p);
    u3d_backend_close(b);
    return status;
}

/* The folds have different median spacings, and one of them is trained without label 2. Their models can be
 * averaged only if all of them were trained with the same plan. */
static void test_folds_share_a_plan(void **state)
{
    (void)state;
    static const int64_t size[3] = {20, 20, 20};
    u3d_test_run f;
    u3d_test_run_new(&f, 0, u3d_test_ball);
    for (int i = 0; i < 3; i++) {
        f.set.spacing[0] = 1 + 0.5 * i;
        u3d_test_set_add(&f.set, (const char[]){(char)('a' + i), 0}, size, 1, u3d_test_voxel_mix,
                         two_or_three, i == 0 ? &f : NULL);
        f.train[i] = i;
    }
    f.o.iterations = 1;
    f.o.validate_every = -1;
    f.o.n_train = 3;
    cJSON *plan;
    u3d_backend *b = u3d_test_cpu();
    assert_ok(u3d_train_plan(b, &f.o, &plan));
    u3d_backend_close(b);
    for (int planned = 0; planned < 2; planned++) {
        u3d_model *m[3];
        for (int k = 0; k < 3; k++) {
            const char name[] = {planned ? 'p' : 'n', (char)('0' + k), 0};
            m[k] = train_fold(&f, name, k, planned ? plan : NULL);
        }
        assert_status(average((const u3d_model *const *)m), planned ? U3D_OK : U3D_E_ARG);
        if (planned) assert_int_equal(m[0]->labels.n, 3);
        for (int k = 0; k < 3; k++) u3d_model_free(m[k]);
    }
    cJSON_Delete(plan);
    u3d_test_run_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folds_share_a_plan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
