/* --net auto: patch, depth, width and batch from the data, the memory and the time; says what it chose and why. */
#ifndef U3D_NET_AUTOPLAN_H
#define U3D_NET_AUTOPLAN_H

#include "engine/plan/backend.h"
#include "net/volume/facts.h"
#include "net/config/config.h"

/* Fills the keys that --net auto leaves open. `set`: "key=value" that the user set; these keys stay.
 * memory_cap: bytes for everything; time_s: 0 if unknown. `why`: sentences for people, one per line, owned by the caller. */
u3d_status u3d_autoplan(u3d_config *c, const u3d_data_facts *facts, int n_labels, const char *const *set, int n_set,
                        uint64_t memory_cap, double time_s, u3d_backend *b, char **why);

#endif
