/* Host memory. All of u3d's own allocations go through these functions, so that tests can make the n-th one
 * fail (U3D_FAIL_ALLOC or u3d_mem_fail_at) and count the blocks that were never freed.
 *
 * A NULL result means that u3d_fail(U3D_E_NOMEM, ...) has been called with the size in the message, so the
 * caller only needs to return U3D_E_NOMEM. Every block is 64-byte aligned. */
#ifndef U3D_ENGINE_MEM_H
#define U3D_ENGINE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* count * size bytes, checked for overflow. 0 bytes also gives a block that must be freed. u3d_new zeroes the
 * memory. u3d_new_uninit leaves its contents undefined: it is for large blocks that threads fill later in
 * parallel. */
void *u3d_new(size_t count, size_t size);
void *u3d_new_uninit(size_t count, size_t size);
/* Moves a block to a new size. The part that is new is zeroed. If this fails, p stays valid. */
void *u3d_resize(void *p, size_t old_count, size_t count, size_t size);
/* Text that the caller frees with u3d_free. */
char *u3d_strdup(const char *s);
char *u3d_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void u3d_free(void *p); /* NULL is legal */

int64_t u3d_mem_live(void);      /* number of blocks that are not yet freed                       */
void u3d_mem_fail_at(int64_t n); /* makes the n-th allocation from now fail (1: the next); 0: off */

/* The largest resident size of this process so far, and the memory of the machine, in bytes; 0 if unknown.
 * The memory of the machine is the installed memory or what the control group allows, whichever is
 * smaller. */
uint64_t u3d_mem_peak_resident(void);
uint64_t u3d_mem_machine(void);

#endif
