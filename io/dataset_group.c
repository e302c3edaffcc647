/* Groups the volumes of a folder into cases: NAME_0000, NAME_0001, ... are the channels of one case NAME,
 * unless something says that they are volumes of their own.
 *
 * What says so, in this order: a label with the full name; a missing NAME_0000; the number of channels that
 * the model wants. A model of one channel makes NAME_0000 ... NAME_0003 four volumes, and files that hold all
 * of the model's channels themselves are volumes as well. A single NAME_0000 loses its number, as in nnU-Net.
 */
#include "io/dataset_impl.h"

#include "engine/base/mem.h"
#include "io/format.h"
#include "io/listing.h"
#include "io/path.h"
#include "io/volume.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    CHANNEL_DIGITS = 4, /* CASE_0000.nii.gz: nnU-Net's names                                        */
    NAME_CAP = 1024     /* bytes, more than any file system allows a name of a file to have         */
};

/* The channel number at the end of a name without its ending, "_0012" -> 12; -1 if there is none. */
static int case_channel(const char *name, size_t stem)
{
    if (stem < CHANNEL_DIGITS + 2 || name[stem - CHANNEL_DIGITS - 1] != '_') return -1;
    int channel = 0;
    for (size_t i = stem - CHANNEL_DIGITS; i < stem; i++) {
        if (name[i] < '0' || name[i] > '9') return -1;
        channel = 10 * channel + (name[i] - '0');
    }
    return channel;
}

size_t u3d_case_id_length(const char *name, size_t stem)
{
    return case_channel(name, stem) == 0 ? stem - CHANNEL_DIGITS - 1 : stem;
}

u3d_status u3d_case_series(const char *path, char ***more, int *n)
{
    const char *slash = strrchr(path, '/'), *own = slash ? slash + 1 : path;
    char **names = NULL, *dir = slash ? u3d_format("%.*s", (int)(own - path), path) : u3d_strdup("");
    size_t stem = 0, other;
    int n_names = 0;
    *more = NULL;
    *n = 0;
    if (!dir) return U3D_E_NOMEM;
    u3d_format_is_name(own, &stem);
    u3d_status status = case_channel(own, stem) == 0 /* other names stay whole */
                            ? u3d_path_list(*dir ? dir : ".", &names, &n_names)
                            : U3D_OK;
    if (status == U3D_E_IO) status = U3D_OK; /* a folder that cannot be listed has no series */
    if (status == U3D_OK && n_names) *more = u3d_new((size_t)n_names, sizeof **more);
    if (n_names && !*more) status = U3D_E_NOMEM;
    for (int i = 0; i < n_names && status == U3D_OK; i++) {
        if (!u3d_format_is_listed(names[i], &other) || other != stem || case_channel(names[i], other) <= 0 ||
            strncmp(names[i], own, stem - CHANNEL_DIGITS) != 0)
            continue;
        (*more)[*n] = u3d_format("%s%s", dir, names[i]);
        if (!(*more)[*n]) status = U3D_E_NOMEM;
        *n += status == U3D_OK;
    }
    u3d_path_list_free(names, n_names);
    u3d_free(dir);
    return status;
}

u3d_status u3d_case_add_series(u3d_case *c, char **more, int n)
{
    for (int i = 0; i < n; i++) {
        size_t stem;
        u3d_format_is_name(more[i], &stem);
        const int number = case_channel(more[i], stem);
        if (number < c->n_images)
            return u3d_fail(U3D_E_FORMAT,
                            "'%s' and '%s' are both channel %04d of '%s'; remove or rename one of them",
                            c->image[c->n_images - 1], more[i], number, c->id);
        if (number > c->n_images)
            return u3d_fail(U3D_E_FORMAT, "'%s': channel %04d of this case is missing", more[i], c->n_images);
        char *owned = more[i];
        more[i] = NULL;
        U3D_TRY(u3d_case_add_image(c, owned));
    }
    return U3D_OK;
}

u3d_status u3d_case_is_whole(const char *path, int channels, bool *whole)
{
    u3d_volume *header = NULL;
    const u3d_status status = u3d_volume_probe(path, &header);
    *whole = header && header->channels > 1 && header->channels == channels;
    u3d_volume_free(header);
    return status == U3D_E_NOMEM ? status : U3D_OK;
}

/* What is needed while a folder is grouped. */
typedef struct grouping {
    u3d_dataset *d;
    const u3d_case_rule *rule;
    u3d_listing images, labels;
} grouping;

/* The index of the image that is channel 0 of the case NAME; -1: there is none. */
static int group_first(const grouping *g, const char *name, size_t base)
{
    char id[NAME_CAP];
    const int length = snprintf(id, sizeof id, "%.*s_0000", (int)base, name);
    return length < NAME_CAP ? u3d_listing_find(&g->images, id, (size_t)length) : -1;
}

/* Whether a folder has the image NAME_dddd for some other number than 0000. */
static bool group_has_more(const grouping *g, int first, size_t base)
{
    const char *name = g->images.file[first].name;
    for (int i = first + 1; i < g->images.n; i++) {
        const u3d_listed *f = &g->images.file[i];
        if (f->stem <= base || strncmp(f->name, name, base + 1) != 0) return false;
        if (f->stem == base + 1 + CHANNEL_DIGITS && case_channel(f->name, f->stem) > 0) return true;
    }
    return false;
}

static u3d_status group_is_whole(const grouping *g, int image, bool *whole)
{
    char *path = u3d_path_join(g->rule->image_dir, g->images.file[image].name);
    const u3d_status status = path ? u3d_case_is_whole(path, g->rule->channels, whole) : U3D_E_NOMEM;
    u3d_free(path);
    return status;
}

/* Decides whether NAME_0003 is channel 3 of a case NAME (*channel = 3) or a case of its own (*channel = -1).
 */
static u3d_status group_channel(const grouping *g, const u3d_listed *f, int *channel)
{
    const int wanted = g->rule->channels, number = case_channel(f->name, f->stem);
    *channel = number;
    if (number < 0 || g->rule->numbered) return U3D_OK;
    *channel = -1;
    const size_t base = f->stem - CHANNEL_DIGITS - 1;
    if (u3d_listing_find(&g->labels, f->name, f->stem) >= 0) return U3D_OK;
    const int first = group_first(g, f->name, base);
    if (first < 0) return U3D_OK;
    const u3d_listed *zero = &g->images.file[first];
    if (u3d_listing_find(&g->labels, zero->name, zero->stem) >= 0) return U3D_OK;
    bool alone = wanted == 1;
    const bool labelled = u3d_listing_find(&g->labels, f->name, base) >= 0;
    if (wanted == 0 || labelled || !group_has_more(g, first, base))
        alone = false;
    else if (!alone)
        U3D_TRY(group_is_whole(g, first, &alone));
    if (!alone) *channel = number;
    return U3D_OK;
}

/* Finds or adds the case to which an image belongs. Files are passed in sorted order, so the case of a
 * further channel is near the end of the list. */
static u3d_status group_case(grouping *g, const u3d_listed *f, u3d_case **out)
{
    int channel = -1;
    u3d_dataset *d = g->d;
    *out = NULL;
    U3D_TRY(group_channel(g, f, &channel));
    if (channel < 0 && g->rule->numbered)
        return u3d_fail(U3D_E_FORMAT,
                        "'%s/%s': expected a name that ends in a channel number, like CASE_0000%s",
                        g->rule->image_dir, f->name, f->name + f->stem);
    const size_t length = channel < 0 ? f->stem : f->stem - CHANNEL_DIGITS - 1;
    if (channel <= 0) return u3d_dataset_add_case(d, f->name, length, out);
    for (int i = d->n_cases - 1; i >= 0 && !*out; i--)
        if (strncmp(d->cases[i].id, f->name, length) == 0 && d->cases[i].id[length] == '\0')
            *out = &d->cases[i];
    if (!*out || (*out)->n_images != channel)
        return u3d_fail(U3D_E_FORMAT, "'%s/%s': channel %04d of this case is missing", g->rule->image_dir,
                        f->name, *out ? (*out)->n_images : 0);
    return U3D_OK;
}

u3d_status u3d_dataset_group(u3d_dataset *d, const u3d_case_rule *rule)
{
    grouping g = {.d = d, .rule = rule};
    u3d_status status = U3D_OK;
    U3D_GO(u3d_listing_open(rule->image_dir, &g.images));
    if (rule->label_dir) U3D_GO(u3d_listing_open(rule->label_dir, &g.labels));
    for (int i = 0; i < g.images.n; i++) {
        const u3d_listed *f = &g.images.file[i];
        u3d_case *c = NULL;
        if (rule->ending && strcasecmp(f->name + f->stem, rule->ending) != 0) continue;
        U3D_GO(group_case(&g, f, &c));
        U3D_GO(u3d_case_add_image(c, u3d_path_join(rule->image_dir, f->name)));
    }
done:
    u3d_listing_done(&g.images);
    u3d_listing_done(&g.labels);
    return status;
}
