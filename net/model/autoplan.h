/* --net auto: chooses patch, depth, width and batch from the data, the memory and the time, and explains its
 * choices. */
#ifndef U3D_NET_AUTOPLAN_H
#define U3D_NET_AUTOPLAN_H

#include "engine/plan/backend.h"
#include "net/volume/facts.h"
#include "net/config/config.h"

/* Fills in the settings that --net auto derives from the data.
 *
 *   set         n_set texts "key=value" that the user gave; these keys keep their values
 *   memory_cap  bytes for activations, parameters and their copies in a checkpoint; 0: no limit. If the
 *               device has memory of its own, the size of that memory is the limit instead.
 *   time_s      time budget in seconds, 0: unknown
 *   flops       FLOP/s of training that were measured with a similar network; 0: as the backend estimates
 *   why         the reasons, as sentences for people, one per line; owned by the caller */
u3d_status u3d_autoplan(u3d_config *c, const u3d_data_facts *facts, int n_labels, const char *const *set,
                        int n_set, uint64_t memory_cap, double time_s, double flops, u3d_backend *b,
                        char **why);

#endif
