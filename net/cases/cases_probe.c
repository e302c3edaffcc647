/* Cheap checks of many cases before anything long begins: only headers are read, so what is wrong in the last
 * of a hundred files is said in the first seconds, and everything that is wrong is said at once. */
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "net/cases/cases.h"

enum { MOST_LISTED = 20 };

u3d_status u3d_case_probe(const u3d_case *c, u3d_volume **grid)
{
    u3d_volume *first = NULL, *next = NULL;
    u3d_status status = U3D_OK;
    u3d_match match;
    *grid = NULL;
    for (int ch = 0; ch < c->n_images; ch++) {
        U3D_GO(u3d_volume_probe(c->image[ch], &next));
        if (c->n_images > 1 && next->channels != 1)
            U3D_GO(
                u3d_fail(U3D_E_FORMAT,
                         "'%s' has %d channels; each of the %d image files of a case must have one channel",
                         c->image[ch], (int)next->channels, c->n_images));
        if (first) U3D_GO(u3d_volume_match(first, c->image[0], next, c->image[ch], false, &match));
        if (!first) {
            first = next;
            next = NULL;
        }
        u3d_volume_free(next);
        next = NULL;
    }
    if (c->label) U3D_GO(u3d_volume_probe(c->label, &next));
    if (c->n_images > 1) first->channels = c->n_images;
    *grid = first;
    first = NULL;
done:
    u3d_volume_free(next);
    u3d_volume_free(first);
    return status == U3D_OK ? U3D_OK : u3d_wrap(status, "case '%s'", c->id);
}

u3d_status u3d_cases_probe(const u3d_dataset *d, const int *which, int n)
{
    u3d_status status = U3D_OK;
    char *list = NULL;
    int n_bad = 0;
    for (int i = 0; i < n; i++) {
        u3d_volume *grid;
        const u3d_status one = u3d_case_probe(&d->cases[which[i]], &grid);
        u3d_volume_free(grid);
        if (one == U3D_OK) continue;
        status = one;
        if (one == U3D_E_NOMEM) break;
        if (++n_bad > MOST_LISTED) continue;
        char *longer = u3d_format("%s%s%s", list ? list : "", list ? "; " : "", u3d_error_text());
        u3d_free(list);
        list = longer;
        if (!list) return U3D_E_NOMEM;
    }
    if (n_bad > 0 && status != U3D_E_NOMEM)
        status = n_bad == 1 ? u3d_fail(status, "%s", list)
                            : u3d_fail(U3D_E_FORMAT, "%d of %d cases cannot be used: %s%s", n_bad, n, list,
                                       n_bad > MOST_LISTED ? "; ..." : "");
    u3d_free(list);
    return status;
}
