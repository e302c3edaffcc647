/* A network on a backend, ready to run; see support_machine.h. */
#include "tests/support/support_machine.h"

#include "tests/support/support.h"

void u3d_test_machine_open(u3d_backend *b, const u3d_plan_opts *o, uint32_t blocks, uint64_t seed,
                           u3d_test_machine *m)
{
    assert_ok(u3d_plan_new(b, m->net.graph, o, &m->plan));
    assert_ok(u3d_params_new(b, m->net.graph, blocks, seed, &m->params));
    assert_ok(u3d_arena_new(b, &m->plan, 1, &m->arena));
    assert_ok(u3d_exec_new(m->plan, m->params, m->arena, &m->exec));
}

void u3d_test_machine_run(u3d_test_machine *m)
{
    const u3d_graph *g = m->net.graph;
    for (u3d_val v = 0; v < u3d_graph_n_values(g); v++) {
        const u3d_value *value = u3d_graph_value(g, v);
        u3d_tensor *t;
        if (value->role != U3D_ROLE_INPUT) continue;
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, (uint64_t)v);
        assert_ok(u3d_tensor_new(value->name, value->type, &t));
        for (int64_t i = 0; i < u3d_type_elems(&t->type); i++)
            if (t->type.dtype == U3D_U8)
                u3d_tensor_u8(t)[i] = (uint8_t)u3d_rng_below(&r, 3);
            else
                u3d_tensor_f32(t)[i] = (float)u3d_rng_uniform(&r) + 0.1F;
        assert_ok(u3d_exec_feed(m->exec, v, t));
        u3d_tensor_free(t);
    }
    assert_ok(u3d_exec_run(m->exec));
}

void u3d_test_machine_close(u3d_test_machine *m)
{
    u3d_exec_free(m->exec);
    u3d_arena_free(m->arena);
    u3d_params_free(m->params);
    u3d_plan_free(m->plan);
    u3d_unet3d_done(&m->net);
}
