/* Chooses offsets so that values that are alive at the same time never share a byte: first greedily by size,
 * then by trying other orders.
 *
 * The largest value is placed first. For each value, only the values that are already placed and alive at the
 * same time matter; they leave gaps in the chunks, and the value goes into the smallest gap that is large
 * enough. If there is none, the chunk that has to grow least grows; if no chunk may grow that far, a new one
 * is begun. `placed` lists the placed values by chunk and then by offset, so that all gaps are found in one
 * pass over it. Source: Pisarchyk & Lee 2020, arXiv:2001.03288, section 5.2; the chunks are an addition of
 * u3d.
 *
 * If the result needs more than the lower bound, further rounds follow. In each, the value with the highest
 * end is placed earlier than in the round before. The best round is kept. */
#include "engine/plan/place.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

enum { PLACE_ROUNDS = 128 };

typedef struct place_key { /* sort record: the largest first, then the one that is needed first */
    uint64_t bytes;
    int32_t first, life;
} place_key;

typedef struct place_spot {
    int32_t chunk;     /* -1: no spot found                                                */
    uint64_t off, gap; /* gap: size of the gap, or growth of the chunk; the smallest wins  */
} place_spot;

typedef struct place_state {
    u3d_life *lives;
    int32_t *placed;
    int n_placed;
    uint64_t align, chunk_cap;
    uint64_t *chunk_bytes;
    int n_chunks;
} place_state;

static int place_compare(const void *a, const void *b)
{
    const place_key *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x->life < y->life ? -1 : 1;
}

static uint64_t place_round_up(uint64_t bytes, uint64_t align)
{
    return (bytes + align - 1) / align * align;
}

static bool place_same_time(const u3d_life *a, const u3d_life *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static void place_offer(place_spot *best, int32_t chunk, uint64_t off, uint64_t gap)
{
    if (best->chunk < 0 || gap < best->gap) *best = (place_spot){chunk, off, gap};
}

/* Looks for a spot for `life` (of `need` bytes) in one chunk, whose lives are placed[from] to placed[to - 1].
 * Gaps within the chunk are offered to `gap`. If the chunk would have to grow, the spot after all lives of
 * the same time is offered to `grow`, with the growth as its gap. */
static void place_scan_chunk(const place_state *s, const u3d_life *life, uint64_t need, int32_t chunk,
                             int from, int to, place_spot *gap, place_spot *grow)
{
    uint64_t end = 0; /* end of the lives seen so far that are alive at the same time */
    for (int k = from; k < to; k++) {
        const u3d_life *other = &s->lives[s->placed[k]];
        if (!place_same_time(life, other)) continue;
        if (other->off > end && other->off - end >= need) place_offer(gap, chunk, end, other->off - end);
        uint64_t other_end = other->off + place_round_up(other->bytes, s->align);
        if (other_end > end) end = other_end;
    }
    uint64_t size = s->chunk_bytes[chunk];
    if (size >= end && size - end >= need)
        place_offer(gap, chunk, end, size - end);
    else if (s->chunk_cap - end >= need)
        place_offer(grow, chunk, end, end + need - size);
}

static place_spot place_find(const place_state *s, const u3d_life *life, uint64_t need)
{
    place_spot gap = {.chunk = -1}, grow = {.chunk = -1};
    int from = 0;
    for (int32_t chunk = 0; chunk < s->n_chunks; chunk++) {
        int to = from;
        while (to < s->n_placed && s->lives[s->placed[to]].chunk == chunk) to++;
        place_scan_chunk(s, life, need, chunk, from, to, &gap, &grow);
        from = to;
    }
    return gap.chunk >= 0 ? gap : grow;
}

/* Inserts a life into `placed`, which is kept in order of (chunk, off). */
static void place_insert(place_state *s, int32_t index)
{
    const u3d_life *life = &s->lives[index];
    int k = s->n_placed;
    while (k > 0) {
        const u3d_life *before = &s->lives[s->placed[k - 1]];
        if (before->chunk < life->chunk || (before->chunk == life->chunk && before->off <= life->off)) break;
        k--;
    }
    memmove(&s->placed[k + 1], &s->placed[k], (size_t)(s->n_placed - k) * sizeof *s->placed);
    s->placed[k] = index;
    s->n_placed++;
}

static u3d_status place_one(place_state *s, int32_t index, int cap)
{
    u3d_life *life = &s->lives[index];
    if (life->bytes > s->chunk_cap)
        return u3d_fail(U3D_E_NOMEM, "value %d of %llu bytes exceeds the largest chunk of %llu bytes", index,
                        (unsigned long long)life->bytes, (unsigned long long)s->chunk_cap);
    uint64_t need = place_round_up(life->bytes, s->align);
    place_spot spot = place_find(s, life, need);
    if (spot.chunk < 0) {
        if (s->n_chunks == cap)
            return u3d_fail(U3D_E_NOMEM,
                            "value %d of %llu bytes does not fit into %d chunks of at most %llu bytes", index,
                            (unsigned long long)life->bytes, cap, (unsigned long long)s->chunk_cap);
        spot = (place_spot){.chunk = s->n_chunks};
        s->chunk_bytes[s->n_chunks++] = 0;
    }
    life->chunk = spot.chunk;
    life->off = spot.off;
    if (spot.off + need > s->chunk_bytes[spot.chunk]) s->chunk_bytes[spot.chunk] = spot.off + need;
    place_insert(s, index);
    return U3D_OK;
}

/* ---- rounds ---- */

typedef struct place_best { /* the best round so far   */
    u3d_life *lives;        /* copies with their places */
    uint64_t total;
    int n_chunks;
} place_best;

static uint64_t place_total(const place_state *s)
{
    uint64_t sum = 0;
    for (int i = 0; i < s->n_chunks; i++) sum += s->chunk_bytes[i];
    return sum;
}

static u3d_status place_round(place_state *s, const place_key *keys, int n, int cap)
{
    s->n_placed = s->n_chunks = 0;
    for (int i = 0; i < n; i++) U3D_TRY(place_one(s, keys[i].life, cap));
    return U3D_OK;
}

/* Moves the life that ends highest in the last chunk to an earlier turn: the first turn in round 1, then the
 * second, and so on, starting again when its old turn is reached. */
static void place_reorder(const place_state *s, place_key *keys, int n, int round)
{
    int top = 0;
    uint64_t highest = 0;
    for (int i = 0; i < n; i++) {
        const u3d_life *life = &s->lives[keys[i].life];
        if (life->chunk != s->n_chunks - 1 || life->off + life->bytes <= highest) continue;
        highest = life->off + life->bytes;
        top = i;
    }
    int to = top > 0 ? (round - 1) % top : 0;
    place_key moved = keys[top];
    memmove(&keys[to + 1], &keys[to], (size_t)(top - to) * sizeof *keys);
    keys[to] = moved;
}

static void place_keep(const place_state *s, place_best *best, int n)
{
    memcpy(best->lives, s->lives, (size_t)n * sizeof *s->lives);
    best->total = place_total(s);
    best->n_chunks = s->n_chunks;
}

static void place_restore(place_state *s, const place_best *best, int n)
{
    memcpy(s->lives, best->lives, (size_t)n * sizeof *s->lives);
    s->n_chunks = best->n_chunks;
    memset(s->chunk_bytes, 0, (size_t)s->n_chunks * sizeof *s->chunk_bytes);
    for (int i = 0; i < n; i++) {
        const u3d_life *life = &s->lives[i];
        uint64_t end = life->off + place_round_up(life->bytes, s->align);
        if (end > s->chunk_bytes[life->chunk]) s->chunk_bytes[life->chunk] = end;
    }
}

/* Runs the rounds. The search ends early if a round reaches the lower bound, or if the lives of a later round
 * cannot be placed. */
static u3d_status place_rounds(place_state *s, place_key *keys, int n, int cap, place_best *best)
{
    uint64_t bound = u3d_place_bound(s->lives, n);
    U3D_TRY(place_round(s, keys, n, cap));
    place_keep(s, best, n);
    for (int round = 1; round < PLACE_ROUNDS && best->total > place_round_up(bound, s->align); round++) {
        place_reorder(s, keys, n, round);
        if (place_round(s, keys, n, cap) != U3D_OK) break;
        if (place_total(s) < best->total) place_keep(s, best, n);
    }
    place_restore(s, best, n);
    return U3D_OK;
}

u3d_status u3d_place(u3d_life *lives, int n, uint64_t align, uint64_t chunk_cap, uint64_t *chunk_bytes,
                     int cap, int *n_chunks)
{
    *n_chunks = 0;
    U3D_ASSERT(n >= 0 && align > 0, "n %d, align %llu", n, (unsigned long long)align);
    if (n == 0) return U3D_OK;
    u3d_status status = U3D_OK;
    place_key *keys = u3d_new((size_t)n, sizeof *keys);
    place_best best = {.lives = keys ? u3d_new((size_t)n, sizeof *lives) : NULL};
    place_state s = {.lives = lives, .align = align, .chunk_bytes = chunk_bytes};
    s.chunk_cap = chunk_cap / align * align;
    s.placed = best.lives ? u3d_new((size_t)n, sizeof *s.placed) : NULL;
    if (!s.placed) U3D_GO(U3D_E_NOMEM);

    for (int32_t i = 0; i < n; i++) keys[i] = (place_key){lives[i].bytes, lives[i].first, i};
    qsort(keys, (size_t)n, sizeof *keys, place_compare);
    U3D_GO(place_rounds(&s, keys, n, cap, &best));
    *n_chunks = s.n_chunks;

done:
    u3d_free(s.placed);
    u3d_free(best.lives);
    u3d_free(keys);
    return status;
}

uint64_t u3d_place_bound(const u3d_life *lives, int n)
{
    uint64_t bound = 0; /* the sum can only be largest at a node at which some life begins */
    for (int i = 0; i < n; i++) {
        uint64_t alive = 0;
        for (int k = 0; k < n; k++)
            if (lives[k].first <= lives[i].first && lives[i].first <= lives[k].last) alive += lives[k].bytes;
        if (alive > bound) bound = alive;
    }
    return bound;
}
