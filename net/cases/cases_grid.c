/* Reads the labels of one case and brings them onto the grid of its image.
 *
 * Station 1 of training; before: a path and the image; after: classes u8 [z,y,x] on the image's grid. Labels
 * of the same space may be stored differently, cover a part of the image (Slicer writes such labelmaps), or
 * lack a place in space. Labels on another grid are refused, because they may belong to another image;
 * --resample-labels takes the nearest voxel. */
#include <stdio.h>

#include "engine/base/log.h"
#include "net/cases/cases_impl.h"

u3d_status u3d_case_read_label(const u3d_cases *c, const u3d_case *files, const u3d_volume *image,
                               u3d_volume **label, u3d_match *m)
{
    u3d_status status = u3d_volume_read(files->label, U3D_VOLUME_LABEL, label);
    if (status != U3D_OK) return u3d_wrap(status, "case '%s'", files->id);
    status = u3d_volume_match(image, files->image[0], *label, files->label, c->resample_labels, m);
    if (status == U3D_OK) return U3D_OK;
    const bool other = u3d_volume_has_place(image) && u3d_volume_has_place(*label) && !c->resample_labels;
    u3d_volume_free(*label);
    *label = NULL;
    if (!other) return u3d_wrap(status, "case '%s'", files->id);
    return u3d_fail(
        status, "case '%s': %s; if the labels belong to the image, --resample-labels takes the nearest voxel",
        files->id, u3d_error_text());
}

bool u3d_match_has_outside(const u3d_match *m)
{
    return m->how == U3D_MATCH_NEAREST || (m->how == U3D_MATCH_PART && !m->whole);
}

/* The class of voxels that the labels do not cover. */
static int grid_outside(const u3d_cases *c, const u3d_labels *table)
{
    for (int k = 0; c->dense && k < table->n; k++)
        if (table->value[k] == c->outside) return k;
    return U3D_UNLABELED;
}

u3d_status u3d_case_classes(const u3d_cases *c, const u3d_labels *table, const u3d_case *files,
                            const u3d_volume *image, const u3d_volume *label, const u3d_match *m,
                            u3d_volume **classes)
{
    U3D_TRY(u3d_labels_to_classes(table, label, files->label, classes));
    const u3d_status status = u3d_volume_onto(classes, image, m, grid_outside(c, table));
    if (status == U3D_OK) return U3D_OK;
    u3d_volume_free(*classes);
    *classes = NULL;
    return status;
}

u3d_status u3d_cases_read_classes(const u3d_cases *c, const u3d_case *files, const u3d_volume *image,
                                  u3d_volume **classes)
{
    u3d_volume *label;
    u3d_match m;
    *classes = NULL;
    U3D_TRY(u3d_case_read_label(c, files, image, &label, &m));
    const u3d_status status = u3d_case_classes(c, &c->labels, files, image, label, &m, classes);
    u3d_volume_free(label);
    return status;
}

/* ---- what is said once for all cases ---- */

void u3d_grid_report_add(u3d_grid_report *r, const u3d_match *m, const char *id, const u3d_volume *image,
                         const u3d_volume *label)
{
    if (m->how == U3D_MATCH_SAME && m->off_by > 0.01) {
        r->apart++;
        if (m->off_by > r->worst) {
            r->worst = m->off_by;
            r->worst_id = id;
        }
    }
    r->unit_taken += m->unit_taken;
    if (m->how == U3D_MATCH_PART && m->whole) return;
    if (m->how == U3D_MATCH_PART && r->n[m->how] == 0)
        (void)snprintf(r->sizes, sizeof r->sizes, "%lldx%lldx%lld of %lldx%lldx%lld voxels",
                       (long long)label->size[2], (long long)label->size[1], (long long)label->size[0],
                       (long long)image->size[2], (long long)image->size[1], (long long)image->size[0]);
    if (r->n[m->how]++ == 0) r->first[m->how] = id;
}

void u3d_grid_report_tell(const u3d_grid_report *r, const u3d_cases *c)
{
    char outside[40] = "unlabelled";
    if (c->dense) (void)snprintf(outside, sizeof outside, "%d (--dense)", (int)c->outside);
    if (r->apart > 0)
        U3D_WARN(
            "cases",
            "the grids of image and label differ by more than 0.01 voxel in %d of %d cases, most in '%s' "
            "(%.3g voxel); voxels are matched by index",
            r->apart, c->n, r->worst_id, r->worst);
    if (r->unit_taken > 0)
        U3D_WARN("cases",
                 "only one of image and label gives its unit of length (xyzt_units) in %d of %d cases; the other "
                 "one is taken to have the same unit, because they fit then",
                 r->unit_taken, c->n);
    if (r->n[U3D_MATCH_INDEX] > 0)
        U3D_WARN("cases",
                 "image or label does not say where it lies in space (sform_code and qform_code are 0) in %d "
                 "of %d cases, for example '%s'; their files have the same shape and are matched as stored, "
                 "so check that they fit",
                 r->n[U3D_MATCH_INDEX], c->n, r->first[U3D_MATCH_INDEX]);
    if (r->n[U3D_MATCH_PART] > 0)
        U3D_WARN("cases",
                 "the labels cover only a part of the image in %d of %d cases, for example '%s' (%s); voxels "
                 "outside of them count as %s",
                 r->n[U3D_MATCH_PART], c->n, r->first[U3D_MATCH_PART], r->sizes, outside);
    if (r->n[U3D_MATCH_NEAREST] > 0)
        U3D_WARN(
            "cases",
            "the labels have another grid than the image in %d of %d cases, for example '%s'; each voxel "
            "gets the label of the nearest one (--resample-labels), and voxels outside of them count as %s",
            r->n[U3D_MATCH_NEAREST], c->n, r->first[U3D_MATCH_NEAREST], outside);
}
