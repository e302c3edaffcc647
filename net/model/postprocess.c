/* Station 6b of prediction: keeps the largest component of the foreground, and those of the classes that a
 * model names, and logs that. The components themselves are found by net/volume/components.c. */
#include "net/model/postprocess.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "net/volume/components.h"

const char *u3d_postprocess_text(const u3d_model *m, char *buf, size_t cap)
{
    size_t used = 0;
    (void)snprintf(buf, cap, m->keep_foreground ? "the foreground as a whole" : "none");
    if (m->keep_foreground) used = strlen(buf);
    for (int k = 0; k < m->labels.n; k++) {
        if (!m->keep_largest[k] || used >= cap) continue;
        int n = snprintf(buf + used, cap - used, "%s%d%s%s", used ? ", " : "", m->labels.value[k],
                         m->labels.name[k][0] ? " " : "", m->labels.name[k]);
        if (n > 0) used += (size_t)n;
    }
    return buf;
}

static void report_removed(const u3d_model *m, const char *name, const u3d_kept *kept)
{
    for (int k = 0; k < m->labels.n; k++)
        if (kept[k].removed > 0)
            U3D_INFO("predict", "%s: label %d: %lld of %lld components removed (%lld voxels)", name,
                     m->labels.value[k], (long long)kept[k].removed, (long long)kept[k].components,
                     (long long)kept[k].voxels);
}

u3d_status u3d_postprocess(const u3d_model *m, const char *name, u3d_volume *classes)
{
    u3d_kept kept[U3D_MAX_LABELS];
    bool any = false;
    if (m->keep_foreground) {
        U3D_TRY(u3d_components_keep_foreground(classes, m->labels.n, kept));
        if (name && kept[0].removed > 0)
            U3D_INFO("predict", "%s: foreground: %lld of %lld components removed (%lld voxels)", name,
                     (long long)kept[0].removed, (long long)kept[0].components, (long long)kept[0].voxels);
    }
    for (int k = 0; k < m->labels.n; k++) any = any || m->keep_largest[k];
    if (!any) return U3D_OK;
    U3D_TRY(u3d_components_keep_largest(classes, m->keep_largest, m->labels.n, kept));
    if (name) report_removed(m, name, kept);
    return U3D_OK;
}
