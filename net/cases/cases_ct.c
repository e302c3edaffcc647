/* Intensity statistics of computed tomography over the foreground of a training set.
 *
 * At most 10,000 evenly spaced foreground voxels are taken from each case (nnU-Net takes the same number
 * at random). Large cases therefore do not outweigh small ones, and the result depends only on the data. */
#include <math.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/order.h"
#include "net/cases/cases_impl.h"

enum { CT_PER_CASE = 10000, CT_TOTAL = 4000000 }; /* CT_TOTAL: about 16 MB per channel */

u3d_status u3d_ct_sample_new(int32_t channels, int n_cases, u3d_ct_sample *s)
{
    *s = (u3d_ct_sample){.channels = channels, .per_case = CT_PER_CASE};
    if ((int64_t)n_cases * CT_PER_CASE > CT_TOTAL) s->per_case = CT_TOTAL / n_cases + 1;
    s->cap = s->per_case * n_cases;
    s->value = u3d_new((size_t)channels * (size_t)s->cap, sizeof *s->value);
    return s->value ? U3D_OK : U3D_E_NOMEM;
}

void u3d_ct_sample_done(u3d_ct_sample *s)
{
    u3d_free(s->value);
    s->value = NULL;
}

void u3d_ct_sample_add(u3d_ct_sample *s, const u3d_volume *image, const u3d_volume *classes, int background)
{
    const float *data = image->data;
    const uint8_t *class = classes->data;
    int64_t voxels = u3d_volume_voxels(classes), count = 0, seen = 0;
    for (int64_t v = 0; v < voxels; v++) count += class[v] != U3D_UNLABELED && class[v] != background;
    int64_t step = (count + s->per_case - 1) / s->per_case;
    for (int64_t v = 0; v < voxels; v++) {
        if (class[v] == U3D_UNLABELED || class[v] == background || seen++ % step != 0) continue;
        for (int32_t ch = 0; ch < s->channels; ch++)
            s->value[ch * s->cap + s->n] = data[v * s->channels + ch];
        s->n++;
    }
}

u3d_status u3d_ct_sample_stats(u3d_ct_sample *s, u3d_intensity_stats *out)
{
    if (s->n == 0)
        return u3d_fail(
            U3D_E_FORMAT,
            "intensity=ct (for channels named CT) needs labelled foreground voxels, but no case has any; "
            "set intensity=zscore");
    for (int32_t ch = 0; ch < s->channels; ch++) {
        if (out->kind[ch] != U3D_INTENSITY_CT) continue;
        float *value = s->value + ch * s->cap;
        double sum = 0, squares = 0;
        qsort(value, (size_t)s->n, sizeof *value, u3d_order_float);
        for (int64_t i = 0; i < s->n; i++) sum += (double)value[i];
        out->mean[ch] = sum / (double)s->n;
        for (int64_t i = 0; i < s->n; i++)
            squares += ((double)value[i] - out->mean[ch]) * ((double)value[i] - out->mean[ch]);
        out->sd[ch] = sqrt(squares / (double)s->n);
        out->low[ch] = u3d_percentile_sorted(value, s->n, 0.005);
        out->high[ch] = u3d_percentile_sorted(value, s->n, 0.995);
        if (value[0] == value[s->n - 1]) {
            U3D_WARN("cases", "channel %d has the same intensity in all foreground voxels", (int)ch);
            out->sd[ch] = 1;
        }
    }
    return U3D_OK;
}
