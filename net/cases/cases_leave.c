/* Whole cases that training does not sample from: those without labels, which are dropped, and those that are
 * held out for validation. cases_hold.c holds out slices of a single case. */
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/name_list.h"
#include "net/cases/cases_impl.h"

/* Moves the entries that are not `wanted` to the end; both groups keep their order. *n_wanted receives the
 * number of the others. */
static u3d_status move_last(u3d_cases *c, const bool *wanted, int *n_wanted)
{
    u3d_case_entry *last = u3d_new((size_t)c->n, sizeof *last);
    int kept = 0, moved = 0;
    if (!last) return U3D_E_NOMEM;
    for (int i = 0; i < c->n; i++)
        if (wanted[i])
            c->entry[kept++] = c->entry[i];
        else
            last[moved++] = c->entry[i];
    memcpy(c->entry + kept, last, (size_t)moved * sizeof *last);
    u3d_free(last);
    *n_wanted = kept;
    return U3D_OK;
}

u3d_status u3d_case_none_labelled(const u3d_cases *c, const u3d_labels *found)
{
    u3d_name_list files = {.n = 0};
    char why[80] = "";
    for (int i = 0; i < c->n; i++)
        if (c->entry[i].files.label) u3d_name_list_add(&files, c->entry[i].files.label);
    if (files.n == 0) return u3d_fail(U3D_E_ARG, "none of the %d cases has a label file", c->n);
    if (found->has_unlabeled && found->n == 0)
        (void)snprintf(why, sizeof why, " (every voxel is %d, which means unlabelled)",
                       (int)found->unlabeled);
    return u3d_fail(U3D_E_ARG, "no voxel is labelled in %s%s: %s; paint some voxels, or correct --unlabeled",
                    files.n > 1 ? "any of the label files" : "the label file", why,
                    u3d_name_list_text(&files));
}

/* Drops the cases that are not `wanted`. */
static u3d_status drop(u3d_cases *c, const bool *wanted)
{
    int left;
    U3D_TRY(move_last(c, wanted, &left));
    for (int i = left; i < c->n; i++) {
        c->total -= c->entry[i].bytes;
        if (c->entry[i].state == U3D_CASE_READY) c->resident -= c->entry[i].bytes;
        u3d_case_entry_done(&c->entry[i]);
    }
    c->n = c->n_all = left;
    return U3D_OK;
}

u3d_status u3d_cases_drop_unlabelled(u3d_cases *c, bool *kept)
{
    u3d_name_list names = {.n = 0};
    const int n = c->n;
    for (int i = 0; i < n; i++) {
        kept[i] = c->entry[i].index.before && u3d_cases_voxels(c, i, -1) > 0;
        if (!kept[i]) u3d_name_list_add(&names, c->entry[i].files.id);
    }
    if (names.n == 0) return U3D_OK;
    if (names.n == n) return u3d_case_none_labelled(c, &c->labels);
    U3D_TRY(drop(c, kept));
    U3D_WARN("cases", "%d of %d volumes have no labelled voxel and are left out: %s", names.n, n,
             u3d_name_list_text(&names));
    return U3D_OK;
}

u3d_status u3d_cases_hold(u3d_cases *c, const bool *held)
{
    int left = 0;
    bool *wanted = u3d_new((size_t)c->n, sizeof *wanted);
    if (!wanted) return U3D_E_NOMEM;
    for (int i = 0; i < c->n; i++) wanted[i] = !held[i];
    u3d_status status = move_last(c, wanted, &left);
    u3d_free(wanted);
    if (status != U3D_OK) return status;
    U3D_ASSERT(left > 0, "all %d cases are held out", c->n);
    c->n = left;
    return U3D_OK;
}
