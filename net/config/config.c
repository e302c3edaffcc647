/* The settings as a whole: defaults, and setting one key at a time from text.
 *
 * Presets, files and --set all end in u3d_config_set_key. It finds the key's row in the table
 * (config_table.c) and lets u3d_key_read (config_value.c) read the value by the key's kind. A value that
 * is not legal leaves the stored one unchanged. A word can imply other settings ("augment", "plane");
 * these are set at the same time. */
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/nearest.h"
#include "net/config/config_impl.h"

static const char *config_nearest_key(const char *name)
{
    u3d_nearest nearest = {.word = name};
    for (int i = 0; i < u3d_config_n_keys; i++) u3d_nearest_try(&nearest, u3d_config_keys[i].name);
    return nearest.best;
}

/* Sets a word, and the settings that it implies. */
static u3d_status config_set_words(u3d_config *c, const u3d_config_key *key, const char *text, int *at)
{
    U3D_TRY(u3d_key_read(key, text, at));
    for (const char *const *set = key->implied ? key->implied[*at] : NULL; set && *set; set++)
        U3D_TRY(u3d_config_set(c, *set));
    return U3D_OK;
}

u3d_status u3d_config_set_key(u3d_config *c, const char *name, const char *value)
{
    const u3d_config_key *key = u3d_config_find_key(name);
    if (!key)
        return u3d_fail(U3D_E_ARG, "unknown setting '%s'; did you mean '%s'?", name,
                        config_nearest_key(name));
    void *at = (char *)c + key->offset;
    return key->kind == U3D_KEY_WORD ? config_set_words(c, key, value, at) : u3d_key_read(key, value, at);
}

u3d_status u3d_config_set(u3d_config *c, const char *key_value)
{
    char key[64];
    size_t length = strcspn(key_value, "=");
    if (key_value[length] == '\0' || length == 0 || length >= sizeof key)
        return u3d_fail(U3D_E_ARG, "the setting '%s' does not have the form key=value, such as base=16",
                        key_value);
    memcpy(key, key_value, length);
    key[length] = '\0';
    return u3d_config_set_key(c, key, key_value + length + 1);
}

void u3d_config_default(u3d_config *c)
{
    memset(c, 0, sizeof *c);
    for (int i = 0; i < u3d_config_n_keys; i++) {
        const u3d_config_key *key = &u3d_config_keys[i];
        u3d_status status = u3d_config_set_key(c, key->name, key->value);
        U3D_ASSERT(status == U3D_OK, "default of %s: %s", key->name, u3d_error_text());
    }
}

bool u3d_config_sets(const char *const *set, int n, const char *key)
{
    const size_t length = strlen(key);
    for (int i = 0; i < n; i++)
        if (strncmp(set[i], key, length) == 0 && set[i][length] == '=') return true;
    return false;
}

int u3d_config_across(const u3d_config *c)
{
    return c->plane == U3D_PLANE_OFF ? -1 : (int)c->plane - (int)U3D_PLANE_XY;
}

void u3d_config_settle_pseudo(u3d_config *c, bool sparse, bool background)
{
    if (c->pseudo_labels == U3D_SWITCH_AUTO)
        c->pseudo_labels = sparse && background ? U3D_SWITCH_ON : U3D_SWITCH_OFF;
}

bool u3d_config_slices_only(const u3d_config *c)
{
    return c->plane != U3D_PLANE_OFF && c->plane_labels == U3D_PLANE_LABELS_SLICES;
}

char *u3d_config_value_text(const u3d_config *c, const char *name)
{
    char buf[U3D_KEY_TEXT_CAP];
    const u3d_config_key *key = u3d_config_find_key(name);
    return key ? u3d_strdup(u3d_key_text(key, (const char *)c + key->offset, buf, sizeof buf)) : NULL;
}
