/* The options of every command, and finding commands and options by name. */
#include "tools/cli/command.h"

#include <string.h>

#include "engine/base/nearest.h"

/* clang-format off: a table, a row each */
static const option global_options[] = {
    {TEXT(backend), RARE, "auto|cpu|opencl", "where to compute (default: auto, a GPU if one is usable)"},
    {TEXT(device), RARE, "N|NAME", "device by its number in `u3d devices`, or by a part of its name"},
    {TEXT(threads), RARE, "N", "CPU threads (default: all cores); results do not depend on it"},
    {TEXT(seed), RARE, "N", "seed of all random numbers (default 1)"},
    {TEXT(memory), RARE, "8G", "limit for everything held in memory (G = 10^9 bytes)"},
    {"set", 0, OPTION_LIST, offsetof(args, set), RARE, "KEY=VALUE",
     "change one setting, may be repeated; `u3d settings` lists them"},
    {FLAG(json), RARE, NULL, "print results as one JSON object"},
    {FLAG(force), RARE, NULL,
     "overwrite existing outputs, never inputs; train moves the earlier run to RUN.old"},
    {"quiet", 'q', OPTION_FLAG, offsetof(args, quiet), RARE, NULL,
     "print only warnings and errors on stderr"},
    {"verbose", 'v', OPTION_FLAG, offsetof(args, verbose), RARE, NULL, "print more on stderr"},
    {FLAG(version), RARE, NULL, "print version and commit"},
    {"help", 'h', OPTION_MAYBE, offsetof(args, help), RARE, "settings|all",
     "print help; =settings: what --set accepts, =all: every option"},
    OPTIONS_END};
/* clang-format on */

u3d_status command_find(const char *name, const command **out)
{
    u3d_nearest nearest = {.word = name};
    *out = NULL;
    for (const command *c = commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            *out = c;
            return U3D_OK;
        }
        u3d_nearest_try(&nearest, c->name);
    }
    return u3d_fail(U3D_E_ARG,
                    "u3d: unknown command '%s'; did you mean '%s'? `u3d --help` lists all commands", name,
                    nearest.best);
}

const option *option_at(const command *c, int i)
{
    const int n_global = (int)(sizeof global_options / sizeof global_options[0]) - 1;
    int n_own = 0;
    while (c && c->options && c->options[n_own].name) n_own++;
    if (i < n_own) return &c->options[i];
    return i - n_own < n_global ? &global_options[i - n_own] : NULL;
}

const option *option_find(const command *c, const char *name, size_t length)
{
    const option *o;
    for (int i = 0; (o = option_at(c, i)) != NULL; i++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0) return o;
    return NULL;
}

const char *option_nearest(const command *c, const char *name)
{
    u3d_nearest nearest = {.word = name};
    const option *o;
    for (int i = 0; (o = option_at(c, i)) != NULL; i++) u3d_nearest_try(&nearest, o->name);
    return nearest.best;
}
