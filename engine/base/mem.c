/* Host memory: blocks that are 64-byte aligned and counted, and a switch that makes the n-th allocation fail.
 *
 * Every block comes from mem_alloc, which is the only caller of the C library's allocator. Resizing copies
 * into a new block, because the C library's realloc does not keep the alignment. */
#include "engine/base/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/env.h"
#include "engine/base/status.h"

enum { MEM_ALIGN = 64 }; /* a cache line, and the widest vector register, on all machines we build for */

static pthread_once_t mem_once = PTHREAD_ONCE_INIT;
static atomic_int_fast64_t mem_live;
static atomic_int_fast64_t mem_countdown; /* allocations until one fails; <= 0: none fails */

static void mem_init(void)
{
    const char *text = u3d_env_get(U3D_ENV_FAIL_ALLOC);
    if (text) atomic_store(&mem_countdown, strtoll(text, NULL, 10));
}

static bool mem_must_fail(void)
{
    pthread_once(&mem_once, mem_init);
    if (atomic_load(&mem_countdown) <= 0) return false;
    return atomic_fetch_sub(&mem_countdown, 1) == 1;
}

static void *mem_alloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - MEM_ALIGN) {
        u3d_fail(U3D_E_NOMEM, "out of memory: %zu elements of %zu bytes exceed the address space", count,
                 size);
        return NULL;
    }
    size_t rounded = bytes ? (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN : MEM_ALIGN;
    void *p = mem_must_fail() ? NULL : aligned_alloc(MEM_ALIGN, rounded);
    if (!p) {
        u3d_fail(U3D_E_NOMEM, "out of memory: %zu bytes requested", bytes);
        return NULL;
    }
    atomic_fetch_add(&mem_live, 1);
    return p;
}

void *u3d_new(size_t count, size_t size)
{
    void *p = mem_alloc(count, size);
    return p ? memset(p, 0, count * size) : NULL;
}

void *u3d_new_uninit(size_t count, size_t size)
{
    return mem_alloc(count, size);
}

void *u3d_resize(void *p, size_t old_count, size_t count, size_t size)
{
    char *q = mem_alloc(count, size);
    if (!q) return NULL;
    size_t kept = (p ? (old_count < count ? old_count : count) : 0) * size;
    if (kept) memcpy(q, p, kept);
    memset(q + kept, 0, count * size - kept);
    u3d_free(p);
    return q;
}

void u3d_free(void *p)
{
    if (!p) return;
    atomic_fetch_sub(&mem_live, 1);
    free(p);
}

char *u3d_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = mem_alloc(n, 1);
    return copy ? memcpy(copy, s, n) : NULL;
}

char *u3d_format(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        u3d_fail(U3D_E_NOMEM, "out of memory: cannot format a text with '%s'", fmt);
        return NULL;
    }
    char *text = mem_alloc((size_t)n + 1, 1);
    if (!text) return NULL;
    va_start(args, fmt);
    vsnprintf(text, (size_t)n + 1, fmt, args);
    va_end(args);
    return text;
}

int64_t u3d_mem_live(void)
{
    return atomic_load(&mem_live);
}

void u3d_mem_fail_at(int64_t n)
{
    pthread_once(&mem_once, mem_init); /* otherwise the first allocation would restore U3D_FAIL_ALLOC */
    atomic_store(&mem_countdown, n);
}
