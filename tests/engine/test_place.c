/* Tests of the planner's placement of values in memory (engine/plan/place.h): cases small enough to check by
 * hand, then thousands of random sets of lives. For each set the rules are checked: values that are alive at
 * the same time share no byte, and the memory is neither more than the sum of all values nor less than the
 * lower bound. Prints how far the peak lies above the bound. */
#include "tests/support/support.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/plan/place.h"

enum { ALIGN = 64, MAX_CHUNKS = 16, MAX_LIVES = 120 };

#define NO_CAP (UINT64_MAX / 4)

static uint64_t round_up(uint64_t bytes, uint64_t align)
{
    return (bytes + align - 1) / align * align;
}

/* Checks every rule of place.h and returns the number of bytes needed. */
static uint64_t check_rules(const u3d_life *lives, int n, uint64_t align, const uint64_t *chunk_bytes,
                            int n_chunks)
{
    uint64_t total = 0;
    for (int c = 0; c < n_chunks; c++) total += chunk_bytes[c];
    for (int i = 0; i < n; i++) {
        const u3d_life *a = &lives[i];
        assert_in_range(a->chunk, 0, n_chunks - 1);
        assert_int_equal(a->off % align, 0);
        assert_true(a->off + a->bytes <= chunk_bytes[a->chunk]);
        for (int k = 0; k < i; k++) {
            const u3d_life *b = &lives[k];
            bool same_time = a->first <= b->last && b->first <= a->last;
            bool same_bytes =
                a->chunk == b->chunk && a->off < b->off + b->bytes && b->off < a->off + a->bytes;
            assert_false(same_time && same_bytes);
        }
    }
    return total;
}

static void nothing_needs_nothing(void **state)
{
    (void)state;
    uint64_t chunk_bytes[MAX_CHUNKS];
    int n_chunks = -1;
    assert_ok(u3d_place(NULL, 0, ALIGN, NO_CAP, chunk_bytes, MAX_CHUNKS, &n_chunks));
    assert_int_equal(n_chunks, 0);
    assert_int_equal(u3d_place_bound(NULL, 0), 0);
}

static void chain_uses_two_places(void **state)
{
    (void)state;
    u3d_life lives[4]; /* nodes 0-1, 1-2, 2-3, 3-4: two neighbours are alive at a time */
    for (int32_t i = 0; i < 4; i++) lives[i] = (u3d_life){.first = i, .last = i + 1, .bytes = 1024};
    uint64_t chunk_bytes[MAX_CHUNKS];
    int n_chunks;
    assert_ok(u3d_place(lives, 4, ALIGN, NO_CAP, chunk_bytes, MAX_CHUNKS, &n_chunks));
    assert_int_equal(n_chunks, 1);
    assert_int_equal(chunk_bytes[0], 2048);
    assert_int_equal(u3d_place_bound(lives, 4), 2048);
    assert_int_equal(lives[0].off, lives[2].off);
    assert_int_equal(lives[1].off, lives[3].off);
}

/* The first five values lie in a row. From node 5 on, the second and the fourth are dead and leave gaps of
 * 4096 and 1024 bytes. */
static void smallest_gap_wins(void **state)
{
    (void)state;
    u3d_life lives[] = {
        {.first = 0, .last = 9, .bytes = 8192}, /* at offset 0                                     */
        {.first = 0, .last = 4, .bytes = 4096}, /* after it; leaves a gap at node 5                */
        {.first = 0, .last = 9, .bytes = 2048}, /* at the end of the gap of 4096                   */
        {.first = 0, .last = 4, .bytes = 1024}, /* after it; leaves a gap at node 5                */
        {.first = 0, .last = 9, .bytes = 640},  /* at the end of the gap of 1024                   */
        {.first = 5, .last = 9, .bytes = 576},  /* fits both gaps and must take the smaller one    */
    };
    uint64_t chunk_bytes[MAX_CHUNKS];
    int n_chunks;
    assert_ok(u3d_place(lives, 6, ALIGN, NO_CAP, chunk_bytes, MAX_CHUNKS, &n_chunks));
    check_rules(lives, 6, ALIGN, chunk_bytes, n_chunks);
    assert_int_equal(lives[5].off, lives[3].off);
    assert_int_equal(chunk_bytes[0], 8192 + 4096 + 2048 + 1024 + 640);
}

static void offsets_are_aligned(void **state)
{
    (void)state;
    u3d_life lives[3];
    for (int i = 0; i < 3; i++) lives[i] = (u3d_life){.first = 0, .last = 0, .bytes = 100};
    uint64_t chunk_bytes[MAX_CHUNKS];
    int n_chunks;
    assert_ok(u3d_place(lives, 3, 256, NO_CAP, chunk_bytes, MAX_CHUNKS, &n_chunks));
    assert_int_equal(chunk_bytes[0], 768);
    check_rules(lives, 3, 256, chunk_bytes, n_chunks);
}

static void full_chunk_opens_another(void **state)
{
    (void)state;
    u3d_life lives[3];
    for (int i = 0; i < 3; i++) lives[i] = (u3d_life){.first = 0, .last = 0, .bytes = 640};
    uint64_t chunk_bytes[MAX_CHUNKS];
    int n_chunks;
    assert_ok(u3d_place(lives, 3, ALIGN, 1300, chunk_bytes, MAX_CHUNKS, &n_chunks));
    assert_int_equal(n_chunks, 2);
    assert_int_equal(chunk_bytes[0], 1280);
    assert_int_equal(chunk_bytes[1], 640);
    check_rules(lives, 3, ALIGN, chunk_bytes, n_chunks);
}

static void refusals_name_the_value(void **state)
{
    (void)state;
    u3d_life lives[3];
    for (int i = 0; i < 3; i++) lives[i] = (u3d_life){.first = 0, .last = 0, .bytes = 640};
    uint64_t chunk_bytes[2];
    int n_chunks;
    assert_status(u3d_place(lives, 3, ALIGN, 640, chunk_bytes, 2, &n_chunks), U3D_E_NOMEM);
    assert_non_null(strstr(u3d_error_text(), "value 2 of 640 bytes"));
    lives[1].bytes = 5000;
    assert_status(u3d_place(lives, 3, ALIGN, 4096, chunk_bytes, 2, &n_chunks), U3D_E_NOMEM);
    assert_non_null(strstr(u3d_error_text(), "value 1 of 5000 bytes"));
}

static void failed_allocations_leak_nothing(void **state)
{
    (void)state;
    u3d_life life = {.bytes = 64};
    uint64_t chunk_bytes[1];
    int n_chunks;
    int64_t live = u3d_mem_live();
    for (int n = 1; n <= 2; n++) {
        u3d_mem_fail_at(n);
        assert_status(u3d_place(&life, 1, ALIGN, NO_CAP, chunk_bytes, 1, &n_chunks), U3D_E_NOMEM);
        assert_int_equal(u3d_mem_live(), live);
    }
    u3d_mem_fail_at(0);
}

/* In half of the sets the values live as in a network with skip connections: most die soon, and one in four
 * stays alive for the way back. */
static int random_lives(u3d_rng *r, u3d_life *lives)
{
    int n = 1 + (int)u3d_rng_below(r, MAX_LIVES), span = 1 + (int)u3d_rng_below(r, 60);
    bool network = u3d_rng_below(r, 2) == 0;
    for (int i = 0; i < n; i++) {
        int64_t first = network ? i * span / n : u3d_rng_below(r, span);
        int64_t last = first + u3d_rng_below(r, span - first);
        if (network) last = u3d_rng_below(r, 4) == 0 ? span - 1 - first / 2 : first + u3d_rng_below(r, 3);
        if (last < first) last = first;
        uint64_t bytes = (uint64_t)1 << u3d_rng_below(r, 20);
        bytes += (uint64_t)u3d_rng_below(r, (int64_t)bytes);
        lives[i] = (u3d_life){.first = (int32_t)first, .last = (int32_t)last, .bytes = bytes};
    }
    return n;
}

static void random_lives_obey_the_rules(void **state)
{
    (void)state;
    u3d_life lives[MAX_LIVES], rounded[MAX_LIVES];
    uint64_t chunk_bytes[MAX_CHUNKS];
    double excess = 0, worst = 0;
    const int n_random = u3d_test_brief() ? 300 : 3000;
    for (int trial = 0; trial < n_random; trial++) {
        u3d_rng r = u3d_rng_at(u3d_test_seed(), U3D_RNG_TEST, (uint64_t)trial);
        int n = random_lives(&r, lives), n_chunks;
        uint64_t sum = 0, most = 0;
        for (int i = 0; i < n; i++) {
            rounded[i] = lives[i];
            rounded[i].bytes = round_up(lives[i].bytes, ALIGN);
            sum += rounded[i].bytes;
            if (rounded[i].bytes > most) most = rounded[i].bytes;
        }
        bool capped = u3d_rng_below(&r, 4) == 0; /* chunks of a third of the sum, but each value fits */
        uint64_t cap = capped ? (sum / 3 > most ? sum / 3 : most) : NO_CAP;
        assert_ok(u3d_place(lives, n, ALIGN, cap, chunk_bytes, MAX_CHUNKS, &n_chunks));
        uint64_t total = check_rules(lives, n, ALIGN, chunk_bytes, n_chunks),
                 bound = u3d_place_bound(rounded, n);
        for (int c = 0; c < n_chunks; c++) assert_true(chunk_bytes[c] <= cap);
        assert_true(total <= sum);
        assert_true(total >= bound);
        double over = (double)total / (double)bound - 1;
        excess += over / n_random;
        if (over > worst) worst = over;
    }
    print_message("%d random sets: %.2f %% above the lower bound on average, %.1f %% at worst\n", n_random,
                  excess * 100, worst * 100);
    assert_true(excess < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_needs_nothing),
        cmocka_unit_test(chain_uses_two_places),
        cmocka_unit_test(smallest_gap_wins),
        cmocka_unit_test(offsets_are_aligned),
        cmocka_unit_test(full_chunk_opens_another),
        cmocka_unit_test(refusals_name_the_value),
        cmocka_unit_test(failed_allocations_leak_nothing),
        cmocka_unit_test(random_lives_obey_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
