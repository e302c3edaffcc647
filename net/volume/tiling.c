/* Station 2 of prediction; before: a volume's size; after: tiles whose output boxes cover every voxel.
 *
 * Valid networks: the output boxes abut, starting at voxel 0. The last one may reach beyond the end of the
 * volume. Its input is mirrored there as at any other border, and stitching drops the surplus output.
 * Same-padded networks: the input box equals the output box, and the starts are spread evenly (nnU-Net v2,
 * compute_steps_for_sliding_window). */
#include "net/volume/tiling.h"

#include <math.h>

#include "engine/base/mem.h"

/* Number of tiles along one axis. */
static int64_t axis_count(int64_t volume, int64_t net, bool valid, double step)
{
    if (valid) return (volume + net - 1) / net;
    if (volume <= net) return 1;
    double stride = fmax(1.0, (double)net * step);
    return (int64_t)ceil((double)(volume - net) / stride) + 1;
}

/* Start of the i-th output box of n along one axis. */
static int64_t axis_start(int64_t i, int64_t n, int64_t volume, int64_t net, bool valid)
{
    if (valid) return i * net;
    if (n == 1) return volume <= net ? -((net - volume) / 2) : 0;
    return (int64_t)llround((double)i * (double)(volume - net) / (double)(n - 1));
}

u3d_status u3d_tiling_make(const int64_t volume[3], const int64_t net_in[3], const int64_t net_out[3],
                           bool valid, double step, u3d_tile **tiles, int *n)
{
    *tiles = NULL;
    *n = 0;
    if (!valid && !(step > 0 && step <= 1))
        return u3d_fail(U3D_E_ARG, "the tile step is %g; expected a share of the patch above 0 and at most 1", step);
    int64_t count[3], total = 1;
    for (int a = 0; a < 3; a++) {
        count[a] = axis_count(volume[a], net_out[a], valid, step);
        total *= count[a];
    }
    if (total > INT32_MAX)
        return u3d_fail(U3D_E_ARG, "the volume would need %lld tiles, which is too many", (long long)total);
    u3d_tile *list = u3d_new((size_t)total, sizeof *list);
    if (!list) return U3D_E_NOMEM;
    for (int64_t i = 0; i < total; i++) {
        const int64_t at[3] = {i / (count[1] * count[2]), i / count[2] % count[1], i % count[2]};
        for (int a = 0; a < 3; a++) {
            list[i].out.start[a] = axis_start(at[a], count[a], volume[a], net_out[a], valid);
            list[i].out.size[a] = net_out[a];
            list[i].in.start[a] = list[i].out.start[a] - (net_in[a] - net_out[a]) / 2;
            list[i].in.size[a] = net_in[a];
        }
    }
    *tiles = list;
    *n = (int)total;
    return U3D_OK;
}
