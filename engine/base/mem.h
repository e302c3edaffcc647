/* Host memory. All of u3d's own allocations come through here, so that tests can fail
 * the n-th one (U3D_FAIL_ALLOC or u3d_mem_fail_at) and count what was not given back.
 *
 * A NULL result means that u3d_fail(U3D_E_NOMEM, ...) was called with the size in the
 * message: return U3D_E_NOMEM. Memory is 64-byte aligned; u3d_new zeroes it. */
#ifndef U3D_ENGINE_MEM_H
#define U3D_ENGINE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *u3d_new(size_t count, size_t size);        /* zeroed; count * size checked for overflow; 0 bytes gives 1 */
void *u3d_new_uninit(size_t count, size_t size); /* contents undefined: large blocks, touched later in parallel */
void *u3d_resize(void *p, size_t old_count, size_t count, size_t size); /* new part zeroed; p stays valid on failure */
char *u3d_strdup(const char *s);
char *u3d_format(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* owned by the caller */
void u3d_free(void *p);                                                       /* NULL is legal */

int64_t u3d_mem_live(void);           /* blocks not yet freed                              */
void u3d_mem_fail_at(int64_t n);      /* the n-th allocation from now fails (1 = next); 0 off */

/* Largest resident size of this process so far, and the machine's memory, in bytes; 0 if unknown.
 * The machine's memory is the smaller of what is installed and what the control group allows. */
uint64_t u3d_mem_peak_resident(void);
uint64_t u3d_mem_machine(void);

#endif
