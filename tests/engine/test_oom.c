/* Tests that running out of memory is survived everywhere: the first allocation of a task fails, then the
 * second, and so on until the task succeeds. Each time it must return U3D_E_NOMEM and free all that it has
 * allocated.
 *
 * The idea is from SQLite's out-of-memory tests. Allocations of libraries (cJSON, libpng, zlib) are not
 * tested. */
#include "tests/support/support.h"

#include <string.h>

#include "engine/run/exec.h"
#include "engine/base/mem.h"
#include "engine/run/optim.h"
#include "io/checkpoint.h"
#include "io/csvlog.h"
#include "io/dataset.h"
#include "io/path.h"
#include "io/png.h"
#include "io/volume.h"
#include "net/model/model.h"
#include "net/model/unet3d.h"

enum { MAX_ALLOCATIONS = 20000, AFTER_SUCCESS = 5 };

static u3d_backend *backend;
static u3d_config config;
static const int64_t input_size[3] = {4, 4, 8};
static char *dir, *volume_path, *written_path, *model_path, *log_path, *png_path;

/* ---- tasks: each frees everything, whether it succeeds or fails ---- */

static u3d_status task_graph(void)
{
    u3d_unet3d net;
    U3D_TRY(u3d_unet3d_build(&config, backend, U3D_MODE_TRAIN, 1, input_size, true, &net));
    u3d_unet3d_done(&net);
    U3D_TRY(u3d_unet3d_build(&config, backend, U3D_MODE_INFER, 1, input_size, true, &net));
    u3d_unet3d_done(&net);
    return U3D_OK;
}

/* Builds a graph layer by layer. The graph remembers a failure, and u3d_graph_finish reports it. */
static u3d_status task_graph_by_hand(void)
{
    u3d_graph *g;
    u3d_layer_conv conv = {.attr = {.kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}},
                           .channels_out = 4,
                           .bias = true,
                           .init_gain = 1};
    U3D_TRY(u3d_graph_new(&g));
    u3d_scope_push(g, "level%d", 0);
    u3d_val x = u3d_input(g, "x", u3d_type_map(1, input_size, 2));
    u3d_val y = u3d_relu(g, "relu", u3d_layer_conv3d(g, "conv", x, &conv), 0);
    u3d_scope_pop(g);
    u3d_graph_output(g, u3d_softmax(g, "softmax", y), "p");
    u3d_status status = u3d_graph_finish(g);
    u3d_graph_free(g);
    return status;
}

static u3d_unet3d built;
static u3d_plan *planned;
static u3d_params *parameters;

static u3d_status task_plan(void)
{
    u3d_plan *p;
    U3D_TRY(u3d_plan_new(backend, built.graph, &(u3d_plan_opts){0}, &p));
    u3d_plan_free(p);
    return U3D_OK;
}

static u3d_status task_params(void)
{
    u3d_params *p;
    U3D_TRY(u3d_params_new(backend, built.graph, (1U << U3D_BLOCK_COUNT) - 1, 1, &p));
    u3d_params_free(p);
    return U3D_OK;
}

static u3d_status step(u3d_exec *x)
{
    u3d_status status = U3D_OK;
    const u3d_val fed[] = {built.image, built.label, built.class_weight};
    u3d_tensor *host = NULL;
    for (size_t i = 0; i < sizeof fed / sizeof *fed; i++) {
        const u3d_value *value = u3d_graph_value(built.graph, fed[i]);
        U3D_GO(u3d_tensor_new(value->name, value->type, &host));
        U3D_GO(u3d_exec_feed(x, fed[i], host));
        u3d_tensor_free(host);
        host = NULL;
    }
    U3D_GO(u3d_exec_run(x));
    U3D_GO(u3d_tensor_new("loss", u3d_type_scalar(), &host));
    U3D_GO(u3d_exec_fetch(x, built.loss, host));
done:
    u3d_tensor_free(host);
    return status;
}

static u3d_status task_exec(void)
{
    u3d_status status = U3D_OK;
    u3d_arena *arena = NULL;
    u3d_exec *x = NULL;
    U3D_GO(u3d_arena_new(backend, &planned, 1, &arena));
    U3D_GO(u3d_exec_new(planned, parameters, arena, &x));
    U3D_GO(step(x));
done:
    u3d_exec_free(x);
    u3d_arena_free(arena);
    return status;
}

static u3d_status task_optim(void)
{
    u3d_optim *o;
    u3d_optim_stats stats;
    u3d_optim_opts opts = {
        .kind = U3D_OPTIM_SGD, .lr = 0.01, .momentum = 0.9, .clip_norm = 1, .average = 0.9};
    U3D_TRY(u3d_optim_new(parameters, &opts, &o));
    u3d_status status = u3d_optim_step(o, &stats);
    u3d_optim_free(o);
    return status;
}

static u3d_status task_checkpoint_write(void)
{
    u3d_checkpoint *c;
    U3D_TRY(u3d_checkpoint_new(&c));
    u3d_status status = U3D_OK;
    U3D_GO(u3d_checkpoint_set(c, "some key", "some value"));
    U3D_GO(u3d_params_to_checkpoint(parameters, U3D_BLOCK_VALUE, "", c));
    U3D_GO(u3d_checkpoint_save(model_path, c));
done:
    u3d_checkpoint_free(c);
    return status;
}

static u3d_status task_checkpoint_read(void)
{
    u3d_checkpoint *c;
    U3D_TRY(u3d_checkpoint_load(model_path, &c));
    u3d_status status = u3d_params_from_checkpoint(c, U3D_BLOCK_VALUE, "", parameters, model_path);
    u3d_checkpoint_free(c);
    return status;
}

static u3d_status task_volume_read(void)
{
    u3d_volume *v;
    U3D_TRY(u3d_volume_probe(volume_path, &v));
    u3d_volume_free(v);
    U3D_TRY(u3d_volume_read(volume_path, U3D_VOLUME_IMAGE, &v));
    u3d_volume_free(v);
    return U3D_OK;
}

static u3d_status task_volume_write(void)
{
    u3d_volume *v, *like = NULL;
    u3d_status status = U3D_OK;
    U3D_TRY(u3d_volume_new(input_size, (const double[]){1, 1, 1}, U3D_F32, 1, &v));
    U3D_GO(u3d_volume_new_like(v, U3D_U8, 1, &like));
    U3D_GO(u3d_volume_write(written_path, v));
    U3D_GO(u3d_volume_write(written_path, like));
done:
    u3d_volume_free(v);
    u3d_volume_free(like);
    return status;
}

static u3d_status task_dataset(void)
{
    u3d_dataset *d;
    U3D_TRY(u3d_dataset_pair(volume_path, volume_path, &d));
    u3d_dataset_free(d);
    U3D_TRY(u3d_dataset_images(volume_path, 0, &d));
    u3d_dataset_free(d);
    return U3D_OK;
}

static u3d_status task_small_files(void)
{
    const uint8_t rgb[12] = {0, 1, 2};
    const double row[2] = {1, 0.5};
    u3d_csvlog *log;
    char **names;
    int n;
    U3D_TRY(u3d_png_write(png_path, rgb, 2, 2));
    U3D_TRY(u3d_path_list(dir, &names, &n));
    u3d_path_list_free(names, n);
    U3D_TRY(u3d_csvlog_open(log_path, "iteration,loss", 1, &log));
    u3d_status status = u3d_csvlog_row(log, row, 2);
    u3d_csvlog_close(log);
    return status;
}

/* ---- tests ---- */

typedef struct task {
    const char *name;
    u3d_status (*run)(void);
} task;

static task tasks[] = {
    {"network graphs", task_graph},
    {"graph by hand", task_graph_by_hand},
    {"plan", task_plan},
    {"params", task_params},
    {"exec and a step", task_exec},
    {"optimizer", task_optim},
    {"checkpoint write", task_checkpoint_write},
    {"checkpoint read", task_checkpoint_read},
    {"volume read", task_volume_read},
    {"volume write", task_volume_write},
    {"data set", task_dataset},
    {"small files", task_small_files},
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };

static void test_task(void **state)
{
    const task *t = *state;
    assert_ok(t->run());
    int64_t live = u3d_mem_live(), n_failed = 0;
    for (int64_t n = 1, n_ok = 0; n_ok < AFTER_SUCCESS; n++) {
        assert_true(n < MAX_ALLOCATIONS);
        u3d_mem_fail_at(n);
        u3d_status status = t->run();
        u3d_mem_fail_at(0);
        if (u3d_mem_live() != live)
            fail_msg("after allocation %lld failed, %lld blocks are still allocated (status %d)",
                     (long long)n, (long long)(u3d_mem_live() - live), status);
        if (status == U3D_OK) {
            n_ok++;
            continue;
        }
        if (status != U3D_E_NOMEM)
            fail_msg("after allocation %lld failed, the status is %d, expected %d: %s", (long long)n, status,
                     U3D_E_NOMEM, u3d_error_text());
        if (n_ok) fail_msg("an allocation before number %lld failed without an error", (long long)n);
        n_failed++;
    }
    assert_true(n_failed > 0);
    assert_ok(t->run()); /* the task still succeeds after all these failures */
}

static int prepare(void **state)
{
    (void)state;
    u3d_volume *v;
    dir = u3d_test_dir();
    volume_path = u3d_test_path(dir, "volume.nii.gz");
    written_path = u3d_test_path(dir, "written.nii.gz");
    model_path = u3d_test_path(dir, "model.safetensors");
    log_path = u3d_test_path(dir, "log.csv");
    png_path = u3d_test_path(dir, "picture.png");
    assert_ok(u3d_volume_new(input_size, (const double[]){1, 1, 1}, U3D_F32, 1, &v));
    assert_ok(u3d_volume_write(volume_path, v));
    u3d_volume_free(v);
    u3d_config_default(&config);
    const char *const settings[] = {"levels=2",   "base=2",     "channels=1",   "labels=2",
                                    "pool=2x2x2", "norm=batch", "padding=same", "loss=ce+dice"};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_ok(u3d_config_set(&config, settings[i]));
    backend = u3d_test_cpu();
    assert_ok(u3d_unet3d_build(&config, backend, U3D_MODE_TRAIN, 1, input_size, true, &built));
    assert_ok(u3d_plan_new(backend, built.graph, &(u3d_plan_opts){0}, &planned));
    assert_ok(u3d_params_new(backend, built.graph, (1U << U3D_BLOCK_COUNT) - 1, 1, &parameters));
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    char *const paths[] = {volume_path, written_path, model_path, log_path, png_path};
    u3d_params_free(parameters);
    u3d_plan_free(planned);
    u3d_unet3d_done(&built);
    u3d_backend_close(backend);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) u3d_free(paths[i]);
    u3d_test_dir_done(dir);
    if (u3d_mem_live() != 0)
        print_error("%lld blocks are still allocated at the end\n", (long long)u3d_mem_live());
    return u3d_mem_live() == 0 ? 0 : -1;
}

int main(void)
{
    struct CMUnitTest tests[N_TASKS];
    for (int i = 0; i < N_TASKS; i++)
        tests[i] =
            (struct CMUnitTest){.name = tasks[i].name, .test_func = test_task, .initial_state = &tasks[i]};
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
