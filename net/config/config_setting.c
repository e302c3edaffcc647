/* The rows of the settings table for code outside of this room: help, completion and `u3d settings`. */
#include "net/config/config_impl.h"

static const char *const TYPE_NAMES[] = {
    [U3D_KEY_INT] = "integer",   [U3D_KEY_REAL] = "number",  [U3D_KEY_RANGE] = "range",
    [U3D_KEY_ANGLES] = "angles", [U3D_KEY_BOOL] = "boolean", [U3D_KEY_WORD] = "word",
    [U3D_KEY_TEXT] = "text",     [U3D_KEY_SIZE] = "size",    [U3D_KEY_AXES] = "axes"};
static const char *const BOOL_WORDS[] = {"true", "false", NULL};

static bool setting_is_ranged(u3d_key_kind kind)
{
    return kind != U3D_KEY_BOOL && kind != U3D_KEY_WORD && kind != U3D_KEY_TEXT;
}

bool u3d_config_setting(int i, u3d_setting *out)
{
    if (i < 0 || i >= u3d_config_n_keys) return false;
    const u3d_config_key *key = &u3d_config_keys[i], *first = key;
    while (!first->group) first--;
    *out = (u3d_setting){.key = key->name,
                         .group = first->group,
                         .help = key->help,
                         .type = TYPE_NAMES[key->kind],
                         .value = key->value,
                         .ranged = setting_is_ranged(key->kind),
                         .low = key->low,
                         .high = key->high,
                         .words = key->kind == U3D_KEY_BOOL ? BOOL_WORDS : key->words};
    return true;
}
